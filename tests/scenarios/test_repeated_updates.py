"""An update that failed or was undone is deployed again: it is an ordinary update, and not an undo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.scenarios.released import state_of_version_0_1
from tests.scenarios.test_repeated_undo import run_twice
from tests.support.course import Course, Delivery
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    HOME,
    MOVING,
    OPTIONS,
    REGION,
    REMOVING,
    UNTAG,
    UPSTREAM,
    Kind,
    Options,
    Scene,
    declare,
    template,
)

WITHOUT_ROLLBACK = Course(on_failure="NOTHING")

REFUSED = {"RequiredPlatforms": ["linux/s390x"]}
"""No image has this platform, so a rule refuses every update that is not an undo."""

STATE_OF_0_1 = "/cdk-ecrpublic/acme/agent/Agent.Agent"


@REMOVING
def test_r11_a_tag_that_waited_for_its_index_belongs_to_the_resource_that_declares_it_again(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """Its image is a part of an index, so the undo could not remove it, and left a record that is later than others."""
    whole = scene.push("whole")
    index = declare(whole, "2", **DESTROY)
    released = declare(scene.push("first", "mine"), "1", **options)
    stack.deploy(template(stack, Agent=released, Index=index))
    tried = {**released, "Source": {"Digest": whole.children[0].digest}, "ImageTags": ["2-amd64"]}
    undone = stack.deploy(template(stack, Agent=tried, Index=index), Course(other_fails_after=1))
    assert (undone.status, undone.reasons) == ("ROLLBACK_COMPLETE", [])
    refused = {**tried, **REFUSED}
    assert not stack.deploy(template(stack, Agent=refused, Index=index)).changes[0].succeeded
    assert stack.deploy(template(stack, Agent=tried, Index=index)).status == "COMPLETE"

    assert stack.deploy(template(stack, Agent=tried)).status == "COMPLETE"

    assert scene.tags()["2-amd64"] == "whole linux/amd64"


@MOVING
def test_u10_an_update_whose_undo_failed_publishes_what_its_source_points_to_now(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """The undo failed because someone had deleted the previous image."""
    first = scene.release(kind, "first")
    stack.deploy(template(stack, Agent=declare(first, "latest")))
    tried = template(stack, Agent=declare(scene.release(kind, "second"), "latest", "new", Refresh="1"))
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code="LimitExceededException", times=None))
    course = Course(on_failure="NOTHING", meanwhile=lambda: scene.delete(first.image.digest))
    assert stack.deploy(tried, course).reasons
    scene.sandbox.faults.clear()
    scene.release(kind, "third")

    assert stack.deploy(tried).status == "COMPLETE"

    assert scene.tags() == {"latest": "third", "new": "third"}


@MOVING
def test_u10_an_update_that_failed_before_its_record_can_be_deployed_again(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """Its source did not exist yet, and the declaration before has no record."""
    stack.deploy(template(stack, Agent=declare(scene.push("first"), "latest")))
    source = scene.release(kind, "second")
    scene.delete(source.image.digest, in_repository=HOME if kind == "tag" else UPSTREAM)
    tried = template(stack, Agent=declare(source, "latest"))
    failed = stack.deploy(tried, WITHOUT_ROLLBACK)
    assert (failed.status, failed.reasons) == ("FAILED", [])
    scene.release(kind, "second")

    assert stack.deploy(tried).status == "COMPLETE"

    assert scene.tags()["latest"] == "second"


@REMOVING
@pytest.mark.parametrize("why", ["a lost request", "a missing source"])
def test_u3_an_update_that_failed_before_its_record_gives_back_what_it_takes_over_the_next_time(
    scene: Scene, stack: DeployedStack, options: Options, why: str
) -> None:
    scene.push("by hand", "latest")
    stack.deploy(template(stack, Agent=declare(scene.push("first"), "1")))
    source = scene.release("copy", "second")
    tried = template(stack, Agent=declare(source, "1", "latest", **options))
    if why == "a missing source":
        scene.delete(source.image.digest, in_repository=UPSTREAM)
    deliveries = [Delivery(lost="request" if why == "a lost request" else None)]
    assert stack.deploy(tried, Course(on_failure="NOTHING", deliveries=deliveries)).status == "FAILED"
    scene.release("copy", "second")

    undone = stack.deploy(tried, Course(other_fails_after=1))

    assert (undone.status, undone.changes[0].succeeded) == ("ROLLBACK_COMPLETE", True)
    assert scene.tags() == {"1": "first", "latest": "by hand"}


@MOVING
@OPTIONS
def test_u10_an_upgrade_that_version_0_1_rolled_back_can_be_repeated(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """The record of this version stays, and the source moves."""
    state = {**options, "StateParameterName": STATE_OF_0_1}
    first = scene.release(kind, "first")
    stack.deploy(template(stack, Agent=declare(first, "latest", **state)))
    scene.forget_all_parameters()
    scene.plane.regions[REGION] = {STATE_OF_0_1: state_of_version_0_1(stack.sent[-1], first.image.digest)}
    stable = dict(stack.resources)
    upgraded = template(stack, Agent=declare(scene.release(kind, "second"), "latest", Refresh="1", **state))
    stack.deploy(upgraded, Course(other_fails_after=1, on_failure="NOTHING"))
    stack.record.enter("UPDATE_ROLLBACK_IN_PROGRESS")
    scene.push("first", "latest")
    stack.resources = stable
    stack.record.enter("UPDATE_ROLLBACK_COMPLETE")
    scene.release(kind, "third")
    scene.start_cold()

    assert stack.deploy(upgraded).status == "COMPLETE"

    assert scene.tags()["latest"] == "third"


@MOVING
def test_u10_a_release_without_a_record_does_not_make_the_next_one_an_undo(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """The function was not allowed to write the record. Then the declaration before is deployed again."""
    old = template(stack, Agent=declare(scene.release(kind, "first"), "latest", **UNTAG))
    stack.deploy(old)
    scene.plane.denied = {"PutParameter"}
    tried = template(stack, Agent=declare(scene.release(kind, "second"), "latest", Refresh="1", **UNTAG))
    assert stack.deploy(tried).status == "COMPLETE"
    scene.release(kind, "third")

    assert stack.deploy(old).status == "COMPLETE"

    assert scene.tags() == {"latest": "third"}


@MOVING
@OPTIONS
def test_u10_rules_check_the_update_after_a_move_to_another_repository_whose_undo_failed(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """CloudFormation knows the resource by its id in this repository, with the properties that failed."""
    here = declare(scene.release(kind, "first"), "1", **options)
    stack.deploy(template(stack, Agent=here))
    scene.push("other", "1")
    scene.sandbox.faults.add(Fault(operation="PutImage", code="LimitExceededException", times=None))
    there = {**here, "RepositoryName": ELSEWHERE, **REFUSED}
    assert stack.deploy(template(stack, Agent=there), WITHOUT_ROLLBACK).reasons
    scene.sandbox.faults.clear()
    stack.resources["Agent"] = replace(stack.resources["Agent"], properties=there)
    tried = declare(scene.release(kind, "second"), "1", "latest", **options, **REFUSED)

    done = stack.deploy(template(stack, Agent=tried), WITHOUT_ROLLBACK)

    assert done.changes[0].answer is not None
    assert done.changes[0].answer.reason.startswith("RULE_VIOLATION")


@REMOVING
def test_u10_rules_check_both_runs_of_an_update_that_never_ran_before(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """Someone moves an immutable tag between the two runs."""
    stack.deploy(template(stack, Agent=declare(scene.push("first"), "1")))
    source = scene.release("copy", "second")
    tried = template(stack, Agent=declare(source, "1", "latest", ImmutableTags=["latest"], **options))
    lost = Course(on_failure="NOTHING", deliveries=[Delivery(lost="request")])
    assert stack.deploy(tried, lost).status == "FAILED"
    run_twice(scene, stack, between=lambda: scene.push("by hand", "latest"))

    done = stack.deploy(tried, WITHOUT_ROLLBACK)

    assert not done.changes[0].succeeded
    assert scene.tags()["latest"] == "by hand"


@pytest.mark.parametrize("count", [1, 40], ids=["one tag", "more tags than a record lists"])
def test_u10_rules_check_an_update_that_never_ran_before(scene: Scene, stack: DeployedStack, count: int) -> None:
    tags = [f"{number:-<120}" for number in range(count)]
    stack.deploy(template(stack, Agent=declare(scene.push("first"), *tags, **UNTAG)))
    tried = template(stack, Agent=declare(scene.push("second"), *tags, **REFUSED))
    lost = Course(on_failure="NOTHING", deliveries=[Delivery(lost="request")])
    assert stack.deploy(tried, lost).status == "FAILED"

    assert not stack.deploy(tried, WITHOUT_ROLLBACK).changes[0].succeeded
