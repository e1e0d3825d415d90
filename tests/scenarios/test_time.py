"""
However little time is left, there is exactly one response, and it says where the tags are.

T3 (``ImageAlreadyExistsException``) and T5 (an index that is larger than it
states) are tested elsewhere, where responses and contents are scripted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image
from tests.protocol.cloudformation import Answer
from tests.support.clock import SteppingClock
from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.scene import DESTROY, KEEP, KINDS, OPTIONS, UNTAG, Kind, Options, Scene, declare, template

READ_TIMES_OUT_SECONDS = 20.0


def hang(scene: Scene, operation: str, reference: str, *, skip: int = 0) -> None:
    """Make a request hang until its client gives up. It never takes effect."""
    scene.hooks.before(
        operation,
        lambda: scene.clock.pass_by(READ_TIMES_OUT_SECONDS),
        when=lambda call: call.reference == reference,
        skip=skip,
        times=None,
    )
    scene.sandbox.faults.add(Fault(operation=operation, reference=reference, drop="before", skip=skip, times=None))


def moved_and_unnamed(scene: Scene, before: Image, answer: Answer) -> list[str]:
    """Return the tags that have moved, and that the response does not mention."""
    moved = [tag for tag, name in scene.tags().items() if name != "by hand"]
    return [tag for tag in moved if tag not in answer.reason or before.digest not in answer.reason]


@pytest.mark.parametrize("timeout", [60, 300])
@pytest.mark.parametrize("worse", ["", "reads hang too", "alpha cannot be moved back"])
def test_t1_if_requests_hang_moved_tags_go_back_or_the_response_names_them(
    scene: Scene, timeout: int, worse: str
) -> None:
    """Each request hangs until its client gives up."""
    stack, before = scene.stack(), scene.push("by hand", "alpha", "beta")
    declared = declare(scene.release("digest", "first"), "alpha", "beta", ServiceTimeout=timeout)
    hang(scene, "PutImage", "beta")
    if worse == "reads hang too":
        hang(scene, "GetManifest", before.digest)
    if worse == "alpha cannot be moved back":
        hang(scene, "PutImage", "alpha", skip=1)

    answer = stack.cloudformation.create(declared, "Agent")

    assert not answer.succeeded
    assert moved_and_unnamed(scene, before, answer) == []


@pytest.fixture
def waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """
    Patch ``Thread.join``: once the event is set, a join with a timeout returns at once and moves the time instead.
    """
    hung, join, threads = threading.Event(), threading.Thread.join, []

    def join_at_once(thread: threading.Thread, timeout: float | None = None) -> None:
        if timeout is None or timeout < 1:
            join(thread, timeout)
            return
        threads.append(thread)
        while thread.is_alive() and not hung.is_set():
            join(thread, 0.01)
        if thread.is_alive():
            scene.clock.pass_by(timeout)

    monkeypatch.setattr(threading.Thread, "join", join_at_once)
    yield hung
    for thread in threads:
        join(thread)


@OPTIONS
def test_t1_if_a_request_never_returns_the_response_names_the_moved_tags(
    scene: Scene, options: Options, waits: threading.Event
) -> None:
    """The response must be sent while the thread that moves tags still waits, so it cannot move them back."""
    stack, before = scene.stack(), scene.push("by hand", "alpha", "beta")
    (properties,) = template(
        stack, Agent=declare(scene.release("digest", "first"), "alpha", "beta", ServiceTimeout=120, **options)
    ).values()
    answered = threading.Event()

    def hang_until_the_response_is_sent() -> None:
        waits.set()
        answered.wait(5)

    scene.hooks.before("PutImage", hang_until_the_response_is_sent, when=lambda call: call.reference == "beta")
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="beta", drop="before", times=None))

    answer = stack.cloudformation.create(properties, "Agent")
    unnamed = moved_and_unnamed(scene, before, answer)
    answered.set()

    assert not answer.succeeded
    assert unnamed == []


@OPTIONS
def test_t1_tags_that_can_be_moved_back_are_moved_back(scene: Scene, options: Options) -> None:
    stack = scene.stack()
    scene.push("by hand", "alpha", "beta")
    declared = declare(scene.release("digest", "first"), "alpha", "beta", ServiceTimeout=300, **options)
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="beta", code="LimitExceededException", times=None))

    stack.deploy(template(stack, Agent=declared))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"alpha": "by hand", "beta": "by hand"}
    assert scene.parameters() == {}


@KINDS
def test_t2_a_refresh_repairs_a_tag_that_a_person_moved_a_moment_ago(scene: Scene, kind: Kind) -> None:
    """Reads are ten seconds old: they show the tag where it should be."""
    stack, release = scene.stack(pace=0.0), scene.release(kind, "first")
    theirs = scene.push("theirs")
    stack.deploy(template(stack, Agent=declare(release, "latest")))
    scene.clock.pass_by(60)
    scene.lag(10)
    scene.move(theirs, "latest")
    stack.rest = 5.0

    done = stack.deploy(template(stack, Agent=declare(release, "latest", Refresh="1")))

    assert done.status == "COMPLETE"
    assert scene.tags() == {"latest": "first"}


@OPTIONS
def test_t2_a_release_that_is_deployed_again_after_its_rollback_moves_its_tags(scene: Scene, options: Options) -> None:
    """Reads are five seconds old: they show the tag at the image of the release."""
    stack, first, second = scene.stack(pace=0.5), scene.push("first"), scene.push("second")
    stack.deploy(template(stack, One=declare(first, "latest", **options)))
    release = template(stack, Two=declare(second, "latest", **options))
    scene.lag(5)
    stack.deploy(release, Course(other_fails_after=1, meanwhile=lambda: scene.clock.pass_by(5)))
    assert scene.tags() == {"latest": "first"}
    stack.rest = 1.0

    done = stack.deploy(release)

    assert done.status == "COMPLETE"
    assert scene.tags() == {"latest": "second"}


@KINDS
def test_t2_an_update_of_an_option_does_not_undo_a_move_that_reads_do_not_show_yet(scene: Scene, kind: Kind) -> None:
    """Such an update relies on reads; ``Refresh`` does not."""
    stack, release = scene.stack(pace=0.0), scene.release(kind, "first")
    theirs = scene.push("theirs")
    stack.deploy(template(stack, Agent=declare(release, "1", "latest")))
    scene.clock.pass_by(60)
    scene.lag(10)
    scene.move(theirs, "latest")
    stack.rest = 5.0

    stack.deploy(template(stack, Agent=declare(release, "1", "latest", ImmutableTags=["1"])))
    assert scene.tags() == {"1": "first", "latest": "theirs"}

    stack.deploy(template(stack, Agent=declare(release, "1", "latest", ImmutableTags=["1"], Refresh="1")))
    assert scene.tags() == {"1": "first", "latest": "first"}


@OPTIONS
@pytest.mark.parametrize("is_undone", [False, True], ids=["succeeds", "is undone"])
def test_t2_a_creation_whose_tags_are_right_sends_one_put_for_each_and_changes_nothing(
    scene: Scene, stack: DeployedStack, options: Options, *, is_undone: bool
) -> None:
    """Reads cannot show that the tags are right, so they are put. The tags belong to another stack, too."""
    other, image = scene.stack("Other"), scene.push("first")
    other.deploy(template(other, Agent=declare(image, "1", "latest", **options)))
    tags, images = scene.tags(), scene.images()
    scene.forget_requests()
    written: list[str] = []

    stack.deploy(
        template(stack, Agent=declare(image, "1", "latest", **options)),
        Course(other_fails_after=1 if is_undone else None, meanwhile=lambda: written.extend(scene.registry_writes())),
    )

    assert (written if is_undone else scene.registry_writes()) == ["PutImage", "PutImage"]
    assert options or "PutParameter" not in scene.plane.requests
    assert (scene.tags(), scene.images()) == (tags, images)
    scene.start_cold()
    with scene.nothing_changes():
        scene.clock.pass_by(120)
        stack.cloudformation.function(stack.sent[0], 900.0)


@pytest.mark.parametrize("options", [KEEP, UNTAG], ids=["keep", "untag"])
def test_u9_a_tag_of_another_stack_that_was_just_moved_comes_back(scene: Scene, options: Options) -> None:
    """Only the resource that took it over can give it back."""
    one, two = scene.stack("One", pace=0.5), scene.stack("Two", pace=0.5)
    first, second, third = map(scene.push, ("first", "second", "third"))
    one.deploy(template(one, One=declare(first, "latest")))
    scene.clock.pass_by(60)
    scene.move(second, "latest")
    two.rest = 1.0
    scene.lag(5)
    release = template(two, Two=declare(third, "latest", **options))

    two.deploy(release, Course(other_fails_after=1, meanwhile=lambda: scene.clock.pass_by(3)))

    assert two.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "second"}


@dataclass
class TickingClock(SteppingClock):
    """A clock on which each call takes *tick* seconds."""

    tick: float = 0.0

    def now(self) -> float:
        self.time += self.tick
        return self.time


@pytest.mark.parametrize("timeout", [1, 3, 6])
@pytest.mark.parametrize(("tick", "queued"), [(0.0, 0.0), (0.3, 0.0), (0.0, 2.5)], ids=["at once", "slow", "queued"])
@pytest.mark.parametrize("request_type", ["Create", "Update", "Delete"])
def test_t4_there_is_one_response_however_short_the_service_timeout_is(
    scene: Scene, timeout: int, tick: float, queued: float, request_type: str
) -> None:
    scene.clock = TickingClock(tick=tick)
    stack, release = scene.stack(), scene.release("digest", "first")
    properties: Any = declare(release, "latest", ServiceTimeout=timeout, **DESTROY)
    physical_id = None if request_type == "Create" else "ecr-public:123456789012/acme/agent:Agent"
    old = properties if request_type == "Update" else None
    event = stack.cloudformation.event(request_type, properties, "Agent", physical_id, old)
    scene.clock.pass_by(queued)

    answer = stack.cloudformation.send(event)

    # The response agrees with the registry.
    assert answer.succeeded or answer.reason
    assert not answer.succeeded or scene.tags() == ({} if request_type == "Delete" else {"latest": "first"})
