"""Rollback is disabled: what failed is undone by itself, and a stack that never succeeded is deleted."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.support.course import Course, Deployment
from tests.support.deployment import DeployedStack
from tests.support.scene import DESTROY, MOVING, OPTIONS, Kind, Options, Properties, Release, Scene, declare, template

INSTANCES = pytest.mark.parametrize("instance", ["warm", "cold"])

REFUSED = "LimitExceededException"
"""An error that no second try cures."""


def update_and_fail(scene: Scene, stack: DeployedStack, tried: Properties, instance: str) -> Deployment:
    """Update the resource without a rollback; it fails by itself, and is undone while the stack is in progress."""

    def meanwhile() -> None:
        scene.sandbox.faults.clear()
        if instance == "cold":
            scene.start_anew()

    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", meanwhile=meanwhile))
    assert [change.succeeded for change in failed.changes] == [False]
    assert stack.status == "UPDATE_FAILED"
    return failed


def break_off(scene: Scene, why: str, tried: Properties) -> Properties:
    """Let a declaration fail: before anything is written, or when its first tag has moved."""
    if why == "a rule":
        return {**tried, "RequiredPlatforms": ["linux/s390x"]}
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code=REFUSED, times=None))
    return {**tried, "ImageTags": [*tried["ImageTags"], "new"]}


@MOVING
@INSTANCES
@pytest.mark.parametrize("why", ["a rule", "a tag that cannot be put"])
def test_u10_what_failed_goes_back_to_what_was_deployed(
    scene: Scene, stack: DeployedStack, kind: Kind, instance: str, why: str
) -> None:
    """The source has moved since; CloudFormation sends an Update the other way round in UPDATE_IN_PROGRESS."""
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest")))
    tried = break_off(scene, why, declare(scene.release(kind, "second"), "latest", Refresh="1"))

    failed = update_and_fail(scene, stack, tried, instance)

    assert failed.reasons == []
    assert scene.tags() == {"latest": "first"}
    assert scene.names[stack.resources["Agent"].data["ImageDigest"]] == "first"


@MOVING
@INSTANCES
def test_u10_an_update_the_other_way_round_that_follows_a_success_is_none(
    scene: Scene, stack: DeployedStack, kind: Kind, instance: str
) -> None:
    """The same update is deployed again, with success; then its opposite is an update like any other."""
    old = declare(scene.release(kind, "first"), "latest")
    stack.deploy(template(stack, Agent=old))
    tried = break_off(scene, "a tag that cannot be put", declare(scene.release(kind, "second"), "latest", Refresh="1"))
    update_and_fail(scene, stack, tried, instance)
    assert stack.deploy(template(stack, Agent=tried)).status == "COMPLETE"
    scene.release(kind, "third")

    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"

    assert scene.tags()["latest"] == "third"


@MOVING
@INSTANCES
def test_u11_an_immutable_tag_of_a_source_that_moved_is_no_obstacle(
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
    """The update that failed did not call it immutable, moved it, and could not move it back."""
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


def test_u11_going_forward_it_does_not_move(scene: Scene, stack: DeployedStack) -> None:
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
def test_u12_a_stack_that_never_succeeded_gives_back_what_it_took(
    scene: Scene, stack: DeployedStack, options: Options, instance: str
) -> None:
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
    assert (stack.status, scene.tags()["latest"]) == ("CREATE_FAILED", "first")
    if instance == "cold":
        scene.start_anew()

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}
    assert scene.images() >= {"first", "by hand"}
    assert scene.parameters() == {}


@OPTIONS
def test_u12_a_stack_that_is_deleted_because_it_failed_gives_back_what_it_took(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """``OnFailure: DELETE``: no rollback comes before."""
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="DELETE"))

    assert stack.status == "DELETE_COMPLETE"
    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@OPTIONS
def test_u12_a_resource_that_never_succeeded_gives_back_when_an_older_stack_is_deleted(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """That the stack was created with success says nothing of what a later deployment of it added."""
    stack.deploy({})
    assert stack.status == "CREATE_COMPLETE"
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
    assert stack.status == "UPDATE_FAILED"

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@OPTIONS
def test_u12_an_update_that_never_succeeded_gives_back_what_it_took(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "zeroth"), "1", **options)))
    take_over(scene, stack, options, Course(other_fails_after=1, on_failure="NOTHING"))
    assert (stack.status, scene.tags()["latest"]) == ("UPDATE_FAILED", "first")

    assert stack.destroy()

    assert scene.tags().get("latest") == "by hand"
    assert ("1" in scene.tags()) == (options != DESTROY)


@OPTIONS
@pytest.mark.parametrize("tries", [0, 1], ids=["at once", "at the second try"])
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
