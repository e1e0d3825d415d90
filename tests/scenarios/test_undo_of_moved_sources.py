"""An undo restores the deployed image even if its source has moved or was deleted, or fails and says what to do."""

from __future__ import annotations

import re

import pytest

from tests.scenarios.released import state_of_version_0_1
from tests.support.course import Course, Deployment
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    HOME,
    MOVING,
    OPTIONS,
    REGION,
    UNTAG,
    UPSTREAM,
    Kind,
    Options,
    Scene,
    declare,
    template,
)

READS = {"GetParameter", "GetParameters", "GetParametersByPath"}

NAME = f"/cdk-ecrpublic/{HOME}/Agent.Agent"


def spoil_records(scene: Scene, how: str) -> None:
    """Delete or corrupt all records, or deny access to them."""
    if how == "denied":
        scene.plane.denied |= READS
    else:
        scene.forget_all_parameters({"deleted": None, "of another version": '{"version": 99}', "not JSON": "?"}[how])


def deploy_twice(scene: Scene, stack: DeployedStack, kind: Kind, how: str = "") -> Deployment:
    """Deploy the first image and then the second. The source moves again, and the second deployment is undone."""
    first = scene.release(kind, "first")
    assert stack.deploy(template(stack, Agent=declare(first, "latest"))).status == "COMPLETE"
    second = scene.release(kind, "second")

    def meanwhile() -> None:
        scene.release(kind, "third")
        if how:
            spoil_records(scene, how)
        scene.forget_requests()

    tried = template(stack, Agent=declare(second, "latest", Refresh="1"))
    return stack.deploy(tried, Course(other_fails_after=1, meanwhile=meanwhile))


@MOVING
@pytest.mark.parametrize("how", ["deleted", "of another version", "not JSON", "denied"])
def test_u6_an_undo_that_does_not_know_what_was_deployed_fails_and_says_what_to_do(
    scene: Scene, stack: DeployedStack, kind: Kind, how: str
) -> None:
    undone = deploy_twice(scene, stack, kind, how)

    assert undone.status == "ROLLBACK_FAILED"
    assert scene.tags() == {"latest": "second"}
    assert scene.registry_writes() == []
    (reason,) = undone.reasons
    assert "Hint: " in reason
    assert how == "denied" or "continue" in reason.partition("Hint: ")[2].lower()


