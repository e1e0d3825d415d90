"""The state after several failed deployments, and after earlier resources of the same name."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.scenarios.released import state_of_version_0_1
from tests.support.course import FAILS_WITHOUT_ROLLBACK, Course, Delivery
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    HOME,
    KEEP,
    MOVING,
    OPTIONS,
    UNTAG,
    Kind,
    Options,
    Properties,
    Release,
    Scene,
    declare,
    template,
    whole,
)

FAILS = Course(other_fails_after=1)

DENIED = "AccessDeniedException"


def fail_with(stack: DeployedStack, *declared: Properties) -> None:
    """Deploy one declaration after the other with ``--no-rollback``; another resource of the stack fails each time."""
    for each in declared:
        assert stack.deploy(template(stack, Agent=each), FAILS_WITHOUT_ROLLBACK).status == "FAILED"


@MOVING
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_u10_a_rollback_after_several_failures_restores_what_was_deployed_before_them(
    scene: Scene, stack: DeployedStack, kind: Kind, failures: int
) -> None:
    deployed = declare(scene.release(kind, "first"), "latest")
    stack.deploy(template(stack, Agent=deployed))
    stable = dict(stack.resources)
    for number in range(failures):
        scene.release(kind, f"moved {number}")
        fail_with(stack, {**deployed, "Refresh": str(number)})

    undone = stack.roll_back(stable)

    assert undone.reasons == []
    assert scene.tags() == {"latest": "first"}


@OPTIONS
@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["1"], ["1", "latest"]),
        (["1", "latest"], ["1", "latest"]),
        (["1", "latest"], ["1"]),
        (["1", "latest"], ["1", "latest", "other"]),
    ],
    ids=["by the second", "by the first", "by the first, and dropped by the second", "by both"],
)
def test_u4_a_rollback_after_two_failures_gives_back_the_tags_that_were_taken_over(
    scene: Scene, stack: DeployedStack, options: Options, one: list[str], two: list[str]
) -> None:
    by_hand = scene.push("by hand", "latest", "other")
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "first"), "1", **options)))
    stable = dict(stack.resources)
    fail_with(stack, declare(scene.release("digest", "second"), *one, **options))
    fail_with(stack, declare(scene.release("digest", "third"), *two, **options))

    undone = stack.roll_back(stable)

    assert undone.reasons == []
    assert scene.names[by_hand.digest] == "by hand"
    # An update of one digest cannot know that the deployment before it has failed.
    stays = not options and "latest" not in two
    assert scene.tags() == {"1": "first", "latest": "second" if stays else "by hand", "other": "by hand"}


def retain(stack: DeployedStack) -> None:
    """Remove the resource with a retention policy, so that CloudFormation sends no Delete for it."""
    del stack.resources["Agent"]
    assert stack.deploy({}).status == "COMPLETE"


@OPTIONS
def test_u1_a_refused_creation_does_not_give_back_a_tag_that_a_retained_resource_took_over(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The record of the earlier resource still exists, because that resource was retained."""
    scene.push("by hand", "latest")
    declared = declare(scene.release("digest", "first"), "latest", "1", **options)
    stack.deploy(template(stack, Agent=declared))
    retain(stack)
    before = scene.tags()

    refused = {**declared, "RequiredPlatforms": ["linux/s390x"]}
    assert stack.deploy(template(stack, Agent=refused)).status == "ROLLBACK_COMPLETE"

    assert scene.tags() == before == {"latest": "first", "1": "first"}


