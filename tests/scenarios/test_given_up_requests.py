"""
A Create or Update that runs on after CloudFormation has undone it.

If another resource fails, CloudFormation does not wait for running requests.
What such a request does after its undo would stay: nothing would undo it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.protocol.cloudformation import Answer
from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.hooks import Hook
from tests.support.scene import (
    KEEP,
    OPTIONS,
    REMOVING,
    UNTAG,
    UPSTREAM,
    Kind,
    Options,
    Scene,
    declare,
    template,
)

LONG = {"ServiceTimeout": 3600}

IS_NEW = pytest.mark.parametrize("is_new", [False, True], ids=["updated", "created"])
OTHERS = pytest.mark.parametrize("others", [KEEP, UNTAG], ids=["other keeps", "other untags"])


@dataclass
class GivenUp:
    """
    A stack with one image, ``Agent``, and a request for it that CloudFormation undoes while it runs.

    Attributes:
        options: The options of all its declarations.
        event: The request.
    """

    scene: Scene
    stack: DeployedStack
    options: Options = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)

    def agent(self, kind: Kind, name: str, *tags: str) -> dict[str, Any]:
        """Return a template with an image."""
        release = self.scene.release(kind, name)
        return dict(template(self.stack, Agent=declare(release, *tags, **self.options, **LONG)))

    def send(self, template: Mapping[str, Any]) -> None:
        """Send the request for the image of a template: a Create if the stack has none, else an Update."""
        new, old = template["Agent"], self.stack.resources.get("Agent")
        self.stack.record.enter("UPDATE_IN_PROGRESS" if self.stack.resources else "CREATE_IN_PROGRESS")
        if old is None:
            self.event = self._sent("Create", new, "Agent")
        else:
            self.event = self._sent("Update", new, "Agent", old.physical_id, old.properties)

    def undo(self, *, after: float = 40, then: float = 40, is_over: bool = False) -> None:
        """
        Undo the request.

        Args:
            after: How long after it was sent, in seconds.
            then: How long the request waits when it is undone.
            is_over: Whether the other resources are undone, too.
        """
        stack, new = self.stack, self.event["ResourceProperties"]
        self.scene.clock.pass_by(after)
        rollback = "UPDATE_ROLLBACK" if stack.resources else "ROLLBACK"
        stack.record.enter(f"{rollback}_IN_PROGRESS")
        if (old := stack.resources.get("Agent")) is None:
            back = self._sent("Delete", new, "Agent", stack.invented_id("Agent"))
        else:
            back = self._sent("Update", old.properties, "Agent", old.physical_id, new)
        self.scene.start_cold()
        assert stack.cloudformation.send(back).succeeded
        stack.record.change("Agent", "DELETE_COMPLETE" if old is None else "UPDATE_COMPLETE")
        if is_over:
            stack.record.enter(f"{rollback}_COMPLETE")
        self.scene.clock.pass_by(then)

    def undo_and_throttle(self, operation: str) -> None:
        """Undo the request, and throttle a request of its own."""
        self.undo()
        self.scene.sandbox.faults.add(Fault(operation=operation, code="ThrottlingException", times=1))

    def deliver(self, hook: Hook) -> Answer:
        """Deliver the request, which must run into *hook*."""
        answer = self.stack.cloudformation.send(self.event)
        assert hook.ran == 1
        return answer

    def _sent(self, *arguments: Any) -> dict[str, Any]:
        event = dict(self.stack.cloudformation.event(*arguments))
        self.stack.record.change("Agent", f"{event['RequestType'].upper()}_IN_PROGRESS")
        return event


def given_up(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind, *tags: str, is_new: bool
) -> tuple[GivenUp, dict[str, str]]:
    """Send a request that moves *tags*, which a person or the resource itself has put; return it, and the tags."""
    scene.push("by hand", *tags)
    request = GivenUp(scene, stack, options)
    if not is_new:
        stack.deploy(request.agent("digest", "first", *tags))
    request.send(request.agent(kind, "second", *tags))
    return request, scene.tags()


def assert_too_late(answer: Answer) -> None:
    assert not answer.succeeded
    assert answer.reason.startswith("TOO_LATE: ")


@IS_NEW
@OPTIONS
def test_l3_a_request_that_is_still_copying_when_it_is_undone_puts_no_tag(
    scene: Scene, stack: DeployedStack, options: Options, *, is_new: bool
) -> None:
    request, before = given_up(scene, stack, options, "copy", "latest", is_new=is_new)
    hook = scene.hooks.before("StartUpload", request.undo)

    assert_too_late(request.deliver(hook))

    assert scene.tags() == before


@IS_NEW
def test_l3_a_request_that_was_undone_in_the_second_in_which_it_was_sent_puts_no_tag(
    scene: Scene, stack: DeployedStack, *, is_new: bool
) -> None:
    """Then the time of its status is not later than its own, but the status is another one."""
    request, before = given_up(scene, stack, KEEP, "copy", "latest", is_new=is_new)
    hook = scene.hooks.before("StartUpload", partial(request.undo, after=0.5, then=300))

    assert_too_late(request.deliver(hook))

    assert scene.tags() == before


@pytest.mark.parametrize("number", [0, 1, 2], ids=["first tag", "second tag", "third tag"])
@IS_NEW
@OPTIONS
def test_l3_a_request_whose_tag_is_throttled_when_it_is_undone_puts_no_further_tag(
    scene: Scene, stack: DeployedStack, options: Options, number: int, *, is_new: bool
) -> None:
    """Hundreds of images share the quota of PutImage, so that a release may move its tags for minutes."""
    request, before = given_up(scene, stack, options, "digest", "latest", "1", "1.2", is_new=is_new)
    hook = scene.hooks.before("PutImage", lambda: request.undo_and_throttle("PutImage"), skip=number)

    assert_too_late(request.deliver(hook))

    assert scene.tags() == before


@IS_NEW
@OPTIONS
def test_l3_a_request_that_is_undone_while_it_moves_its_tags_back_moves_none(
    scene: Scene, stack: DeployedStack, options: Options, *, is_new: bool
) -> None:
    """Its second tag is refused. The first one has an image of another release by now."""
    request, _ = given_up(scene, stack, options, "digest", "latest", "1", is_new=is_new)
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="1", code="LimitExceededException", times=1))

    def undo() -> None:
        request.undo(is_over=True)
        scene.push("by hand later", "latest")
        scene.sandbox.faults.add(Fault(operation="PutImage", reference="latest", code="ThrottlingException", times=1))

    hook = scene.hooks.before("PutImage", undo, when=lambda call: call.reference == "latest", skip=1)

    assert_too_late(request.deliver(hook))

    assert scene.tags()["latest"] == "by hand later"


def test_l3_an_update_whose_removal_of_tags_is_throttled_when_it_is_undone_removes_none(
    scene: Scene, stack: DeployedStack
) -> None:
    """The undo leaves these tags as they are, because they have not moved."""
    request = GivenUp(scene, stack, UNTAG)
    stack.deploy(request.agent("digest", "first", "latest", "1", "1.2"))
    before = scene.tags()
    request.send(request.agent("digest", "second", "latest"))
    hook = scene.hooks.before("BatchDeleteImage", lambda: request.undo_and_throttle("BatchDeleteImage"))

    assert_too_late(request.deliver(hook))

    assert scene.tags() == before


@pytest.mark.parametrize("drop", ["after", None], ids=["response lost", "response received"])
@OTHERS
def test_l3_a_removal_that_is_undone_puts_back_what_another_stack_has_taken_since(
    scene: Scene, stack: DeployedStack, others: Options, drop: Any
) -> None:
    """The removal takes effect after its undo and after the release of the other stack."""
    request, other = GivenUp(scene, stack, UNTAG), scene.stack("Other")
    stack.deploy(request.agent("digest", "first", "latest", "1", "2"))
    scene.clock.pass_by(600)
    request.send(request.agent("digest", "second", "latest"))

    def undo() -> None:
        request.undo(after=3, then=0, is_over=True)
        other.rest = other.pace = 1
        theirs = declare(scene.release("digest", "first"), "1", "2", **others, **LONG)
        assert other.deploy(template(other, Theirs=theirs)).status == "COMPLETE"
        scene.clock.pass_by(6)

    if drop:
        scene.sandbox.faults.add(Fault(operation="BatchDeleteImage", drop=drop, times=1))

    request.deliver(scene.hooks.before("BatchDeleteImage", undo))

    assert scene.tags() == {"latest": "first", "1": "first", "2": "first"}


def failed_without_rollback(scene: Scene, stack: DeployedStack) -> GivenUp:
    """Take over two tags in a deployment that fails with rollback disabled, and send the next one, which drops them."""
    request = GivenUp(scene, stack, UNTAG)
    stack.deploy(request.agent("digest", "first", "latest"))
    failed = Course(other_fails_after=1, on_failure="NOTHING")
    stack.deploy(request.agent("digest", "second", "latest", "a", "b"), failed)
    return request


def test_l3_an_update_that_is_undone_while_it_gives_tags_back_gives_no_further_tag_back(
    scene: Scene, stack: DeployedStack
) -> None:
    """A person has already repaired one of them, so that a refusal to put it would not be an error."""
    hand = scene.push("by hand", "a", "b")
    request = failed_without_rollback(scene, stack)
    scene.move(hand, "a")
    scene.clock.pass_by(600)
    request.send(request.agent("digest", "third", "latest"))
    restored: dict[str, str] = {}

    def undo() -> None:
        request.undo(then=0)
        restored.update(scene.tags())
        scene.clock.pass_by(40)

    hook = scene.hooks.before("GetManifest", undo, when=lambda call: call.reference == hand.digest)

    assert_too_late(request.deliver(hook))

    assert scene.tags() == restored


@pytest.mark.parametrize("is_undone", [True, False], ids=["undone", "not undone"])
def test_l3_an_update_returns_a_tag_that_another_stack_has_taken_while_it_gave_the_tag_back(
    scene: Scene, stack: DeployedStack, *, is_undone: bool
) -> None:
    scene.push("by hand", "a", "b")
    request, other = failed_without_rollback(scene, stack), scene.stack("Other")
    scene.clock.pass_by(600)
    request.send(request.agent("digest", "third", "latest"))

    def undo() -> None:
        if is_undone:
            request.undo(after=3, then=0)
        other.rest = other.pace = 1
        theirs = declare(scene.release("digest", "second"), "a", **UNTAG, **LONG)
        assert other.deploy(template(other, Theirs=theirs)).status == "COMPLETE"
        scene.clock.pass_by(6)
        scene.sandbox.faults.add(Fault(operation="PutImage", reference="b", code="ThrottlingException", times=3))

    request.deliver(scene.hooks.before("PutImage", undo, when=lambda call: call.reference == "a"))

    assert scene.tags()["a"] == "second"


@dataclass
class Unresolved:
    """A request whose source is slow, so that it is undone before its record is written."""

    request: GivenUp
    stays: Mapping[str, Any]

    @property
    def scene(self) -> Scene:
        return self.request.scene

    @property
    def template(self) -> dict[str, Any]:
        return {**self.stays, **self.request.agent("copy", "second", "latest")}

    def run(self, after: float = 40) -> None:
        """Deliver the request, and undo it when it reads its source, *after* so many seconds. A copy takes a minute."""
        undo = partial(self.request.undo, after=after, then=0, is_over=True)
        self.scene.hooks.before("StartUpload", partial(self.scene.clock.pass_by, 60))
        self.scene.clock.pass_by(600)
        self.request.send(self.template)
        before = self.scene.parameters()
        hook = self.scene.hooks.before("GetManifest", undo, when=lambda call: call.repository == UPSTREAM)
        assert_too_late(self.request.deliver(hook))
        assert self.scene.parameters() == before


@pytest.fixture
def unresolved(scene: Scene, stack: DeployedStack, options: Options) -> Unresolved:
    base = template(stack, Base=declare(scene.release("digest", "base"), "base", **LONG))
    stack.deploy(base)
    return Unresolved(GivenUp(scene, stack, options), base)


SLOW = pytest.mark.parametrize("after", [4, 40])


@SLOW
@OPTIONS
def test_l3_a_request_that_is_undone_before_it_has_written_its_record_writes_none(
    scene: Scene, stack: DeployedStack, unresolved: Unresolved, after: float
) -> None:
    """The next rollback would restore what that record knows."""
    scene.push("by hand", "latest")
    unresolved.run(after)
    scene.push("by hand later", "latest")

    undone = stack.deploy(unresolved.template, Course(other_fails_after=1))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags()["latest"] == "by hand later"


@REMOVING
def test_l3_a_request_that_was_undone_does_not_name_an_image_that_was_deleted_since(
    scene: Scene, stack: DeployedStack, unresolved: Unresolved
) -> None:
    """The next rollback would remove the tag, and could not restore it."""
    hand = scene.push("by hand", "latest")
    unresolved.run()
    scene.push("by hand later", "latest")
    scene.delete(hand.digest)

    stack.deploy(unresolved.template, Course(other_fails_after=1))

    assert scene.tags()["latest"] == "by hand later"


@SLOW
@REMOVING
@OTHERS
def test_l3_a_request_that_was_undone_does_not_keep_a_tag_from_the_undo_of_another_stack(
    scene: Scene, unresolved: Unresolved, others: Options, after: float
) -> None:
    scene.push("by hand", "latest")
    unresolved.run(after)
    other = scene.stack("Other")

    other.deploy(
        template(other, Agent=declare(scene.release("copy", "second"), "latest", **others, **LONG)),
        Course(other_fails_after=1),
    )

    assert scene.tags()["latest"] == "by hand"


@OPTIONS
def test_l3_an_update_that_is_undone_before_it_has_written_its_record_writes_none(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("by hand", "extra")
    request = GivenUp(scene, stack, options)
    stack.deploy(request.agent("copy", "first", "latest"))
    scene.clock.pass_by(600)
    new = request.agent("copy", "second", "latest", "extra")
    request.send(new)
    undo = partial(request.undo, is_over=True)
    hook = scene.hooks.before("GetManifest", undo, when=lambda call: call.repository == UPSTREAM)
    assert_too_late(request.deliver(hook))
    scene.push("by hand later", "extra")

    undone = stack.deploy(new, Course(other_fails_after=1))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"extra": "by hand later", "latest": "first"}


@OPTIONS
def test_l3_a_creation_that_was_retried_deletes_no_record_of_the_retry(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The record protects the tag from another stack, which has it on the same image, and is deleted then."""
    other = scene.stack("Other")
    theirs = declare(scene.release("copy", "second"), "latest", **options, **LONG)
    other.deploy(template(other, Theirs=theirs))
    scene.push("second")
    base = template(stack, Base=declare(scene.release("digest", "base"), "base", **LONG))
    stack.deploy(base)
    scene.clock.pass_by(600)
    request = GivenUp(scene, stack)
    new = {**base, **request.agent("copy", "second", "latest")}
    request.send(new)

    def retry() -> None:
        request.undo(then=0, is_over=True)
        stack.rest = stack.pace = 1
        assert stack.deploy(new).status == "COMPLETE"

    request.deliver(scene.hooks.before("GetManifest", retry, when=lambda call: call.repository == UPSTREAM))
    scene.start_cold()

    assert other.destroy()
    assert scene.tags()["latest"] == "second"


