"""Rollback is disabled: only the failed resource is undone, and a stack that never succeeded is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.scenarios.test_time import TickingClock
from tests.support.course import Course, Delivery, Deployment
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    MOVING,
    OPTIONS,
    REMOVING,
    TWO_KINDS,
    UNTAG,
    Kind,
    Options,
    Properties,
    Release,
    Scene,
    declare,
    template,
)

INSTANCES = pytest.mark.parametrize("instance", ["warm", "cold"])

REFUSED = "LimitExceededException"
"""A permanent error."""


def update_and_fail(scene: Scene, stack: DeployedStack, tried: Properties, instance: str) -> Deployment:
    """Update the resource without a rollback. It fails, and is undone while the stack is in UPDATE_IN_PROGRESS."""

    def meanwhile() -> None:
        scene.sandbox.faults.clear()
        if instance == "cold":
            scene.start_cold()

    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", meanwhile=meanwhile))
    assert [change.succeeded for change in failed.changes] == [False]
    assert stack.status == "UPDATE_FAILED"
    return failed


def make_fail(scene: Scene, why: str, tried: Properties) -> Properties:
    """Make a declaration fail: before anything is written, or after its first tag has moved."""
    if why == "a rule":
        return {**tried, "RequiredPlatforms": ["linux/s390x"]}
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code=REFUSED, times=None))
    return {**tried, "ImageTags": [*tried["ImageTags"], "new"]}


@MOVING
@INSTANCES
@pytest.mark.parametrize("why", ["a rule", "a tag that cannot be put"])
def test_u10_a_failed_update_goes_back_to_the_deployed_image(
    scene: Scene, stack: DeployedStack, kind: Kind, instance: str, why: str
) -> None:
    """The source has moved since. CloudFormation sends the reverse Update in UPDATE_IN_PROGRESS."""
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest")))
    tried = make_fail(scene, why, declare(scene.release(kind, "second"), "latest", Refresh="1"))

    failed = update_and_fail(scene, stack, tried, instance)

    assert failed.reasons == []
    assert scene.tags() == {"latest": "first"}
    assert scene.names[stack.resources["Agent"].data["ImageDigest"]] == "first"


@MOVING
@pytest.mark.parametrize("seconds", [32.0, 35.0, 38.0, 41.0, 44.0, 47.0])
def test_u10_an_update_that_ran_out_of_time_goes_back_to_the_deployed_image(
    scene: Scene, kind: Kind, seconds: float
) -> None:
    """The time for the work is over before or after the update has written its record."""
    clock = scene.clock = TickingClock()
    scene.plane.wall = clock.wall
    stack = scene.stack()
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest")))
    tried = template(stack, Agent=declare(scene.release(kind, "second"), "latest", Refresh="1"))
    course = Course(other_fails_after=9, on_failure="NOTHING", deliveries=[Delivery(seconds=seconds)])
    clock.tick = 0.4

    failed = stack.deploy(tried, replace(course, meanwhile=lambda: setattr(clock, "tick", 0.0)))

    succeeded = failed.changes[0].succeeded
    assert not (succeeded and seconds < 40)
    assert scene.tags() == {"latest": "second" if succeeded else "first"}


@MOVING
@INSTANCES
def test_u10_the_reverse_of_a_successful_update_is_not_an_undo(
    scene: Scene, stack: DeployedStack, kind: Kind, instance: str
) -> None:
    """The same update is deployed again and succeeds. Then its reverse is an ordinary update."""
    old = declare(scene.release(kind, "first"), "latest")
    stack.deploy(template(stack, Agent=old))
    tried = make_fail(scene, "a tag that cannot be put", declare(scene.release(kind, "second"), "latest", Refresh="1"))
    update_and_fail(scene, stack, tried, instance)
    assert stack.deploy(template(stack, Agent=tried)).status == "COMPLETE"
    scene.release(kind, "third")

    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"

    assert scene.tags()["latest"] == "third"


@MOVING
def test_u10_an_update_whose_undo_failed_can_be_deployed_again(scene: Scene, stack: DeployedStack, kind: Kind) -> None:
    """Its request was lost, and a person had deleted the previous image."""
    first = scene.push("first")
    stack.deploy(template(stack, Agent=declare(first, "latest")))
    scene.delete(first.digest)
    tried = template(stack, Agent=declare(scene.release(kind, "second"), "latest"))
    failed = stack.deploy(tried, Course(on_failure="NOTHING", deliveries=[Delivery(lost="request")]))
    assert [reason.partition(":")[0] for reason in failed.reasons] == ["NOT_FOUND"]

    assert stack.deploy(tried).status == "COMPLETE"

    assert scene.tags() == {"latest": "second"}


@MOVING
@INSTANCES
def test_u11_an_immutable_tag_of_a_moved_source_does_not_block_an_undo(
    scene: Scene, stack: DeployedStack, kind: Kind, instance: str
) -> None:
    rules = {"ImmutableTags": ["1.*"]}
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "1.0", **rules)))
    tried = declare(scene.release(kind, "second"), "1.0", Refresh="1", **rules)

    failed = update_and_fail(scene, stack, tried, instance)

    assert failed.changes[0].answer
    assert failed.changes[0].answer.reason.startswith("RULE_VIOLATION")
    assert failed.reasons == []
    assert scene.tags() == {"1.0": "first"}


@INSTANCES
def test_u11_an_immutable_tag_goes_back_to_what_was_declared_before(
    scene: Scene, stack: DeployedStack, instance: str
) -> None:
    """The failed update did not declare it immutable, moved it, and could not move it back."""
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "first"), "1.0", ImmutableTags=["1.*"])))
    tried = declare(scene.release("digest", "second"), "1.0", "2")
    scene.sandbox.faults.add(
        Fault(operation="PutImage", reference="2", code=REFUSED, times=None),
        Fault(operation="PutImage", reference="1.0", skip=1, code=REFUSED, times=None),
    )

    failed = update_and_fail(scene, stack, tried, instance)

    assert failed.changes[0].answer
    assert "could not be moved back: 1.0" in failed.changes[0].answer.reason
    assert failed.reasons == []
    assert scene.tags() == {"1.0": "first"}


def test_u11_a_release_does_not_move_an_immutable_tag(scene: Scene, stack: DeployedStack) -> None:
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "first"), "1.0")))

    tried = declare(scene.release("digest", "second"), "1.0", ImmutableTags=["1.*"])
    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING"))

    assert failed.changes[0].answer
    assert failed.changes[0].answer.reason.startswith("RULE_VIOLATION: tag '1.0' is immutable")
    assert scene.tags() == {"1.0": "first"}


def take_over(scene: Scene, stack: DeployedStack, options: Options, course: Course) -> Release:
    """Take ``latest`` over from a script, in a deployment that fails."""
    scene.push("by hand", "latest")
    release = scene.release("digest", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options)), course)
    return release


@OPTIONS
@INSTANCES
def test_u12_a_stack_that_never_succeeded_gives_back_the_tag_that_it_took_over(
    scene: Scene, stack: DeployedStack, options: Options, instance: str
) -> None:
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
    assert (stack.status, scene.tags()["latest"]) == ("CREATE_FAILED", "first")
    if instance == "cold":
        scene.start_cold()

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}
    assert scene.images() >= {"first", "by hand"}
    assert scene.parameters() == {}


@OPTIONS
def test_u12_a_stack_that_is_deleted_because_it_failed_gives_back_the_tag_that_it_took_over(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """``OnFailure: DELETE``: there is no rollback first."""
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="DELETE"))

    assert stack.status == "DELETE_COMPLETE"
    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@OPTIONS
def test_u12_a_resource_that_never_succeeded_gives_its_tag_back_when_an_older_stack_is_deleted(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The stack was created successfully, but a later deployment that added the resource failed."""
    stack.deploy({})
    assert stack.status == "CREATE_COMPLETE"
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
    assert stack.status == "UPDATE_FAILED"

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@OPTIONS
def test_u12_an_update_that_never_succeeded_gives_back_the_tag_that_it_took_over(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "zeroth"), "1", **options)))
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
    assert (stack.status, scene.tags()["latest"]) == ("UPDATE_FAILED", "first")

    assert stack.destroy()

    assert scene.tags().get("latest") == "by hand"
    assert ("1" in scene.tags()) == (options != DESTROY)


