"""Lambda runs a request again if its response was lost. The second run does what the first one did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from lambda_handler.errors import DeliveryError
from tests.scenarios.test_late_requests import deliver
from tests.support.course import FAILS_WITHOUT_ROLLBACK, Course, Delivery
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    MOVING,
    OPTIONS,
    REMOVING,
    TWO_KINDS,
    Kind,
    Options,
    Properties,
    Scene,
    declare,
    template,
)

LOST = pytest.mark.parametrize("lost", [None, "update"], ids=["it was refused", "its response was lost"])


def run_twice(scene: Scene, stack: DeployedStack, between: Callable[[], object] = lambda: None) -> None:
    """Lose the response to the first run of each request from now on, so that a cold instance runs it again."""
    once, address = stack.cloudformation.function, stack.cloudformation.address

    def twice(event: Mapping[str, Any], remaining_seconds: float) -> None:
        address.expired.add(event["RequestId"])
        with suppress(DeliveryError):
            once(event, remaining_seconds)
        address.expired.discard(event["RequestId"])
        between()
        scene.start_cold()
        once(event, remaining_seconds)

    stack.cloudformation.function = twice


def refuse_and_undo_twice(scene: Scene, stack: DeployedStack, tried: Properties, lost: str | None) -> None:
    """Update the resource, without a rollback. A rule refuses the update, and its undo runs twice."""
    tried = {**tried, "RequiredPlatforms": ["linux/s390x"]}
    deliveries = [Delivery(lost="answer")] if lost == "update" else []
    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", deliveries=deliveries))
    assert (failed.status, failed.reasons) == ("FAILED", [])
    stack.record.enter("UPDATE_IN_PROGRESS")
    assert deliver(scene, stack, stack.sent[-1]).succeeded
    stack.record.enter("UPDATE_FAILED")


@TWO_KINDS
@REMOVING
@LOST
def test_u12_a_new_tag_is_still_new_after_an_undo_that_ran_twice(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, lost: str | None
) -> None:
    """Otherwise the rollback of the deployment that put it would leave it."""
    stack.deploy({})
    made = declare(scene.release(kind, "first"), "new", **options)
    stack.deploy(template(stack, Agent=made), FAILS_WITHOUT_ROLLBACK)
    refuse_and_undo_twice(scene, stack, declare(scene.push("second"), "other", **options), lost)
    assert scene.tags()["new"] == "first"

    stack.roll_back({})

    assert "new" not in scene.tags()


@MOVING
@LOST
def test_u10_an_undo_that_runs_twice_puts_the_deployed_image_both_times(
    scene: Scene, stack: DeployedStack, kind: Kind, lost: str | None
) -> None:
    """The source has moved since it was deployed."""
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest")))
    tried = declare(scene.release(kind, "second"), "latest", Refresh="1")

    refuse_and_undo_twice(scene, stack, tried, lost)

    assert scene.tags() == {"latest": "first"}


@OPTIONS
@pytest.mark.parametrize("is_new", [False, True], ids=["update", "creation"])
def test_u7_an_image_that_existed_stays_although_only_the_second_run_published_it(
    scene: Scene, stack: DeployedStack, options: Options, *, is_new: bool
) -> None:
    """The first run fails at its last tag. Then the source moves to an image that the repository has without a tag."""
    scene.push("by hand", "latest")
    scene.push("third")
    before = {} if is_new else {"Agent": declare(scene.release("moving copy", "first"), "1", **options)}
    stack.deploy(template(stack, **before))
    tried = declare(scene.release("moving copy", "second"), "1", "latest", "new", Refresh="1", **options)
    images = scene.images()
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="new", code="LimitExceededException", times=1))
    run_twice(scene, stack, between=lambda: scene.release("moving copy", "third"))

    undone = stack.deploy(template(stack, Agent=tried), Course(other_fails_after=1))

    assert (undone.status, undone.changes[0].succeeded) == ("ROLLBACK_COMPLETE", True)
    assert scene.tags()["latest"] == "by hand"
    assert images <= scene.images()