def test_l3_an_update_that_fails_after_its_undo_writes_no_record(scene: Scene, stack: DeployedStack) -> None:
    request = GivenUp(scene, stack)
    stack.deploy(request.agent("moving copy", "first", "latest"))
    scene.clock.pass_by(600)
    request.send(request.agent("moving copy", "second", "latest", "1"))
    records: list[object] = []

    def undo() -> None:
        request.undo(is_over=True)
        records.append(scene.parameters())
        scene.sandbox.faults.add(Fault(operation="GetManifest", repository=UPSTREAM, code="DENIED", times=None))

    answer = request.deliver(scene.hooks.before("GetManifest", undo, when=lambda call: call.repository == UPSTREAM))

    assert not answer.succeeded
    assert records == [scene.parameters()]


def test_l3_an_answer_from_before_the_request_does_not_refuse_it(scene: Scene, stack: DeployedStack) -> None:
    """Every request begins with a status of its resource. What CloudFormation shows may lag."""
    request = GivenUp(scene, stack)
    stack.deploy(request.agent("digest", "first", "latest"))
    scene.clock.pass_by(600)
    before = stack.record.resources["Agent"]
    request.send(request.agent("copy", "second", "latest"))

    def show_the_status_from_before() -> None:
        scene.clock.pass_by(12)
        stack.record.resources["Agent"] = before

    assert request.deliver(scene.hooks.before("StartUpload", show_the_status_from_before)).succeeded


def test_l3_a_request_waits_once_for_a_throttled_answer_and_not_for_each_tag(
    scene: Scene, stack: DeployedStack
) -> None:
    tags = [f"1.{number}" for number in range(20)]
    request = GivenUp(scene, stack)
    stack.deploy(request.agent("digest", "first", *tags))
    request.send(request.agent("copy", "second", *tags))
    scene.plane.busy["DescribeStacks"] = 10**6
    began = scene.clock.now()

    answer = request.deliver(scene.hooks.before("StartUpload", partial(scene.clock.pass_by, 12)))

    assert answer.succeeded
    assert scene.clock.now() - began < 60