@OPTIONS
def test_u1_an_undone_creation_leaves_the_tags_of_a_retained_resource(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("by hand", "latest")
    declared = declare(scene.release("digest", "first"), "latest", "1", **options)
    stack.deploy(template(stack, Agent=declared))
    retain(stack)

    assert stack.deploy(template(stack, Agent=declared), FAILS).status == "ROLLBACK_COMPLETE"

    assert scene.tags() == {"latest": "first", "1": "first"}


@OPTIONS
def test_u12_a_stack_that_succeeded_and_whose_move_to_another_repository_was_undone_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """A person moves a tag during the update, whose rollback puts it back. Then the stack is deleted."""
    declared = declare(scene.release("digest", "first"), "latest", **options)
    scene.push("first", to="acme/other")
    stack.deploy(template(stack, Agent=declared))
    there = template(stack, Agent={**declared, "RepositoryName": "acme/other"})

    def meanwhile() -> None:
        scene.push("by hand", "latest")

    assert stack.deploy(there, Course(other_fails_after=1, meanwhile=meanwhile)).status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first"}

    assert stack.destroy()

    assert scene.tags() == ({} if options == DESTROY else {"latest": "first"})


@OPTIONS
@pytest.mark.parametrize("operation", ["PutImage", "DescribeImages", "DescribeRepositories"])
def test_u3_a_creation_without_a_permission_can_be_undone(
    scene: Scene, stack: DeployedStack, options: Options, operation: str
) -> None:
    """No tag was moved, so none has to be given back. Otherwise the stack would be stuck in ROLLBACK_FAILED."""
    scene.push("by hand", "latest")
    release = scene.release("digest", "first")
    scene.sandbox.faults.add(Fault(operation=operation, code=DENIED, times=None, face="api"))

    undone = stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options)))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert stack.record.resources["Agent"].status == "DELETE_COMPLETE"
    assert scene.tags() == {"latest": "by hand"}