@MOVING
def test_u6_an_undo_restores_the_deployed_image_although_its_source_has_moved(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    undone = deploy_twice(scene, stack, kind)

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first"}


@MOVING
def test_u6_an_undo_restores_again_what_an_earlier_undo_restored(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    deploy_twice(scene, stack, kind)
    fourth = scene.release(kind, "fourth")
    scene.start_cold()

    undone = stack.deploy(template(stack, Agent=declare(fourth, "latest", Refresh="2")), Course(other_fails_after=1))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first"}


@MOVING
def test_u6_the_undo_of_an_update_to_a_digest_restores_what_an_earlier_undo_restored(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """The first deployment was by digest, too, and took the tag over. So its record names an earlier image."""
    scene.push("by hand", "latest")
    stack.deploy(template(stack, Agent=declare(scene.push("zeroth"), "latest")))
    deploy_twice(scene, stack, kind)

    undone = stack.deploy(template(stack, Agent=declare(scene.push("fourth"), "latest")), Course(other_fails_after=1))

    assert (undone.status, undone.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == {"latest": "first"}


@OPTIONS
def test_u6_an_undo_restores_an_image_that_was_deployed_a_moment_ago(scene: Scene, options: Options) -> None:
    """Reads are ten seconds old, so the image is not visible at first."""
    stack, first = scene.stack(pace=0.5), scene.release("moving copy", "first")
    second = scene.push("second")
    scene.clock.pass_by(60)
    scene.lag(10)
    stack.deploy(template(stack, Agent=declare(first, "latest", **options)))
    stack.rest = 1.0

    undone = stack.deploy(
        template(stack, Agent=declare(second, "latest", Refresh="1", **options)), Course(other_fails_after=1)
    )

    assert (undone.status, undone.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == {"latest": "first"}


@pytest.mark.parametrize("count", [10, 40])
@OPTIONS
def test_u7_as_many_tags_as_a_record_can_hold_are_given_back(
    scene: Scene, stack: DeployedStack, options: Options, count: int
) -> None:
    """Ten tags that point to an image each, or forty that point to the same one."""
    where = scene.variants(count) if count < 40 else dict.fromkeys((f"t{number}" for number in range(count)), "by hand")
    scene.push("by hand", *(tag for tag, name in where.items() if name == "by hand"))
    release = scene.release("digest", "first")

    undone = stack.deploy(template(stack, Agent=declare(release, *where, **options)), Course(other_fails_after=1))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == where


@OPTIONS
def test_u7_more_tags_than_a_record_can_hold_are_refused_before_the_first_write(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """A hundred digests need more bytes than a parameter has, in any encoding."""
    where = scene.variants(100)
    release = scene.release("digest", "first")
    scene.forget_requests()

    refused = stack.deploy(template(stack, Agent=declare(release, *where, **options)))

    assert refused.status == "ROLLBACK_COMPLETE"
    assert scene.registry_writes() == []
    answer = refused.changes[0].answer
    assert answer is not None
    assert re.search(r"\b100\b", answer.reason)
    assert "declare" in answer.reason


@pytest.mark.parametrize("length", [30, 60, 90, 105, 120])
def test_u7_an_update_is_refused_or_its_rollback_restores_all_of_its_tags(
    scene: Scene, stack: DeployedStack, length: int
) -> None:
    """The names of the tags alone nearly fill a parameter. One of these numbers is the largest that fits."""
    tags = [f"{number:-<120}" for number in range(28)] + [f"{letter * length}" for letter in "abc"]
    stack.deploy(template(stack, Agent=declare(scene.release("tag", "first"), *tags)))
    before, second = scene.tags(), scene.release("tag", "second")
    assert before in ({}, dict.fromkeys(tags, "first"))
    scene.forget_requests()
    written: list[str] = []

    def meanwhile() -> None:
        written.extend(scene.registry_writes())
        scene.release("tag", "third")

    tried = template(stack, Agent=declare(second, *tags, Refresh="1"))
    undone = stack.deploy(tried, Course(other_fails_after=1, meanwhile=meanwhile))

    answer = undone.changes[0].answer
    assert answer is not None
    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == before
    assert answer.succeeded or written == []


@pytest.mark.parametrize("kind", ["copy", "moving copy"])
def test_u8_an_undo_restores_an_image_of_the_repository_without_its_source(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    first = scene.release(kind, "first")
    stack.deploy(template(stack, Agent=declare(first, "latest")))
    second = scene.release(kind, "second")

    undone = stack.deploy(
        template(stack, Agent=declare(second, "latest", Refresh="1")),
        Course(other_fails_after=1, meanwhile=lambda: scene.delete(first.image.digest, in_repository=UPSTREAM)),
    )

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first"}


def test_u8_the_reason_names_an_image_that_no_longer_exists_anywhere(scene: Scene, stack: DeployedStack) -> None:
    first = scene.release("copy", "first")
    stack.deploy(template(stack, Agent=declare(first, "latest")))
    second = scene.release("copy", "second")

    def meanwhile() -> None:
        for repository in (HOME, UPSTREAM):
            scene.delete(first.image.digest, in_repository=repository)
        scene.forget_requests()

    undone = stack.deploy(
        template(stack, Agent=declare(second, "latest")), Course(other_fails_after=1, meanwhile=meanwhile)
    )

    assert undone.status == "ROLLBACK_FAILED"
    assert first.image.digest in undone.reasons[0]
    assert scene.tags() == {"latest": "second"}
    assert scene.registry_writes() == []


def deploy_as_version_0_1(scene: Scene, stack: DeployedStack, kind: Kind, options: Options) -> None:
    """Deploy the first image, and replace its record with that of version 0.1."""
    first = scene.release(kind, "first")
    assert stack.deploy(template(stack, Agent=declare(first, "latest", "1", **options))).status == "COMPLETE"
    scene.forget_all_parameters()
    scene.plane.regions[REGION] = {NAME: state_of_version_0_1(stack.sent[-1], first.image.digest)}


@MOVING
@OPTIONS
def test_u6_an_undo_restores_the_image_in_the_record_of_version_0_1(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    deploy_as_version_0_1(scene, stack, kind, options)
    second = scene.release(kind, "second")

    undone = stack.deploy(
        template(stack, Agent=declare(second, "latest", "1", Refresh="1", **options)),
        Course(other_fails_after=1, meanwhile=lambda: scene.release(kind, "third")),
    )

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"1": "first", "latest": "first"}


@MOVING
def test_u6_tags_that_version_0_1_published_are_removed(scene: Scene, stack: DeployedStack, kind: Kind) -> None:
    deploy_as_version_0_1(scene, stack, kind, DESTROY)
    scene.release(kind, "second")

    assert stack.destroy()

    assert scene.tags() == {}
    assert scene.parameters() == {}


@MOVING
def test_u6_a_tag_that_version_0_1_put_is_removed_when_it_is_dropped(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    deploy_as_version_0_1(scene, stack, kind, UNTAG)
    second = scene.release(kind, "second")

    done = stack.deploy(template(stack, Agent=declare(second, "latest", **UNTAG)))

    # The first image has only this tag, so the tag stays.
    assert done.status == "COMPLETE"
    assert scene.tags() == {"1": "first", "latest": "second"}
    assert done.changes[0].answer
    assert done.changes[0].answer.data["KeptTags"] == "1"


@MOVING
@OPTIONS
@pytest.mark.parametrize(
    "change", [{"ServiceTimeout": "600"}, {"StateParameterName": "/cdk-ecrpublic/other"}], ids=["timeout", "name"]
)
@pytest.mark.parametrize("fails", [False, True], ids=["with success", "and rolled back"])
def test_u6_an_update_that_changes_nothing_about_the_image_keeps_it(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, change: dict[str, str], *, fails: bool
) -> None:
    declared = template(stack, Agent=declare(scene.release(kind, "first"), "latest", **options))
    stack.deploy(declared)
    scene.release(kind, "second")

    changed = stack.deploy({"Agent": {**declared["Agent"], **change}}, Course(other_fails_after=1 if fails else None))

    assert changed.status == ("ROLLBACK_COMPLETE" if fails else "COMPLETE")
    assert scene.tags() == {"latest": "first"}
