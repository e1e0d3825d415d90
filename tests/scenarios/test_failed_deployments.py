"""Failed deployments that are not rolled back, later deployments, and resources that were retained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations

import pytest

from cdk_ecrpublic.sandbox.images import build_image
from tests.scenarios.test_histories import FAILS
from tests.support.course import FAILS_WITHOUT_ROLLBACK, Course, Delivery, Deployed
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    HOME,
    KEEP,
    MOVING,
    OPTIONS,
    UNTAG,
    Kind,
    Options,
    Scene,
    declare,
    template,
    whole,
)


@OPTIONS
def test_u1_deploying_the_old_app_after_a_failed_bump_restores_its_tag(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """CloudFormation sends nothing to the resource that has not changed, and deletes the one that failed."""
    first, second = scene.push("first"), scene.push("second")
    old = template(stack, One=declare(first, "1", "latest", **options))
    stack.deploy(old)
    stack.deploy(template(stack, Two=declare(second, "2", "latest", **options)), FAILS_WITHOUT_ROLLBACK)
    assert scene.tags()["latest"] == "second"

    assert stack.deploy(old).status == "COMPLETE"

    assert scene.tags()["latest"] == "first"


BUMPS = ("Two", "Three", "Four")


def deploy_failed_bumps(scene: Scene, stack: DeployedStack, options: Options) -> dict[str, Deployed]:
    """Deploy a release, and then three that take its tag over and fail; return the resources of the first one."""
    stack.deploy(template(stack, One=declare(scene.push("first"), "1", "latest", **options)))
    stable = dict(stack.resources)
    for name in BUMPS:
        release = declare(scene.push(name), name, "latest", **options)
        stack.deploy(template(stack, **{name: release}), FAILS_WITHOUT_ROLLBACK)
    return stable


@OPTIONS
@pytest.mark.parametrize("order", [*permutations(BUMPS)], ids=" ".join)
def test_u1_failed_bumps_are_rolled_back_in_any_order(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[str, ...]
) -> None:
    stable = deploy_failed_bumps(scene, stack, options)

    undone = stack.roll_back(stable, order)

    assert undone.reasons == []
    assert scene.tags()["latest"] == "first"


@OPTIONS
@pytest.mark.parametrize("order", [BUMPS, BUMPS[::-1]], ids=" ".join)
def test_u3_a_tag_that_a_person_moved_after_failed_bumps_stays_there(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[str, ...]
) -> None:
    stable = deploy_failed_bumps(scene, stack, options)
    scene.push("by hand", "latest")

    stack.roll_back(stable, order)

    assert scene.tags()["latest"] == "by hand"


@OPTIONS
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
def test_u12_deleting_a_stack_that_failed_twice_gives_its_tag_back_in_any_order(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[int, ...]
) -> None:
    scene.push("by hand", "latest")
    second, third = scene.push("second"), scene.push("third")
    stack.deploy(template(stack, Two=declare(second, "2", "latest", **options)), FAILS_WITHOUT_ROLLBACK)
    stack.deploy(template(stack, Three=declare(third, "3", "latest", **options)), FAILS_WITHOUT_ROLLBACK)

    assert stack.destroy(Course(order=order))

    assert scene.tags()["latest"] == "by hand"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
@pytest.mark.parametrize("one", [KEEP, UNTAG, DESTROY], ids=["keep", "untag", "destroy"])
@pytest.mark.parametrize("two", [KEEP, UNTAG, DESTROY], ids=["keep", "untag", "destroy"])
def test_u1_a_tag_that_two_resources_took_over_is_given_back(
    scene: Scene, stack: DeployedStack, one: Options, two: Options, order: tuple[int, ...]
) -> None:
    scene.push("by hand", "latest")
    release = scene.push("release")
    resources = template(stack, One=declare(release, "latest", **one), Two=declare(release, "latest", **two))

    stack.deploy(resources, Course(other_fails_after=9, order=order))

    assert scene.tags() == {"latest": "by hand"}


@pytest.mark.parametrize("tags", [("1",), ()], ids=["with a tag", "without a tag"])
@pytest.mark.parametrize("is_new", [True, False], ids=["a new stack", "a stack that was deployed"])
def test_u12_an_image_that_existed_before_stays_when_a_failed_stack_is_deleted(
    scene: Scene, stack: DeployedStack, tags: tuple[str, ...], *, is_new: bool
) -> None:
    pushed = scene.push("pushed")
    if not is_new:
        stack.deploy({})
    stack.deploy(template(stack, Agent=declare(pushed, *tags, **DESTROY)), FAILS_WITHOUT_ROLLBACK)

    assert stack.destroy()

    assert scene.tags() == {}
    assert scene.images() == whole("pushed")


@pytest.mark.parametrize("second", ["first", "second"], ids=["of one image", "of two images"])
def test_u9_images_that_existed_before_stay_when_two_failures_are_rolled_back(
    scene: Scene, stack: DeployedStack, second: str
) -> None:
    images = {name: scene.push(name) for name in ("first", second)}
    stack.deploy({})
    stack.deploy(template(stack, Agent=declare(images["first"], "1", **DESTROY)), FAILS_WITHOUT_ROLLBACK)
    stack.deploy(template(stack, Agent=declare(images[second], "1", "2", **DESTROY)), FAILS_WITHOUT_ROLLBACK)

    stack.roll_back({})

    assert scene.images() == whole(*images)


def test_u10_the_image_to_roll_back_to_stays_after_two_failures(scene: Scene) -> None:
    """Another stack removes its own tag of that image. The image stays while a rollback may need it."""
    first, second, third = scene.push("first"), scene.push("second"), scene.push("third")
    one, two = scene.stack("One"), scene.stack("Two")
    two.deploy(template(two, Agent=declare(first, "b", **DESTROY)))
    one.deploy(template(one, Agent=declare(first, "1", **UNTAG)))
    stable = dict(one.resources)
    one.deploy(template(one, Agent=declare(second, "1", **UNTAG)), FAILS_WITHOUT_ROLLBACK)
    one.deploy(template(one, Agent=declare(third, "1", **UNTAG)), FAILS_WITHOUT_ROLLBACK)
    assert two.destroy()

    undone = one.roll_back(stable)

    assert undone.reasons == []
    assert scene.tags() == {"1": "first"}


@MOVING
def test_u10_an_update_of_a_mutable_source_whose_response_was_lost_is_undone(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """With rollback disabled, no status shows that CloudFormation undoes the update."""
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest")))
    tried = declare(scene.release(kind, "second"), "latest", Refresh="1")

    stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING", deliveries=[Delivery(lost="answer")]))

    assert scene.tags() == {"latest": "first"}


@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
def test_u4_an_update_whose_response_was_lost_is_undone(scene: Scene, stack: DeployedStack, options: Options) -> None:
    scene.push("by hand", "latest")
    first, second = scene.push("first"), scene.push("second")
    stack.deploy(template(stack, Agent=declare(first, "1", **options)))
    tried = template(stack, Agent=declare(second, "1", "latest", **options))

    stack.deploy(tried, Course(on_failure="NOTHING", deliveries=[Delivery(lost="answer")]))

    assert scene.tags() == {"1": "first", "latest": "by hand"}


@OPTIONS
@pytest.mark.parametrize("pause", [0.5, 1.0, 3.0])
def test_u4_a_deployment_right_after_a_success_is_undone(scene: Scene, options: Options, pause: float) -> None:
    stack = scene.stack(pace=pause / 2)
    stack.rest = pause / 2
    scene.push("by hand", "latest")
    first, second = scene.push("first"), scene.push("second")
    stack.deploy(template(stack, Agent=declare(first, "1", **options)))

    stack.deploy(template(stack, Agent=declare(second, "1", "latest", **options)), FAILS)

    assert scene.tags() == {"1": "first", "latest": "by hand"}


@OPTIONS
def test_u4_reverting_a_failed_move_to_another_repository_gives_the_tag_back_there(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    first = scene.push("first")
    scene.push("first", to=ELSEWHERE)
    scene.push("by hand", "latest", to=ELSEWHERE)
    here = declare(first, "latest", **options)
    stack.deploy(template(stack, Agent=here))
    stack.deploy(template(stack, Agent={**here, "RepositoryName": ELSEWHERE}), FAILS_WITHOUT_ROLLBACK)

    assert stack.deploy(template(stack, Agent=here)).status == "COMPLETE"

    assert scene.tags() == {"latest": "first"}
    assert scene.tags(ELSEWHERE) == {"latest": "by hand"}


@OPTIONS
@pytest.mark.parametrize("is_new", [True, False], ids=["created", "updated since"])
def test_u5_a_move_to_another_repository_whose_response_was_lost_is_undone(
    scene: Scene, options: Options, *, is_new: bool
) -> None:
    """The Update is sent as soon as the deployment begins, long after the resource was created."""
    stack = scene.stack(pace=0.5)
    first = scene.push("first")
    scene.push("first", to=ELSEWHERE)
    scene.push("by hand", "latest", to=ELSEWHERE)
    here = declare(first, "latest", **options)
    stack.deploy(template(stack, Agent=here))
    if not is_new:
        stack.deploy(template(stack, Agent={**here, "ImageTags": ["latest", "1"]}))

    there = template(stack, Agent={**here, "RepositoryName": ELSEWHERE})
    stack.deploy(there, Course(deliveries=[Delivery(lost="answer")]))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert scene.tags()["latest"] == "first"
    assert scene.tags(ELSEWHERE) == {"latest": "by hand"}


@OPTIONS
@pytest.mark.parametrize("image", ["deployed", "another"])
def test_u3_an_undo_leaves_the_tag_of_a_retained_resource_of_the_same_name(
    scene: Scene, stack: DeployedStack, options: Options, image: str
) -> None:
    """The retained resource took a tag over. The next resource of the same name declares another tag, and is undone."""
    scene.push("by hand", "latest")
    images = {name: scene.push(name) for name in ("deployed", "another")}
    stack.deploy(template(stack, Agent=declare(images["deployed"], "latest", **options)))
    del stack.resources["Agent"]
    stack.deploy({})

    stack.deploy(template(stack, Agent=declare(images[image], "2", **options)), FAILS)

    assert scene.tags()["latest"] == "deployed"


def test_u3_a_record_from_before_an_option_changed_is_deleted_with_the_resource(
    scene: Scene, stack: DeployedStack
) -> None:
    scene.push("by hand", "latest")
    release = scene.push("release")
    stack.deploy(template(stack, Agent=declare(release, "latest")))
    stack.deploy(template(stack, Agent=declare(release, "latest", **DESTROY)))

    stack.deploy({})

    assert scene.parameters() == {}


@OPTIONS
@pytest.mark.parametrize("is_update", [False, True], ids=["created", "updated"])
def test_r15_a_rollback_in_one_region_leaves_a_tag_that_another_region_declares(
    scene: Scene, options: Options, *, is_update: bool
) -> None:
    """The release is deployed in both stacks. One of them fails, and the other one had found the tag in place."""
    before, release = scene.push("before", "latest"), scene.push("release")
    one, two = scene.stack("One", "eu-west-1"), scene.stack("Two", "us-west-2")
    if is_update:
        one.deploy(template(one, Agent=declare(before, "1", **options)))

    def meanwhile() -> None:
        assert two.deploy(template(two, Agent=declare(release, "latest", **options))).status == "COMPLETE"

    tags = ("1", "latest") if is_update else ("latest",)
    one.deploy(
        template(one, Agent=declare(release, *tags, **options)), Course(other_fails_after=1, meanwhile=meanwhile)
    )

    assert scene.tags()["latest"] == "release"


def test_r11_a_tag_whose_removal_waits_for_an_index_stays_if_it_is_declared_again(scene: Scene) -> None:
    index = scene.push("index")
    child = index.children[0]
    one, two = scene.stack("One"), scene.stack("Two")
    two.deploy(template(two, Index=declare(index, "i", **DESTROY)))
    one.deploy({})
    one.deploy(template(one, Child=declare(child, "c", **DESTROY)), FAILS)
    assert one.deploy(template(one, Child=declare(child, "c"))).status == "COMPLETE"

    assert two.destroy()

    assert scene.tags() == {"c": "index linux/amd64"}


@OPTIONS
@pytest.mark.parametrize("is_deleted", [False, True], ids=["the tag exists", "a person deleted the tag"])
def test_u1_the_tag_stays_when_the_old_resource_declares_the_image_of_a_failed_bump(
    scene: Scene, stack: DeployedStack, options: Options, *, is_deleted: bool
) -> None:
    """The failed resource is deleted at the end of the deployment that succeeds, and must not give the tag back."""
    first, second = scene.push("first", "mine"), scene.push("second", "yours")
    stack.deploy(template(stack, One=declare(first, "latest", **options)))
    stack.deploy(template(stack, Two=declare(second, "latest", **options)), FAILS_WITHOUT_ROLLBACK)
    if is_deleted:
        scene.untag("latest")

    assert stack.deploy(template(stack, One=declare(second, "latest", **options))).status == "COMPLETE"

    assert scene.tags()["latest"] == "second"
    assert stack.destroy()
    assert scene.tags().get("latest") == (None if "OnDelete" in options else "second")


@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
def test_a_resource_that_a_failed_deployment_created_keeps_its_tag_when_the_older_one_is_removed(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """
    CloudFormation sends nothing to the resource that stays.

    The removed one was updated after it was created, and this update was undone.
    """
    image = scene.push("first", "mine", "build")
    old = declare(image, "latest", **options)
    stack.deploy(template(stack, One=old))
    new = declare(image, "latest", **options)
    stack.deploy(template(stack, One=old, Two=new), FAILS_WITHOUT_ROLLBACK)
    moving = {**old, "Source": {"Tag": "build"}}
    lost = Course(deliveries=(Delivery(lost="request"), Delivery(lost="answer")), on_failure="NOTHING")
    stack.deploy(template(stack, One=moving, Two=new), lost)

    assert stack.deploy(template(stack, Two=new)).status == "COMPLETE"

    assert scene.tags()["latest"] == "first"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
@pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
def test_u12_a_stack_that_failed_after_a_success_leaves_no_tag_when_it_is_deleted(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[int, ...]
) -> None:
    """By then, the image that the tag would go back to may have been deleted."""
    one = declare(scene.release("copy", "first"), "1", "latest", **DESTROY)
    stack.deploy(template(stack, One=one))
    two = declare(scene.release("copy", "second"), "2", "latest", **options)
    stack.deploy(template(stack, One=one, Two=two), FAILS_WITHOUT_ROLLBACK)

    assert stack.destroy(Course(order=order))

    assert scene.tags() == {}
    assert scene.images() == (whole("second") if options == UNTAG else set())
    assert scene.parameters() == {}


@OPTIONS
def test_u3_a_tag_whose_previous_image_was_deleted_stays_at_the_new_one(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    first, second = scene.push("first"), scene.push("second")
    one = declare(first, "latest", **DESTROY)
    stack.deploy(template(stack, One=one))
    release = template(stack, One=one, Two=declare(second, "latest", **options))

    stack.deploy(release, Course(other_fails_after=1, meanwhile=lambda: scene.delete(first.digest)))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "second"}


def test_children_that_existed_stay_even_if_there_are_too_many_for_the_record(
    scene: Scene, stack: DeployedStack
) -> None:
    """A record of 4,096 bytes does not hold seventy digests."""
    children = [build_image({"etc/name": str(number).encode()}) for number in range(70)]
    for child in children:
        scene.move(child)
    before = scene.images()
    entries = [{"mediaType": each.media_type, "digest": each.digest, "size": len(each.manifest)} for each in children]
    media_type = "application/vnd.oci.image.index.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})
    index = {"RepositoryName": HOME, "ImageTags": ["all"], "Source": {"Manifest": {"Body": body}}, **DESTROY}
    stack.deploy(template(stack, All=index), FAILS_WITHOUT_ROLLBACK)
    assert "all" in scene.tags()

    assert stack.destroy()

    assert before <= scene.images()
    assert scene.tags() == {}


@OPTIONS
@pytest.mark.parametrize("before", [{"latest": "by hand"}, {}], ids=["an existing tag", "a new tag"])
def test_u12_taking_over_the_tag_of_a_failed_resource_immediately_is_undone(
    scene: Scene, stack: DeployedStack, options: Options, before: Mapping[str, str]
) -> None:
    """CloudFormation deletes a failed resource just before it creates another one. Reads are five seconds old."""
    scene.push("by hand", *before)
    first, second = scene.push("first"), scene.push("second")
    tried = template(stack, One=declare(first, "latest", **options))
    stack.deploy({})
    stack.deploy(tried, Course(on_failure="NOTHING", deliveries=[Delivery(lost="answer")]))
    scene.lag(5)
    stack.record.enter("UPDATE_IN_PROGRESS")
    stack.failed.clear()
    gone = stack.cloudformation.event("Delete", tried["One"], "One", stack.invented_id("One"))
    assert stack.cloudformation.send(gone).succeeded
    undone = before or ({} if options else {"latest": "first"})
    assert scene.tags() == undone
    stack.rest = stack.pace = 0.5
    stack.deploy(template(stack, Two=declare(second, "latest", **options)), FAILS_WITHOUT_ROLLBACK)

    assert stack.destroy()

    assert scene.tags() == undone


def test_u12_a_tag_that_a_failed_deployment_left_at_its_image_is_not_put_again_when_it_is_dropped(
    scene: Scene, stack: DeployedStack
) -> None:
    """Another resource of the same deployment may take it over between the read and the put."""
    first, second = scene.push("first"), scene.push("second")
    one, two = declare(first, "1", **UNTAG), declare(first, "2", **UNTAG)
    stack.deploy(template(stack, One=one, Two=two))
    both = {"One": declare(first, "1", "2", **UNTAG), "Two": declare(first, "3", **UNTAG)}
    stack.deploy(template(stack, **both), FAILS_WITHOUT_ROLLBACK)
    scene.forget_requests()

    stack.deploy(template(stack, One=one, Two=declare(second, "2", "3", **UNTAG)))

    assert scene.tags() == {"1": "first", "2": "second", "3": "second"}
    puts = [each for each in scene.sandbox.requests.all("PutImage") if each.reference == "2"]
    assert len(puts) == 1