@OPTIONS
def test_r7_the_record_of_version_0_1_for_another_resource_is_not_touched(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """Raw CloudFormation: a new resource has the parameter name of an old one, and its creation fails."""
    name = "/cdk-ecrpublic/acme/agent/Agent.Agent"
    shared = declare(scene.release("digest", "first"), "latest", "1", **options, StateParameterName=name)
    scene.move(scene.push("first"), "latest", "1")
    event = stack.cloudformation.event("Create", shared, "Old")
    state = state_of_version_0_1(event, str(shared["Source"]["Digest"]))
    scene.plane.regions["eu-west-1"] = {name: state}

    refused = {**shared, "RequiredPlatforms": ["linux/s390x"]}
    assert stack.deploy({"New": refused}).status == "ROLLBACK_COMPLETE"

    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.plane.regions["eu-west-1"] == {name: state}


def replace_a_mutable_source(scene: Scene, stack: DeployedStack) -> Release:
    """Deploy a mutable source, and then a digest under another tag. The old record stays for a rollback."""
    moving = scene.release("tag", "first")
    stack.deploy(template(stack, Agent=declare(moving, "latest", **DESTROY)))
    pinned = scene.release("digest", "second")
    assert stack.deploy(template(stack, Agent=declare(pinned, "2", **DESTROY, **UNTAG))).status == "COMPLETE"
    return moving


def test_r7_a_tag_that_one_resource_dropped_is_removed_with_its_next_owner(scene: Scene, stack: DeployedStack) -> None:
    """The first record is kept for a rollback, and no longer owns the tag."""
    replace_a_mutable_source(scene, stack)
    agent = dict(stack.resources["Agent"].properties)
    taken = declare(scene.release("digest", "third"), "latest", **DESTROY)
    stack.deploy(template(stack, Agent=agent, Other=taken))
    assert scene.tags()["latest"] == "third"

    assert stack.deploy(template(stack, Agent=agent)).status == "COMPLETE"

    assert "latest" not in scene.tags()


def test_u2_a_tag_that_one_resource_dropped_returns_to_where_a_person_moved_it(
    scene: Scene, stack: DeployedStack
) -> None:
    """The new owner moves it to the image that the first resource had put it to."""
    moving = replace_a_mutable_source(scene, stack)
    agent = dict(stack.resources["Agent"].properties)
    scene.push("by hand", "latest")
    back = declare(moving, "latest", **UNTAG)

    undone = stack.deploy(template(stack, Agent=agent, Other=back), FAILS)

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags()["latest"] == "by hand"


@OPTIONS
@pytest.mark.parametrize("why", ["its response is lost", "its request is lost", "a tag cannot be put"])
@pytest.mark.parametrize("again", ["first", "second"], ids=["the same image", "another image"])
def test_u1_a_creation_that_succeeds_the_second_time_keeps_its_tags(
    scene: Scene, stack: DeployedStack, options: Options, why: str, again: str
) -> None:
    """Without a rollback, CloudFormation deletes the failed resource at the end of the next, successful deployment."""
    scene.push("by hand", "latest")
    images = {name: scene.push(name) for name in ("first", again)}
    tried = declare(images["first"], "latest", "1", **options)
    deliveries: list[Delivery] = []
    if why == "a tag cannot be put":
        scene.sandbox.faults.add(Fault(operation="PutImage", reference="1", code="LimitExceededException", times=None))
    else:
        deliveries = [Delivery(lost="answer" if why == "its response is lost" else "request")]
    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", deliveries=deliveries))
    assert failed.status == "FAILED"
    scene.sandbox.faults.clear()

    assert stack.deploy(template(stack, Agent=declare(images[again], "latest", "2", **options))).status == "COMPLETE"

    assert scene.tags()["latest"] == again
    assert scene.tags()["2"] == again
    assert stack.destroy()
    assert scene.parameters() == {}


@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
def test_u4_a_tag_goes_back_after_a_removal_option_was_declared_and_dropped_again(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The first declaration took the tag over, too, and its record still exists."""
    scene.push("by hand", "latest")
    first, second, third = (scene.push(name) for name in ("first", "second", "third"))
    stack.deploy(template(stack, Agent=declare(first, "1", "latest")))
    stack.deploy(template(stack, Agent=declare(second, "1", **options)))
    assert scene.tags() == {"1": "second", "latest": "first"}

    stack.deploy(template(stack, Agent=declare(third, "1", "latest")), FAILS)

    assert scene.tags() == {"1": "second", "latest": "first"}


def test_r9_all_records_are_deleted_after_a_removal_option_was_declared_twice(
    scene: Scene, stack: DeployedStack
) -> None:
    for name, options in {"first": DESTROY, "second": KEEP, "third": DESTROY}.items():
        stack.deploy(template(stack, Agent=declare(scene.push(name), "1", **options)))

    stack.deploy({})

    assert scene.parameters() == {}


@OPTIONS
@pytest.mark.parametrize("instance", ["warm", "cold"])
def test_r9_the_record_is_deleted_even_if_the_repository_was_deleted(
    scene: Scene, stack: DeployedStack, options: Options, instance: str
) -> None:
    """Otherwise the record would protect the tags of a new repository of the same name."""
    registry = scene.sandbox.client("ecr-public")
    stack.deploy(template(stack, Agent=declare(scene.push("first"), "1", **options)))
    registry.delete_repository(repositoryName=HOME, force=True)
    if instance == "cold":
        scene.start_cold()

    assert stack.destroy()

    assert scene.parameters() == {}
    registry.create_repository(repositoryName=HOME)
    other = scene.stack("Other")
    other.deploy(template(other, Agent=declare(scene.push("first"), "1", **DESTROY)))
    assert other.destroy()
    assert (scene.tags(), scene.images()) == ({}, set())


@pytest.mark.parametrize("tags", [(), ("1", "other")], ids=["without a tag", "with tags"])
def test_r9_a_repeated_delete_leaves_what_existed_before(
    scene: Scene, stack: DeployedStack, tags: tuple[str, ...]
) -> None:
    """The first instance undid the creation and deleted its record. Then another instance gets the same request."""
    pushed = scene.push("pushed", *tags)
    stack.deploy({})
    stack.deploy(template(stack, Agent=declare(pushed, "1", **DESTROY)), FAILS_WITHOUT_ROLLBACK)

    assert stack.destroy()
    scene.start_cold()
    stack.cloudformation.function(stack.sent[-1], 900.0)

    assert scene.tags() == dict.fromkeys(tags, "pushed")
    assert scene.images() == whole("pushed")
