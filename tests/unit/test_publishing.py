"""Properties of publishing, checked with a repository in memory: plan, execute, read again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import (
    ConflictError,
    ImageError,
    IntegrityError,
    MissingContentError,
    QuotaExceededError,
    ReleaseError,
    UnavailableError,
)
from lambda_handler.log import Log
from lambda_handler.oci import Digest, Manifest
from lambda_handler.publish.content import Content, content_in_destination, content_to_copy
from lambda_handler.publish.execute import Progress, execute
from lambda_handler.publish.observe import observe
from lambda_handler.publish.plan import Desired, Plan, make_plan
from tests.support.memory import MemoryRepository

TAGS = ("1.4.2", "1.4", "1", "latest", "stable")


@dataclass
class World:
    """An image in a source, and the repository to publish it to."""

    content: Content
    destination: MemoryRepository

    def plan(self, tags: Sequence[str], *, confirm: Sequence[str] = ()) -> Plan:
        observed = observe(self.content, tags, self.destination)
        return make_plan(Desired(content=self.content, tags=tuple(tags), confirm=frozenset(confirm)), observed)

    def publish(self, tags: Sequence[str], *, confirm: Sequence[str] = ()) -> None:
        execute(self.plan(tags, confirm=confirm), self.destination, Log(stream=io.StringIO()))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Generate an image or (nested) index to copy; the destination may have parts of it, and other tags."""
    origin = MemoryRepository("up/stream")
    blobs = st.sampled_from([b"a", b"b", b"c", b"d"])
    images = [origin.add(b"config", *layers) for layers in draw(st.lists(st.lists(blobs, max_size=3), min_size=1))[:4]]
    root = images[0]
    if draw(st.booleans()):
        root = origin.add_index(*images)
        root = origin.add_index(root, images[0]) if draw(st.booleans()) else root
    content = content_to_copy(root, origin, [])
    destination = MemoryRepository()
    old = destination.add(b"old config")
    destination.tags = dict.fromkeys(draw(st.sets(st.sampled_from([*TAGS, "other"]))), old.digest)
    for digest in draw(st.sets(st.sampled_from(sorted(origin.blobs)))):
        destination.blobs[digest] = origin.blobs[digest]
    for manifest in content.copied:
        complete = {blob.digest for blob in manifest.blobs} <= destination.blobs.keys()
        if complete and not manifest.is_index and draw(st.booleans()):
            destination.images[manifest.digest] = manifest
    return World(content, destination)


some_tags = st.lists(st.sampled_from(TAGS), unique=True)


def is_complete(manifest: Manifest, repository: MemoryRepository) -> bool:
    return (
        manifest.digest in repository.images
        and all(blob.digest in repository.blobs for blob in manifest.blobs)
        and all(is_complete(repository.images[child.digest], repository) for child in manifest.children)
    )


@given(worlds(), some_tags)
def test_after_publishing_everything_exists_and_the_next_plan_is_empty(world: World, tags: list[str]) -> None:
    others = {tag: digest for tag, digest in world.destination.tags.items() if tag not in tags}

    world.publish(tags)

    assert world.destination.tags == {**others, **dict.fromkeys(tags, world.content.root.digest)}
    assert is_complete(world.content.root, world.destination)
    assert world.plan(tags).is_empty


@given(worlds(), some_tags)
def test_writes_nothing_twice(world: World, tags: list[str]) -> None:
    world.publish(tags)

    assert len(world.destination.writes) == len(set(world.destination.writes))


@given(worlds(), some_tags)
def test_blobs_come_before_manifests_and_tags_last_in_their_order(world: World, tags: list[str]) -> None:
    world.publish(tags)

    kinds = [write.partition(" ")[0] for write in world.destination.writes]
    assert kinds == sorted(kinds, key=["blob", "image", "tag"].index)
    put = [write.partition(" ")[2] for write in world.destination.writes if write.startswith("tag")]
    assert put == [tag for tag in tags if tag in put]


@given(worlds(), st.lists(st.sampled_from(TAGS), unique=True, min_size=1), st.data())
def test_when_a_tag_fails_every_existing_tag_is_put_back(world: World, tags: list[str], data: st.DataObject) -> None:
    failing = data.draw(st.sampled_from(tags))
    before = dict(world.destination.tags)
    world.destination.before_put = refuses(failing)

    with pytest.raises(ImageError):
        world.publish(tags)

    after = world.destination.tags
    assert {tag: after[tag] for tag in before} == before
    assert {after[tag] for tag in after.keys() - before.keys()} <= {world.content.root.digest}


@given(worlds(), some_tags, st.integers(0, 12))
def test_after_any_failed_write_a_second_run_completes_the_release(world: World, tags: list[str], failing: int) -> None:
    world.destination.before_put = fails_at(failing)
    with suppress(ImageError):
        world.publish(tags)

    world.publish(tags)

    assert is_complete(world.content.root, world.destination)
    assert world.plan(tags).is_empty


@given(worlds(), some_tags)
def test_confirming_tags_does_not_change_the_result(world: World, tags: list[str]) -> None:
    world.publish(tags)
    before = dict(world.destination.tags)

    world.publish(tags, confirm=tags)

    assert world.destination.tags == before


def refuses(*tags: str) -> Callable[[Manifest, str | None], None]:
    def check(manifest: Manifest, tag: str | None) -> None:
        if tag in tags:
            message = f"{tag} may not point to {manifest.digest}"
            raise ConflictError(message, operation="ecr-public:PutImage", hint="use another tag")

    return check