@OPTIONS
@pytest.mark.parametrize("tries", [0, 1], ids=["at the first attempt", "at the second attempt"])
def test_u12_a_stack_that_succeeded_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options, tries: int
) -> None:
    if tries:
        release = take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
        stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options)))
    else:
        take_over(scene, stack, options, Course())
    assert stack.status.endswith("E_COMPLETE")

    assert stack.destroy()

    assert scene.tags() == ({} if options == DESTROY else {"latest": "first", "1": "first"})
    assert scene.parameters() == {}


@TWO_KINDS
@REMOVING
@pytest.mark.parametrize("on_failure", ["NOTHING", "DELETE"])
def test_u12_a_new_tag_of_a_stack_that_never_succeeded_is_removed_with_it(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, on_failure: Literal["NOTHING", "DELETE"]
) -> None:
    declared = declare(scene.release(kind, "first"), "latest", **options)
    stack.deploy(template(stack, Agent=declared), Course(other_fails_after=1, on_failure=on_failure))

    assert on_failure == "DELETE" or stack.destroy()

    assert scene.tags() == {}
    assert scene.parameters() == {}


@TWO_KINDS
@REMOVING
def test_u12_a_new_tag_of_a_resource_that_failed_twice_is_removed_with_it(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """The second failure updates what the first one created."""
    course = Course(other_fails_after=1, on_failure="NOTHING")
    for name in ("first", "second"):
        declared = declare(scene.release(kind, name), "latest", Refresh=name, **options)
        stack.deploy(template(stack, Agent=declared), course)

    assert stack.destroy()

    assert scene.tags() == {}


@TWO_KINDS
def test_u12_deleting_a_stack_whose_update_was_rolled_back_leaves_its_tag(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """No deployment has succeeded since the update, but one had before it."""
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest", **UNTAG)))
    tried = declare(scene.release(kind, "second"), "latest", "2", Refresh="1", **UNTAG)
    stack.deploy(template(stack, Agent=tried), Course(other_fails_after=1))

    assert stack.destroy()

    assert scene.tags() == {"latest": "first"}


@TWO_KINDS
@OPTIONS
def test_u12_a_creation_that_never_succeeded_gives_its_tag_back_after_an_update_was_undone(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """Rollback is disabled: CloudFormation undoes the failed update, but not the creation before it."""
    scene.push("by hand", "latest")
    declared = declare(scene.release(kind, "first"), "latest", **options)
    stack.deploy(template(stack, Agent=declared), Course(other_fails_after=1, on_failure="NOTHING"))
    tried = declare(scene.release(kind, "second"), "latest", "new", Refresh="1", **options)
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code=REFUSED, times=None))
    update_and_fail(scene, stack, tried, "warm")

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand"}


@TWO_KINDS
@REMOVING
@pytest.mark.parametrize("second", ["first", "second"], ids=["of one image", "of two images"])
@pytest.mark.parametrize("is_third_undone", [False, True], ids=["two failures", "three failures"])
def test_u2_new_tags_of_several_failures_are_removed_when_they_are_rolled_back(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, second: str, *, is_third_undone: bool
) -> None:
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "zeroth"), "1", **options)))
    stable = dict(stack.resources)
    for name, tags in ("first", ("1", "2")), (second, ("1", "2", "3")):
        tried = declare(scene.release(kind, name), *tags, Refresh=tags[-1], **options)
        stack.deploy(template(stack, Agent=tried), Course(other_fails_after=1, on_failure="NOTHING"))
    if is_third_undone:
        refused = {**tried, "ImageTags": ["1", "2", "3", "new"]}
        scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code=REFUSED, times=None))
        update_and_fail(scene, stack, refused, "warm")

    undone = stack.roll_back(stable)

    assert undone.reasons == []
    assert scene.tags() == {"1": "zeroth"}


