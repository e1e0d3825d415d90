"""Runs that are interrupted, repeated, or concurrent with people and deployments."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from lambda_handler.errors import AccessError, DeadlineError, ImageError, UnavailableError
from lambda_handler.oci import Digest
from lambda_handler.retention.decision import Declared, Retention
from lambda_handler.retention.report import as_data
from lambda_handler.retention.run import Run
from lambda_handler.retention.state import Begun, decode_links
from tests.retention.world import EVERYTHING, NOW, World

LINKS, REMOVALS = (f"{kind}/123456789012/acme/agent.json.gz" for kind in ("links", "removals"))

ERRORS: list[Callable[[], ImageError]] = [
    lambda: UnavailableError("no response", operation="ecr-public:DescribeImages"),
    lambda: DeadlineError("ran out of time"),
    lambda: AccessError("denied", operation="ecr-public:BatchDeleteImage"),
]


def test_a_report_removes_nothing() -> None:
    world = World()
    world.push("old", "0.9")

    report = world.run().report()

    assert [outcome.goes for outcome in report.outcomes] == [True]
    assert world.repository.writes == []
    assert str(report) == "acme/agent: 1 of 1 images expire (0.0 MB)"


def test_removes_an_index_before_its_children_in_separate_calls() -> None:
    world = World()
    children = [world.push("amd64"), world.push("arm64")]
    index = world.push("index", children=children)

    report = world.run().remove()

    assert report.problem == ""
    assert world.repository.images == {}
    assert world.repository.writes[0] == f"remove {index.digest}"
    assert report.removed == {index.digest, *(child.digest for child in children)}


def test_puts_back_a_tag_that_was_added_during_the_removal() -> None:
    world = World()
    old = world.push("old", "0.9")
    run, removing = world.run(), world.repository.remove_tags

    def tagged_first(digest: Digest, tags: list[str]) -> object:
        world.tag(old.digest, "2.0")
        return removing(digest, tags)

    world.repository.remove_tags = tagged_first  # type: ignore[method-assign,assignment]
    report = run.remove()

    assert world.repository.tags == {"0.9": old.digest, "2.0": old.digest}
    assert report.removed == frozenset()


def test_keeps_an_image_that_gets_a_tag_even_if_the_response_is_lost() -> None:
    world = World()
    old = world.push("old", "0.9")
    removing = world.repository.remove_tags

    def tagged_first(digest: Digest, tags: list[str]) -> object:
        world.tag(old.digest, "2.0")
        removing(digest, tags)
        lost = UnavailableError("no response", operation="ecr-public:BatchDeleteImage")
        raise lost

    world.repository.remove_tags = tagged_first  # type: ignore[method-assign,assignment]
    world.run().remove()

    assert world.repository.tags["2.0"] == old.digest


def test_the_next_run_puts_back_tags_that_could_not_be_put_back() -> None:
    world = World()
    old = world.push("old", "0.9", "0.9.1")
    removing = world.repository.remove_tags

    def tagged_first(digest: Digest, tags: list[str]) -> object:
        world.tag(old.digest, "2.0")
        return removing(digest, tags)

    def refuse(*_: object) -> None:
        down = UnavailableError("no response", operation="ecr-public:PutImage")
        raise down

    world.repository.remove_tags, world.repository.before_put = tagged_first, refuse  # type: ignore[method-assign,assignment]
    report = world.run().remove()
    assert report.problem.startswith("stopped: ")
    assert set(world.repository.tags) == {"2.0"}

    world.repository.remove_tags, world.repository.before_put = removing, lambda *_: None  # type: ignore[method-assign]
    run = world.run()
    run.retention = Retention(rules=[replace(EVERYTHING[0], number=365)])
    run.remove()

    assert world.repository.tags == dict.fromkeys(("0.9", "0.9.1", "2.0"), old.digest)
    assert Begun.decode(world.objects[REMOVALS]).removing == {}


def test_does_not_put_back_a_tag_that_was_moved_to_another_image() -> None:
    world = World()
    old, new = world.push("old", "0.9", "0.8"), world.push("new", days=0)
    removing = world.repository.remove_tags

    def moved_then(digest: Digest, tags: list[str]) -> object:
        world.tag(old.digest, "2.0")
        result = removing(digest, tags)
        world.tag(new.digest, "0.9")
        return result

    world.repository.remove_tags = moved_then  # type: ignore[method-assign,assignment]
    world.run().remove()

    assert world.repository.tags == {"0.9": new.digest, "0.8": old.digest, "2.0": old.digest}


def test_puts_back_an_untagged_image_if_the_response_to_its_removal_is_lost() -> None:
    """It may have just received a tag, whose name is only in the response."""
    world = World()
    child = world.push("child")
    index = world.push("index", children=[child])
    removing = world.repository.remove_images

    def lost(digests: list[Digest]) -> object:
        world.repository.remove_images = removing  # type: ignore[method-assign]
        world.tag(index.digest, "2.0")
        _, listed = removing(digests)
        world.repository.unanswered.update(digests)
        return [], listed

    world.repository.remove_images = lost  # type: ignore[method-assign,assignment]
    report = world.run().remove()

    assert {index.digest, child.digest} <= world.repository.images.keys()
    assert report.removed == frozenset()
    assert report.problem == ""


def test_does_not_put_back_removed_images_that_a_stale_read_shows() -> None:
    world = World()
    old = world.push("old", "0.9")
    reading, removing = world.repository.tags_of, world.repository.remove_tags
    left = [3]

    def stale(digests: list[Digest]) -> object:
        left[0] -= 1
        if left[0] <= 0:
            world.repository.tags_of = reading  # type: ignore[method-assign]
        return {digest: frozenset({"0.9"}) for digest in digests if digest == old.digest}

    def then_stale(digest: Digest, tags: list[str]) -> object:
        result = removing(digest, tags)
        world.repository.tags_of = stale  # type: ignore[method-assign,assignment]
        return result

    world.repository.remove_tags = then_stale  # type: ignore[method-assign,assignment]
    report = world.run().remove()

    assert report.removed == {old.digest}
    assert world.repository.images == {}


@pytest.mark.parametrize("tags", [(), ("0.9", "0.9.1")], ids=["without a tag", "with tags"])
def test_retries_a_child_that_the_service_still_refuses_to_remove(tags: tuple[str, ...]) -> None:
    world = World()
    child = world.push("child", *tags)
    world.push("index", "x", children=[child])
    world.refuse(child.digest, times=3)
    report = world.run().remove()

    assert world.repository.images == {}
    assert child.digest in report.removed
    assert (report.pending, report.problem) == (frozenset(), "")


@pytest.mark.parametrize("tags", [(), ("0.9", "0.9.1")], ids=["without a tag", "with tags"])
def test_the_next_run_removes_a_child_that_could_not_be_removed_in_time(tags: tuple[str, ...]) -> None:
    world = World()
    child = world.push("child", *tags)
    attached = world.push("signature", f"sha256-{child.digest.hex}.sig")
    index = world.push("index", "x", children=[child])
    listed = world.repository.is_listed
    world.refuse(child.digest, times=10_000)
    report = world.run().remove()

    assert report.removed == {index.digest}
    assert child.digest in report.pending
    assert report.problem == ""
    assert "pending, for the next run" in str(report)
    decisions = {each["digest"]: each["decision"] for each in as_data(report, NOW)["images"]}  # type: ignore[attr-defined]
    assert decisions[str(child.digest)] == "pending"
    assert {tag: world.repository.tags.get(tag) for tag in tags} == dict.fromkeys(tags, child.digest)
    assert attached.digest in world.repository.images

    world.repository.is_listed = listed  # type: ignore[method-assign]
    world.run().remove()
    assert world.repository.images == {}


def test_concurrent_runs_keep_the_pending_removals_of_each_other() -> None:
    """Each is interrupted after its index is removed and before the child is."""
    world = World()
    children = [world.push(f"child {number}") for number in range(2)]
    indexes = [world.push(f"index {number}", f"x{number}", children=[child]) for number, child in enumerate(children)]
    runs = [world.run(), world.run()]
    writing = world.write

    def other_first(key: str, content: bytes, version: str | None = None) -> bool:
        world.write = writing  # type: ignore[method-assign]
        remove_and_stop(world, runs[1], keep=indexes[0].digest)
        return writing(key, content, version)

    def at_the_removals(key: str, content: bytes, version: str | None = None) -> bool:
        return (other_first if key == REMOVALS else writing)(key, content, version)

    world.write = at_the_removals  # type: ignore[method-assign]
    remove_and_stop(world, runs[0], keep=indexes[1].digest)

    pending = Begun.decode(world.objects[REMOVALS]).pending
    assert pending.keys() == {child.digest for child in children}
    assert world.repository.images.keys() == {child.digest for child in children}
    world.run().remove()
    assert world.repository.images == {}


def remove_and_stop(world: World, run: Run, *, keep: Digest) -> None:
    """Let a run remove an index but not its child, while another index is declared for this run only."""
    run.declarations = Fixed(Declared(digests={keep: "Stack"}))
    children = {child for child, manifest in world.repository.images.items() if not manifest.children}

    def refuse(digest: Digest, _: object) -> None:
        if digest in children:
            over = DeadlineError("ran out of time")
            raise over

    before, world.repository.before_removal = world.repository.before_removal, refuse
    run.remove()
    world.repository.before_removal = before


@dataclass(frozen=True)
class Fixed:
    """Declarations that never change."""

    declared: Declared

    def read(self) -> Declared:
        return self.declared


def test_a_part_of_an_image_that_is_now_kept_is_no_longer_pending() -> None:
    world = World()
    child = world.push("child")
    index = world.push("index", "x", children=[child])
    world.repository.before_removal = lambda *_: world.fail(DeadlineError("ran out of time"))()
    world.run().remove()
    assert child.digest in Begun.decode(world.objects[REMOVALS]).pending
    world.repository.before_removal = lambda *_: None
    world.declare(index.digest)
    world.run().remove()

    assert Begun.decode(world.objects[REMOVALS]).pending == {}


def test_a_part_that_is_now_kept_itself_is_no_longer_pending() -> None:
    """Otherwise a later run would remove it although no rule selects it."""
    world = World()
    child = world.push("child")
    world.push("index", "x", children=[child])
    world.refuse(child.digest, times=10_000)
    world.run().remove()
    assert child.digest in Begun.decode(world.objects[REMOVALS]).pending
    world.declare(child.digest)
    world.run().remove()

    assert Begun.decode(world.objects[REMOVALS]).pending == {}


def test_keeps_an_image_that_gets_a_referrer_during_the_run() -> None:
    world = World()
    old = world.push("old", "0.9")

    # This happens after listing and before the removal.
    def sign() -> None:
        world.push("signature", f"sha256-{old.digest.hex}.sig", days=0)

    world.at |= {3: sign, 4: sign, 5: sign}
    world.run().remove()

    assert old.digest in world.repository.images


def test_keeps_a_signature_if_the_list_lacks_its_subject() -> None:
    world = World()
    image = world.push("image", "1.0")
    signature = world.push("signature", f"sha256-{image.digest.hex}.sig")
    world.declare(image.digest)
    world.skipped.add(image.digest)
    world.run().remove()

    assert {image.digest, signature.digest} <= world.repository.images.keys()


def test_follows_a_policy_that_is_corrected_after_an_interruption() -> None:
    world = World()
    world.push("old")
    world.at[6] = world.fail(DeadlineError("ran out of time"))
    world.at[7] = world.fail(DeadlineError("ran out of time"))
    world.run().remove()
    run = world.run()
    run.retention = Retention(rules=[replace(EVERYTHING[0], number=365)])

    assert not run.report().going


def test_removes_images_that_name_each_other_as_signatures_together() -> None:
    world = World()
    first, second = world.push("first", "x"), world.push("second", "y")
    world.repository.tags |= {
        f"sha256-{second.digest.hex}.sig": first.digest,
        f"sha256-{first.digest.hex}.sig": second.digest,
    }
    world.run().remove()

    assert world.repository.images == {}


def test_keeps_what_is_declared_during_the_run() -> None:
    world = World()
    child = world.push("child")
    world.push("index", children=[child])
    run = world.run()
    calls_until_the_index_is_gone: list[int] = []
    world.at = {}

    def declare() -> None:
        world.declare(child.digest)

    removing = world.repository.remove_images

    def then_declare(digests: list[Digest]) -> object:
        result = removing(digests)
        calls_until_the_index_is_gone.append(1)
        declare()
        return result

    world.repository.remove_images = then_declare  # type: ignore[method-assign,assignment]
    run.remove()

    assert calls_until_the_index_is_gone[0] == 1
    assert child.digest in world.repository.images


def test_a_run_removes_at_most_its_limit_and_the_next_one_continues() -> None:
    world = World()
    for number in range(5):
        child = world.push(f"child {number}", days=9 + number)
        world.push(f"index {number}", f"0.{number}", days=9 + number, children=[child])

    first = world.run(limit=3).remove()

    assert len(first.removed) == 6, "three indexes, each with its child"
    assert world.broken_indexes() == []
    world.run(limit=3).remove()
    assert world.repository.images == {}


def test_the_next_run_removes_the_child_of_a_removed_index() -> None:
    """This needs no rule for untagged images."""
    world = World()
    child = world.push("child", days=9)
    index = world.push("index", children=[child])
    removing = world.repository.remove_images

    def then_fail(digests: list[Digest]) -> object:
        result = removing(digests)
        world.at[world.calls + 1] = world.fail(DeadlineError("ran out of time"))
        return result

    world.repository.remove_images = then_fail  # type: ignore[method-assign,assignment]
    report = world.run().remove()
    world.repository.remove_images = removing  # type: ignore[method-assign]

    assert report.removed == {index.digest}
    assert report.problem == "not everything could be removed in time; the next run continues"
    assert Begun.decode(world.objects[REMOVALS]).pending == {child.digest: frozenset({index.digest})}
    world.run().remove()
    assert world.repository.images == {}
    assert world.run().report().outcomes == []


@pytest.mark.parametrize("error", ERRORS, ids=["unavailable", "deadline", "denied"])
def test_removes_nothing_if_anything_cannot_be_read(error: Callable[[], ImageError]) -> None:
    world = World()
    world.push("old", "0.9")
    world.unreadable = error()

    report = world.run().remove()

    assert report.problem
    assert world.repository.writes == []


def test_reads_each_manifest_once() -> None:
    world = World()
    for number in range(30):
        world.push(f"image {number}", days=0.1)
    world.run().report()
    calls = world.calls

    world.run().report()

    assert calls >= 30
    assert world.calls - calls < 6


UNREADABLE = {
    "nothing": b"",
    "not compressed": b"{}",
    "not an object": gzip.compress(b"[]"),
    "of a later version": gzip.compress(json.dumps({"version": 2}).encode()),
    "cut off": gzip.compress(b"{" * 9)[:-9],
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_an_invalid_state_counts_as_empty(content: bytes) -> None:
    assert decode_links(content) == {}
    assert Begun.decode(content) == Begun()