def fails_at(number: int) -> Callable[[Manifest, str | None], None]:
    """Fail put *number*, counted from 0, once."""
    calls: list[str | None] = []

    def check(_: Manifest, tag: str | None) -> None:
        calls.append(tag)
        if len(calls) == number + 1:
            message = "no answer"
            error = UnavailableError(message, operation="ecr-public:PutImage")
            # The retries of the real repository raise the same error.
            error.outcome_unknown = True
            raise error

    return check


@pytest.fixture
def retag() -> World:
    """Return a world where ``latest`` and ``1`` point to an older image."""
    destination = MemoryRepository()
    old = destination.add(b"old config")
    destination.tags = {"1": old.digest, "latest": old.digest}
    return World(content_in_destination(destination.add(b"config"), destination, []), destination)


def failure_of(world: World, *tags: str) -> ReleaseError:
    with pytest.raises(ReleaseError) as failure:
        world.publish(tags)
    return failure.value


def test_a_failed_release_names_the_tag_the_cause_and_the_state_of_the_others(retag: World) -> None:
    retag.destination.before_put = refuses("stable")

    error = failure_of(retag, "1", "new", "latest", "stable", "never")

    digest = retag.content.root.digest
    assert error.message == (
        f"tag 'stable' could not be put: CONFLICT: stable may not point to {digest}. Hint: use another tag; "
        f"moved back: latest, 1; new and left in place at {digest}: new"
    )
    assert error.hint == "use another tag"
    assert "never" not in retag.destination.tags


def test_a_tag_that_cannot_be_moved_back_is_named_with_its_old_image(retag: World) -> None:
    old = retag.destination.tags["1"]

    def check(manifest: Manifest, tag: str | None) -> None:
        if tag == "stable" or (tag == "1" and manifest.digest == old):
            message = "full"
            raise QuotaExceededError(message, operation="ecr-public:PutImage")

    retag.destination.before_put = check

    error = failure_of(retag, "1", "latest", "stable")

    assert f"moved back: latest; could not be moved back: 1 (was {old}: QUOTA_EXCEEDED: full)" in error.message


def test_the_failure_of_the_first_tag_is_reported_unchanged(retag: World) -> None:
    retag.destination.before_put = refuses("1")

    with pytest.raises(ConflictError):
        retag.publish(["1", "latest"])


def test_a_tag_whose_old_image_no_longer_exists_is_named(retag: World) -> None:
    del retag.destination.images[retag.destination.tags["1"]]
    retag.destination.before_put = refuses("stable")

    assert "could not be moved back: 1 (was " in failure_of(retag, "1", "stable").message


def test_the_service_refuses_an_index_with_a_missing_child(retag: World) -> None:
    elsewhere = MemoryRepository()
    index = elsewhere.add_index(elsewhere.add(b"not here"))
    world = World(content_in_destination(index, retag.destination, []), retag.destination)
    before = dict(retag.destination.tags)

    with pytest.raises(MissingContentError):
        world.publish(["1", "latest"])

    assert (retag.destination.tags, retag.destination.writes) == (before, [])


def test_a_blob_with_wrong_bytes_stops_publishing_before_any_manifest() -> None:
    origin, destination = MemoryRepository("up/stream"), MemoryRepository()
    image = origin.add(b"config", b"layer")
    origin.blobs[Digest.of(b"layer")] = b"other"

    with pytest.raises(IntegrityError):
        World(content_to_copy(image, origin, []), destination).publish(["1"])

    assert (destination.images, destination.tags) == ({}, {})


def test_logs_each_write() -> None:
    origin, destination, stream = MemoryRepository("up/stream"), MemoryRepository(), io.StringIO()
    world = World(content_to_copy(origin.add(b"config"), origin, []), destination)

    execute(world.plan(["1"]), destination, Log(stream=stream))

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == [f"blob copied: {Digest.of(b'config')}", "tag 1 put"]


def progress_of(world: World, *tags: str, undoing: MemoryRepository | None = None) -> tuple[Progress, list[str]]:
    """Publish; return the final progress, and its text before each put."""
    progress, told = Progress(), list[str]()
    check = world.destination.before_put

    def tell(manifest: Manifest, tag: str | None) -> None:
        told.append(str(progress))
        check(manifest, tag)

    world.destination.before_put = tell
    with suppress(ImageError):
        execute(world.plan(tags), world.destination, Log(stream=io.StringIO()), undoing, progress)
    return progress, told


def test_progress_always_names_the_moved_tags_and_their_old_images(retag: World) -> None:
    old = retag.destination.tags["1"]

    progress, told = progress_of(retag, "1", "new", "latest")

    assert told == ["", f"1 (was {old})", f"1 (was {old}), new (was new)"]
    assert str(progress) == f"1 (was {old}), new (was new), latest (was {old})"


def test_progress_omits_tags_that_were_moved_back(retag: World) -> None:
    retag.destination.before_put = refuses("stable")

    progress, told = progress_of(retag, "1", "latest", "stable")

    old = retag.destination.tags["1"]
    assert told[-2:] == [f"1 (was {old}), latest (was {old})", f"1 (was {old})"]
    assert str(progress) == ""


def test_a_tag_whose_put_got_no_response_counts_as_moved(retag: World) -> None:
    """It is put back, although we do not know whether it has moved."""
    retag.destination.before_put = fails_at(0)
    old = retag.destination.tags["1"]

    progress, told = progress_of(retag, "1", "latest")

    assert told == ["", f"1 (was {old})"]
    assert str(progress) == ""
    assert retag.destination.writes == ["tag 1"]


def test_an_undo_has_its_own_time_limit(retag: World) -> None:
    """The repository that was published to has no time left."""
    old = retag.destination.tags["1"]
    undoing = MemoryRepository(images=retag.destination.images, blobs=retag.destination.blobs)
    retag.destination.before_put = refuses("stable")

    progress_of(retag, "1", "stable", undoing=undoing)

    assert undoing.tags == {"1": old}