@OPTIONS
def test_u12_an_image_of_a_failed_creation_that_another_resource_deploys_keeps_its_tag(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The failed creation moved its tag back. It is deleted at the end of the next deployment."""
    first, second = scene.push("first", "mine"), scene.push("second", "yours")
    old = declare(first, "latest", **options)
    stack.deploy(template(stack, One=old))
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code=REFUSED, times=None))
    failed = template(stack, One=old, Two=declare(second, "latest", "new", **options))
    stack.deploy(failed, Course(on_failure="NOTHING"))
    assert scene.tags()["latest"] == "first"
    scene.sandbox.faults.clear()

    stack.deploy(template(stack, Three=declare(second, "latest", **options)))

    assert stack.status == "UPDATE_COMPLETE"
    assert scene.tags()["latest"] == "second"


@REMOVING
def test_u12_a_stack_still_owns_its_tag_after_its_move_to_another_repository_was_rolled_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The rollback sends the reverse Update with the physical ID of the new repository."""
    image = scene.push("first")
    scene.push("first", to=ELSEWHERE)
    here = declare(image, "latest", **options)
    stack.deploy(template(stack, Agent=here))
    stack.deploy(template(stack, Agent={**here, "RepositoryName": ELSEWHERE}), Course(other_fails_after=1))

    assert stack.destroy()

    assert scene.tags() == ({} if options == DESTROY else {"latest": "first"})
    assert scene.tags(ELSEWHERE) == {}


def redeploy_after_a_failed_takeover(
    scene: Scene, stack: DeployedStack, options: Options, names: Sequence[str]
) -> None:
    """Deploy a resource that takes a tag over and fails, and then an older resource with that tag and a new image."""
    before, failed, new = scene.push("before"), scene.push("failed"), scene.push("new")
    old = declare(before, "latest")
    stack.deploy(template(stack, Agent=old))
    tried = declare(failed, "latest", **options)
    course = Course(on_failure="NOTHING", deliveries=[Delivery(lost="answer")])
    stack.deploy(template(stack, Agent=old, Nightly=tried), course)
    stack.pace = 0.5
    scene.lag(5)
    resources = {"Agent": declare(new, "latest"), "Nightly": {**tried, "ImageTags": []}}
    stack.deploy(template(stack, **{name: resources[name] for name in names}))


@OPTIONS
def test_u12_a_tag_that_another_resource_has_just_put_is_not_given_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """CloudFormation deletes the failed resource half a second after the other update; reads are five seconds old."""
    redeploy_after_a_failed_takeover(scene, stack, options, ["Agent"])

    assert stack.status == "UPDATE_COMPLETE"
    assert scene.tags() == {"latest": "new"}


@OPTIONS
def test_u12_a_dropped_tag_that_another_resource_has_just_put_is_not_given_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    redeploy_after_a_failed_takeover(scene, stack, options, ["Agent", "Nightly"])

    assert stack.status == "UPDATE_COMPLETE"
    assert scene.tags() == {"latest": "new"}


@MOVING
@OPTIONS
@pytest.mark.parametrize("why", ["a rule", "a lost response", "a lost request"])
def test_u10_a_failed_move_to_another_repository_leaves_the_deployed_image(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, why: str
) -> None:
    """The source has moved since. CloudFormation sends the reverse Update to the resource that it knows."""
    here = declare(scene.release(kind, "first"), "latest", **options)
    stack.deploy(template(stack, Agent=here))
    scene.release(kind, "second")
    there = {**here, "RepositoryName": ELSEWHERE, **({"RequiredPlatforms": ["linux/s390x"]} if why == "a rule" else {})}
    lost: dict[str, Literal["request", "answer"]] = {"a lost response": "answer", "a lost request": "request"}
    deliveries = [Delivery(lost=lost.get(why))]

    failed = stack.deploy(template(stack, Agent=there), Course(on_failure="NOTHING", deliveries=deliveries))

    assert (failed.status, failed.reasons) == ("FAILED", [])
    assert scene.tags() == {"latest": "first"}


@TWO_KINDS
def test_r1_a_resource_owns_its_tags_after_a_failed_move_to_another_repository(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    here = declare(scene.release(kind, "first"), "latest", **DESTROY)
    stack.deploy(template(stack, Agent=here))
    there = {**here, "RepositoryName": ELSEWHERE, "RequiredPlatforms": ["linux/s390x"]}
    stack.deploy(template(stack, Agent=there), Course(on_failure="NOTHING"))
    assert scene.tags() == {"latest": "first"}

    assert stack.destroy()

    assert scene.tags() == {}


@pytest.mark.parametrize("lost", [None, "answer"], ids=["it failed", "its response was lost"])
def test_u10_a_failed_update_that_removes_gives_tags_back_to_a_declaration_that_keeps(
    scene: Scene, stack: DeployedStack, lost: Literal["answer"] | None
) -> None:
    """It fails after it has moved its tags, when it removes the dropped one."""
    scene.push("by hand", "latest")
    first, second = scene.push("first", "mine"), scene.push("second")
    stack.deploy(template(stack, Agent=declare(first, "1", "dropped")))
    scene.sandbox.faults.add(
        Fault(operation="BatchDeleteImage", code="RepositoryPolicyNotFoundException", times=1 if lost is None else 0)
    )
    tried = declare(second, "1", "latest", **UNTAG)

    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", deliveries=[Delivery(lost=lost)]))

    assert (failed.status, failed.reasons) == ("FAILED", [])
    assert scene.tags() == {"1": "first", "dropped": "first", "latest": "by hand", "mine": "first"}
