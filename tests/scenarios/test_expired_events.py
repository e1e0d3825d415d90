"""
The events of a stack that was not deployed for months may be gone.

AWS does not say how long it keeps them. Without them, an old deployment must not
look like one that never succeeded, which would be undone.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import control_plane
from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.scene import MOVING, OPTIONS, Kind, Options, Scene, declare, template
from tests.support.stack_records import StackRecord, describe_events

DAY_SECONDS = 86_400
KEPT_DAYS = 90


@pytest.fixture(autouse=True)
def _expiring(monkeypatch: pytest.MonkeyPatch) -> None:
    def describe_recent(stack: StackRecord, token: str) -> str:
        oldest = stack.wall() - KEPT_DAYS * DAY_SECONDS
        return describe_events(replace(stack, events=[each for each in stack.events if each.at > oldest]), token)

    monkeypatch.setattr(control_plane, "describe_events", describe_recent)


def wait_for_months(scene: Scene) -> None:
    scene.clock.pass_by((KEPT_DAYS + 1) * DAY_SECONDS)


@OPTIONS
def test_a_stack_that_is_deleted_months_later_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("by hand", "latest")
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "first"), "1.0", "latest", **options)))
    wait_for_months(scene)

    assert stack.destroy()

    assert scene.tags().get("latest") != "by hand"


@OPTIONS
def test_an_entry_that_is_dropped_months_later_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("by hand", "latest")
    base = declare(scene.release("digest", "base"), "base")
    entry = declare(scene.release("digest", "first"), "1.0", "latest", **options)
    stack.deploy(template(stack, Agent=entry, Base=base))
    wait_for_months(scene)

    stack.deploy(template(stack, Base=base))

    assert scene.tags().get("latest") != "by hand"


def test_an_update_that_fails_months_later_gives_back_only_what_it_took(scene: Scene, stack: DeployedStack) -> None:
    scene.push("by hand", "latest")
    first = scene.release("digest", "first")
    for tags in (["1"], ["1", "latest"], ["1"]):
        stack.deploy(template(stack, Agent=declare(first, *tags)))
    wait_for_months(scene)

    stack.deploy(template(stack, Agent=declare(first, "1", "1.1")), Course(other_fails_after=1))

    assert scene.tags()["latest"] == "first"


@MOVING
def test_a_declaration_that_returns_months_later_is_not_an_undo(scene: Scene, stack: DeployedStack, kind: Kind) -> None:
    for name, refresh in (("first", "a"), ("second", "b")):
        stack.deploy(template(stack, Agent=declare(scene.release(kind, name), "latest", Refresh=refresh)))
    wait_for_months(scene)

    stack.deploy(template(stack, Agent=declare(scene.release(kind, "third"), "latest", Refresh="a")))

    assert scene.tags()["latest"] == "third"
