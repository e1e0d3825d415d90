"""Lambda runs an undo again if its response was lost. The second run does what the first one did."""

from __future__ import annotations

import pytest

from tests.scenarios.test_late_requests import deliver
from tests.support.course import Course, Delivery
from tests.support.deployment import DeployedStack
from tests.support.scene import MOVING, REMOVING, TWO_KINDS, Kind, Options, Properties, Scene, declare, template

FAILS_WITHOUT_ROLLBACK = Course(other_fails_after=1, on_failure="NOTHING")


def refuse_and_undo_twice(scene: Scene, stack: DeployedStack, tried: Properties, lost: str | None) -> None:
    """Update the resource, without a rollback. A rule refuses the update, and its undo runs twice."""
    tried = {**tried, "RequiredPlatforms": ["linux/s390x"]}
    deliveries = [Delivery(lost="answer")] if lost == "update" else []
    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", deliveries=deliveries))
    assert (failed.status, failed.reasons) == ("FAILED", [])
    stack.record.enter("UPDATE_IN_PROGRESS")
    assert deliver(scene, stack, stack.sent[-1]).succeeded
    stack.record.enter("UPDATE_FAILED")


LOST = pytest.mark.parametrize("lost", [None, "update"], ids=["it was refused", "its response was lost"])


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
