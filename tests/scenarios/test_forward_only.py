"""A tag that may only move forward stays at a higher version, in a release and in every undo."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.support.course import Course, Delivery
from tests.support.deployment import DeployedStack
from tests.support.scene import DESTROY, HOME, LAG, OPTIONS, TWO_KINDS, UNTAG, Kind, Options, Scene, declare, template

FAILS = Course(other_fails_after=1)

SKIP = {"ForwardOnly": {"Tags": ["*"], "OnOlder": "Skip"}}
REFUSE = {"ForwardOnly": {"Tags": ["latest", "1*"], "OnOlder": "Refuse"}}

RULES = pytest.mark.parametrize("rule", [SKIP, REFUSE], ids=["skip", "refuse"])


def release(scene: Scene, kind: Kind, version: str, *tags: str, **more: Any) -> dict[str, Any]:
    """Declare the image of a version with its own tag and with moving tags."""
    return declare(scene.release(kind, version), version, *tags, **{**SKIP, **more})


def skipped(stack: DeployedStack, logical_id: str = "Agent") -> str:
    return str(stack.resources[logical_id].data["SkippedTags"])


@TWO_KINDS
def test_a_release_leaves_the_tags_that_are_ahead(scene: Scene, stack: DeployedStack, kind: Kind) -> None:
    scene.push("2.0.0", "2.0.0", "2", "latest")
    scene.push("1.9.0", "1.9.0", "1.9", "1")

    done = stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "1.9", "1", "latest")))

    assert done.status == "COMPLETE"
    assert skipped(stack) == "latest"
    assert scene.tags() == {
        **dict.fromkeys(("2.0.0", "2", "latest"), "2.0.0"),
        **dict.fromkeys(("1.9.1", "1.9", "1"), "1.9.1"),
        "1.9.0": "1.9.0",
    }


def test_a_release_candidate_moves_no_tag_and_does_not_confuse_the_release(scene: Scene, stack: DeployedStack) -> None:
    scene.push("1.9.1", "1.9.1", "1.9", "latest")

    candidate = stack.deploy(template(stack, Agent=release(scene, "digest", "1.9.2-rc.1", "1.9", "latest")))
    after_candidate = scene.tags()
    stack.deploy(template(stack, Agent=release(scene, "digest", "1.9.2", "1.9", "latest")))

    assert candidate.status == "COMPLETE"
    assert after_candidate == {
        **dict.fromkeys(("1.9.1", "1.9", "latest"), "1.9.1"),
        "1.9.2-rc.1": "1.9.2-rc.1",
    }
    assert scene.tags() == {
        **dict.fromkeys(("1.9.2", "1.9", "latest"), "1.9.2"),
        "1.9.1": "1.9.1",
        "1.9.2-rc.1": "1.9.2-rc.1",
    }


def test_a_refused_release_writes_nothing_and_its_rollback_moves_no_tag_to_a_lower_version(
    scene: Scene, stack: DeployedStack
) -> None:
    stack.deploy(template(stack, Agent=release(scene, "digest", "1.9.0", "latest", **REFUSE)))
    scene.push("2.0.0", "2.0.0", "latest")
    lower = release(scene, "digest", "1.9.1", "latest", **REFUSE)

    done = stack.deploy(template(stack, Agent=lower))

    assert done.status == "ROLLBACK_COMPLETE"
    assert done.changes[0].answer
    reason = "tag 'latest' may only move forward: it is at 2.0.0, which is higher than 1.9.1"
    assert reason in done.changes[0].answer.reason
    assert scene.tags() == {"1.9.0": "1.9.0", "2.0.0": "2.0.0", "latest": "2.0.0"}


@TWO_KINDS
@RULES
def test_a_rollback_to_a_lower_version_is_allowed(
    scene: Scene, stack: DeployedStack, kind: Kind, rule: dict[str, Any]
) -> None:
    stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "latest", **rule)))

    done = stack.deploy(template(stack, Agent=release(scene, kind, "2.0.0", "latest", **rule)), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "1.9.1"


@TWO_KINDS
@OPTIONS
@LAG
def test_a_rollback_returns_a_tag_that_the_previous_release_skipped(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, lag: float
) -> None:
    """The old declaration names the tag, but never moved it."""
    scene.push("2.0.0", "2.0.0", "latest")
    stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "latest", **options)))
    scene.lag(lag)

    done = stack.deploy(template(stack, Agent=release(scene, kind, "2.0.1", "latest", **options)), FAILS)

    assert done.changes[0].answer
    assert done.changes[0].answer.data["SkippedTags"] == ""
    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert {**scene.tags(), "2.0.1": ""} == {"1.9.1": "1.9.1", "2.0.0": "2.0.0", "latest": "2.0.0", "2.0.1": ""}


@TWO_KINDS
def test_a_skipped_tag_returns_after_failures_without_a_rollback(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    scene.push("2.0.0", "2.0.0", "latest")
    old = release(scene, kind, "1.9.1", "latest")
    stack.deploy(template(stack, Agent=old))
    stable = dict(stack.resources)
    new = release(scene, kind, "2.0.1", "latest")
    stack.deploy(template(stack, Agent=new), Course(other_fails_after=1, on_failure="NOTHING"))
    assert scene.tags()["latest"] == "2.0.1"

    stack.roll_back(stable)

    assert scene.tags()["latest"] == "2.0.0"


def test_a_skipped_tag_returns_after_a_repeated_request(scene: Scene, stack: DeployedStack) -> None:
    scene.push("2.0.0", "2.0.0", "latest")
    stack.deploy(template(stack, Agent=release(scene, "digest", "1.9.1", "latest")))

    twice = Course(other_fails_after=1, deliveries=(Delivery(copies=2),))
    done = stack.deploy(template(stack, Agent=release(scene, "digest", "2.0.1", "latest")), twice)

    assert done.status == "ROLLBACK_COMPLETE"
    assert scene.tags()["latest"] == "2.0.0"


@TWO_KINDS
@OPTIONS
def test_a_tag_that_the_undone_release_skipped_stays(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    scene.push("2.0.0", "2.0.0", "latest")
    stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "1.9", "latest", **options)))

    done = stack.deploy(template(stack, Agent=release(scene, kind, "1.9.2", "1.9", "latest", **options)), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "2.0.0"
    assert scene.tags()["1.9"] == "1.9.1"


@TWO_KINDS
def test_the_undo_of_a_lower_release_leaves_the_tag_at_the_higher_version(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    stack.deploy(template(stack, Agent=release(scene, kind, "2.0.0", "latest")))

    done = stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "latest")), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "2.0.0"


@OPTIONS
def test_a_change_of_only_the_rule_is_undone(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """Without the rule, the release takes the tag. Both releases have the same image."""
    scene.push("2.0.0", "2.0.0", "latest")
    old = release(scene, "digest", "1.9.1", "latest", **options)
    stack.deploy(template(stack, Agent=old))
    without = {name: value for name, value in old.items() if name != "ForwardOnly"}

    done = stack.deploy(template(stack, Agent=without), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == {"1.9.1": "1.9.1", "2.0.0": "2.0.0", "latest": "2.0.0"}


@OPTIONS
def test_a_failed_creation_leaves_the_tag_at_the_higher_version(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("2.0.0", "2.0.0", "latest")

    done = stack.deploy(template(stack, Agent=release(scene, "digest", "1.9.1", "latest", **options)), FAILS)

    assert done.reasons == []
    assert scene.tags()["latest"] == "2.0.0"


@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
def test_a_skipped_tag_is_not_removed(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """A person points it to the image later; the resource did not put it."""
    scene.push("2.0.0", "2.0.0", "latest")
    old = release(scene, "digest", "1.9.1", "1.9", "latest", **options)
    stack.deploy(template(stack, Agent=old))
    scene.push("1.9.1", "latest")

    if options == UNTAG:
        stack.deploy(template(stack, Agent={**old, "ImageTags": ["1.9.1"]}))
        assert scene.tags() == {"2.0.0": "2.0.0", "1.9.1": "1.9.1", "latest": "1.9.1"}
    else:
        assert stack.destroy()
        assert scene.tags() == {"2.0.0": "2.0.0", "latest": "1.9.1"}


@TWO_KINDS
def test_a_release_does_not_own_a_tag_that_it_skipped(scene: Scene, stack: DeployedStack, kind: Kind) -> None:
    """The resource that put the tag removes it, although the other one declares it."""
    ahead = scene.stack("Ahead")
    assert (
        ahead.deploy(template(ahead, Two=release(scene, "digest", "2.0.0", "latest", **DESTROY))).status == "COMPLETE"
    )
    stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "latest", **DESTROY)))

    assert ahead.destroy()

    assert scene.tags() == {"1.9.1": "1.9.1"}


@TWO_KINDS
@RULES
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["removed first", "taken first"])
def test_a_rollback_returns_a_tag_that_moved_to_another_resource_of_the_stack(
    scene: Scene, stack: DeployedStack, kind: Kind, rule: Options, order: tuple[int, int]
) -> None:
    """If it was removed before it was put again, only the record of its removal shows where it was."""
    old = release(scene, kind, "1.9.1", "latest", **rule, **UNTAG)
    new = declare(scene.push("2.0.0"), "2.0.0", "latest")
    other = declare(scene.push("1.0.0"), "1.0.0")
    stack.deploy(template(stack, Other=other, Agent=old))
    before = scene.tags()
    without = {**old, "ImageTags": ["1.9.1"]}

    done = stack.deploy(template(stack, Other=new, Agent=without), Course(order=order, other_fails_after=2))

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert {**scene.tags(), "2.0.0": ""} == {**before, "2.0.0": ""}


@TWO_KINDS
@OPTIONS
def test_a_tag_that_was_left_at_the_image_of_the_undone_release_stays_there(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """The undone release does not declare the tag, so it did not put it there."""
    second = scene.push("2.0.0", "2.0.0", "latest")
    stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "latest", **options)))
    before = scene.tags()

    done = stack.deploy(template(stack, Agent=declare(second, "1.9.1", **SKIP, **options)), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == before


@TWO_KINDS
@OPTIONS
@pytest.mark.parametrize("new_rule", [SKIP, {}], ids=["skip", "no rule"])
def test_a_tag_that_both_releases_declare_and_none_of_them_moved_stays(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, new_rule: Options
) -> None:
    """The tag was left at the image that the undone release happens to be."""
    old = release(scene, kind, "1.9.1", "latest", **{**SKIP, **options})
    second = scene.push("2.0.0", "2.0.0", "latest")
    stack.deploy(template(stack, Agent=old))
    before = scene.tags()

    done = stack.deploy(template(stack, Agent=declare(second, "latest", **new_rule)), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == before


@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("kind", ["digest", "moving copy", "same digest"])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_tag_that_was_left_before_returns_from_another_image_of_the_stack(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[int, int], kind: str, failures: int
) -> None:
    """The other one takes it to the image of the first one, which must not take it for its own in its undo."""
    scene.push("2.0.0", "2.0.0", "latest")
    first: Kind = "moving copy" if kind == "moving copy" else "digest"
    old = release(scene, first, "1.9.1", "latest", **options)
    other = declare(scene.push("1.0.0"), "1.0.0")
    stack.deploy(template(stack, Agent=old, Other=other))
    before, stable = scene.tags(), dict(stack.resources)
    agent = (
        {**old, "ImageTags": ["1.9.1"]} if kind == "same digest" else declare(scene.release(first, "3.0.0"), "1.9.1")
    )
    after = {"Agent": agent, "Other": {**declare(scene.push("1.9.1"), "latest"), **options}}

    for attempt in range(failures):
        tried = {name: {**each, "Refresh": str(attempt)} for name, each in after.items()}
        stack.deploy(template(stack, **tried), Course(order=order, other_fails_after=2, on_failure="NOTHING"))
    stack.roll_back(stable)

    assert scene.tags() == before


@RULES
def test_a_tag_that_the_first_of_two_failed_updates_removed_returns(
    scene: Scene, stack: DeployedStack, rule: Options
) -> None:
    """Rollback is disabled, and ``cdk rollback`` goes back over both."""
    old = release(scene, "digest", "1.9.1", "latest", **rule, **UNTAG)
    stack.deploy(template(stack, Agent=old, Other=declare(scene.push("1.0.0"), "1.0.0")))
    before, stable = scene.tags(), dict(stack.resources)
    new = declare(scene.push("2.0.0"), "2.0.0", "latest")

    for refresh in ("1", "2"):
        tried = template(stack, Agent={**old, "ImageTags": ["1.9.1"], "Refresh": refresh}, Other=new)
        stack.deploy(tried, Course(order=(0, 1), other_fails_after=2, on_failure="NOTHING"))
    stack.roll_back(stable)

    assert scene.tags() == {**before, "2.0.0": "2.0.0"}


@TWO_KINDS
@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
def test_the_undo_of_an_added_tag_removes_it_although_a_rule_may_leave_it(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """The image stays the same, so both declarations have the same record."""
    scene.push("2.0.0", "2.0.0", "latest")
    old = release(scene, kind, "1.9.1", **options)
    stack.deploy(template(stack, Agent=old))
    before = scene.tags()

    done = stack.deploy(template(stack, Agent={**old, "ImageTags": ["1.9.1", "1.9", "latest"]}), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == before


@TWO_KINDS
def test_a_rollback_does_not_return_a_tag_that_a_person_moved_before(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    old = release(scene, kind, "1.9.1", "latest", **UNTAG)
    stack.deploy(template(stack, Agent=old))
    scene.push("2.0.0", "2.0.0", "latest")
    before = scene.tags()

    done = stack.deploy(template(stack, Agent={**old, "ImageTags": ["1.9.1"]}), FAILS)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == before


def test_a_later_release_of_the_resource_moves_the_tag(scene: Scene, stack: DeployedStack) -> None:
    scene.push("2.0.0", "2.0.0", "latest")
    stack.deploy(template(stack, Agent=release(scene, "digest", "1.9.1", "latest")))

    done = stack.deploy(template(stack, Agent=release(scene, "digest", "2.0.1", "latest")))

    assert done.status == "COMPLETE"
    assert scene.tags() == {"1.9.1": "1.9.1", "2.0.0": "2.0.0", "2.0.1": "2.0.1", "latest": "2.0.1"}


def test_a_tag_at_an_image_of_unknown_version_stops_the_release_unless_allowed(
    scene: Scene, stack: DeployedStack
) -> None:
    scene.push("by hand", "latest")
    declared = release(scene, "digest", "1.9.1", "latest")

    failed = stack.deploy(template(stack, Agent=declared))
    allowed = stack.deploy(template(stack, Agent={**declared, "ForwardOnly": {"Tags": ["*"], "OnUnknown": "Proceed"}}))

    assert failed.changes[0].answer
    assert "the version of its image" in failed.changes[0].answer.reason
    assert allowed.status == "COMPLETE"
    assert scene.tags()["latest"] == "1.9.1"


@RULES
def test_a_tag_that_another_release_moves_while_the_image_is_copied_is_not_moved_back(
    scene: Scene, stack: DeployedStack, rule: dict[str, Any]
) -> None:
    """Copying takes minutes, so the tags that the rules checked are read again before the first tag is put."""
    scene.push("1.9.0", "1.9.0", "latest")
    declared = release(scene, "copy", "1.9.1", "latest", **rule)
    scene.when("after", "PutImage", lambda: scene.push("2.0.0", "2.0.0", "latest"))

    done = stack.deploy(template(stack, Agent=declared))

    assert scene.tags()["latest"] == "2.0.0"
    if rule == SKIP:
        assert (done.status, skipped(stack)) == ("COMPLETE", "latest")
        assert scene.tags()["1.9.1"] == "1.9.1"
    else:
        assert done.changes[0].answer
        assert "tag 'latest' may only move forward: it is at 2.0.0" in done.changes[0].answer.reason
        assert "1.9.1" not in scene.tags()


def test_a_release_moves_a_tag_that_moved_meanwhile_if_it_is_still_lower(scene: Scene, stack: DeployedStack) -> None:
    scene.push("1.8.0", "1.8.0", "latest")
    declared = release(scene, "copy", "1.9.1", "latest")
    scene.when("after", "PutImage", lambda: scene.push("1.9.0", "1.9.0", "latest"))

    done = stack.deploy(template(stack, Agent=declared))

    assert (done.status, skipped(stack)) == ("COMPLETE", "")
    assert scene.tags()["latest"] == "1.9.1"


@TWO_KINDS
@RULES
def test_a_version_that_cannot_be_read_does_not_stop_an_undo(
    scene: Scene, stack: DeployedStack, kind: Kind, rule: dict[str, Any]
) -> None:
    """Only the config of the image that a person pushed meanwhile has its version, and it cannot be read."""
    stack.deploy(template(stack, Agent=release(scene, kind, "1.9.1", "latest", **rule)))

    def push_unreadable() -> None:
        scene.push("by hand", "latest")
        scene.sandbox.faults.add(Fault(operation="GetBlob", status=503, times=None, repository=HOME))

    failing = Course(other_fails_after=1, meanwhile=push_unreadable)
    done = stack.deploy(template(stack, Agent=release(scene, kind, "2.0.0", "latest", **rule)), failing)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "1.9.1"


def test_a_tag_that_moves_at_each_read_stops_the_release(scene: Scene, stack: DeployedStack) -> None:
    scene.push("1.8.0", "1.8.0", "latest")
    declared = release(scene, "copy", "1.9.1", "latest")
    versions = iter(range(1, 100))

    def move() -> None:
        version = f"1.8.{next(versions)}"
        scene.push(version, version, "latest")

    scene.when("after", "PutImage", lambda: scene.hooks.before("DescribeImages", move, times=None))
    done = stack.deploy(template(stack, Agent=declared))

    assert done.changes[0].answer
    assert "tags that rules protect were moved twice while this release was checked" in done.changes[0].answer.reason
    assert scene.tags()["latest"].startswith("1.8.")
