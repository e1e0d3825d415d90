"""Random repositories, people, faults and a second run: protected images stay, and all others are removed."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.oci import Digest
from tests.retention.test_run import ERRORS
from tests.retention.world import World


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Generate a repository with shared children and signatures, some people, failures, and a second run."""
    world = World()
    few, ages, is_tagged = st.integers(0, 3), st.sampled_from([0.5, 5]), st.booleans()
    images = [
        world.push(f"image {number}", *([f"i{number}"] if draw(is_tagged) else []), days=draw(ages))
        for number in range(draw(st.integers(1, 4)))
    ]
    for number in range(draw(few)):
        picked = draw(st.sets(st.integers(0, len(images) - 1), min_size=1, max_size=3))
        tags = [f"x{number}"] if draw(is_tagged) else []
        images.append(world.push("", *tags, days=draw(ages), children=[images[each] for each in sorted(picked)]))
    for number in range(draw(few)):
        subject = draw(st.sampled_from(images))
        images.append(world.push(f"signature {number}", signature_tag(subject.digest), days=draw(ages)))
    if draw(st.booleans()):
        world.refuse(draw(st.sampled_from(images)).digest, times=draw(st.sampled_from([1, 60])))
    for _ in range(draw(st.integers(0, 4))):
        target, tag = draw(st.sampled_from(images)).digest, draw(st.sampled_from(["i0", "x0", "new", "newer"]))
        error = draw(st.sampled_from(ERRORS))()
        actions: dict[str, Callable[[], object]] = {
            "tag": lambda target=target, tag=tag: world.tag(target, tag),  # type: ignore[misc]
            "declare": lambda target=target: world.declare(target),  # type: ignore[misc]
            "index": lambda target=target: _list(world, target),  # type: ignore[misc]
            "fail": world.fail(error),
            "lose": world.lose_response,
            "run": lambda: _run_meanwhile(world),
        }
        world.at[draw(st.integers(1, 60))] = actions[draw(st.sampled_from(sorted(actions)))]  # type: ignore[assignment]
    return world


def signature_tag(digest: Digest) -> str:
    return f"sha256-{digest.hex}.sig"


def _run_meanwhile(world: World) -> None:
    """Run a second time. A tag that was put before this run does not protect an image from it."""
    first, read, world.listed_at = world.listed_at, (world.unread.listed, world.unread.read), None
    world.second_run().remove()
    for tag in world.tagged.keys() - world.tagged_since_listed().keys() - world.repository.tags.keys():
        del world.tagged[tag]
    world.listed_at, (world.unread.listed, world.unread.read) = first, read


def _list(world: World, digest: Digest) -> None:
    """Push an index of an image, if it exists, as a person does."""
    if digest in world.repository.images:
        world.push("", days=0, children=[world.repository.images[digest]])


@given(worlds(), st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_keeps_all_protected_images_and_removes_all_others(world: World, limit: int) -> None:
    for _ in range(4):
        attached = world.attachments()
        world.run(limit=limit).remove()
        assert world.broken_indexes() == []
        assert world.tagged_since_listed().items() <= world.repository.tags.items(), "a tag that was put during the run"
        there = world.repository.images.keys()
        exposed = world.exposed
        signed = [(signature, subject) for signature, subject in attached if subject in there - exposed]
        assert all(signature in there for signature, _ in signed), "an unsigned image"
    world.at.clear()

    for _ in range(12):
        declared = set(world.declared.digests) & world.repository.images.keys()
        world.run(limit=limit).remove()
        assert declared <= world.repository.images.keys(), "a declared image was removed"

    assert world.broken_indexes() == []
    assert not world.run().report().going
