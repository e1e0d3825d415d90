"""A tag and an image stay while any resource declares them, in any stack and Region."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.scenarios.released import state_of_version_0_1
from tests.support.course import Course, Delivery, Deployment
from tests.support.deployment import DeployedStack
from tests.support.hooks import Moment
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    HOME,
    KEEP,
    LAG,
    MOVING,
    OPTIONS,
    REGION,
    REGISTRY_REGION,
    REMOVING,
    TWO_KINDS,
    UNTAG,
    Kind,
    Options,
    Properties,
    Scene,
    declare,
    messages,
    template,
    whole,
)

NAME = f"/cdk-ecrpublic/{HOME}/Shared"
"""A parameter name that a template sets by hand."""


def second_stack(scene: Scene, region: str = REGION) -> DeployedStack:
    """Create another stack, which deploys without pauses, in the middle of a deployment of the first one."""
    other = scene.stack("Other", region)
    other.rest = other.pace = 0.0
    return other


@LAG
@pytest.mark.parametrize(
    ("moment", "operation", "kind"),
    [
        ("after", "GetParametersByPath", "digest"),
        ("before", "BatchDeleteImage", "digest"),
        ("after", "GetParametersByPath", "copy"),
        ("before", "BatchDeleteImage", "copy"),
        # A deleted image can be published again only if its source has it.
        ("after", "BatchDeleteImage", "copy"),
    ],
)
def test_r1_an_image_that_a_second_stack_declares_while_the_first_one_removes_it_exists_afterwards(
    scene: Scene, stack: DeployedStack, moment: Moment, operation: str, kind: Kind, lag: float
) -> None:
    other, release = second_stack(scene), scene.release(kind, "first")
    shared = declare(release, "shared", "1", **DESTROY)
    stack.deploy(template(stack, Agent=shared))
    scene.lag(lag)
    deployments: list[Deployment] = []
    hook = scene.when(moment, operation, lambda: deployments.append(other.deploy(template(other, Agent=shared))))

    assert stack.destroy()

    assert hook.ran
    assert [each.status for each in deployments] == ["COMPLETE"]
    assert scene.tags() == {"shared": "first", "1": "first"}
    assert scene.images() == whole("first")
    assert other.destroy()
    assert (scene.tags(), scene.images(), scene.parameters()) == ({}, set(), {})


@pytest.mark.parametrize("operation", ["PutParameter", "DescribeImages", "PutImage"], ids=["recorded", "read", "put"])
def test_r1_an_image_that_the_first_stack_removes_while_a_second_one_declares_it_exists_afterwards(
    scene: Scene, stack: DeployedStack, operation: str
) -> None:
    """The whole removal happens between two steps of the creation."""
    other, release = second_stack(scene), scene.release("copy", "first")
    shared = declare(release, "shared", "1", **DESTROY)
    stack.deploy(template(stack, Agent=shared))
    stack.rest = stack.pace = 0.0
    gone: list[bool] = []
    hook = scene.when("after", operation, lambda: gone.append(stack.destroy()))

    created = other.deploy(template(other, Agent=shared))

    assert hook.ran
    assert gone == [True]
    assert created.status == "COMPLETE"
    assert scene.tags() == {"shared": "first", "1": "first"}
    assert scene.images() == whole("first")


def rename(scene: Scene, stack: DeployedStack, kind: Kind, course: Course) -> None:
    """Change the logical id of a resource, but not its parameter name."""
    declared = declare(scene.release(kind, "first"), "latest", "1", StateParameterName=NAME, **DESTROY)
    stack.deploy({"Old": declared})
    stack.deploy({"New": declared}, course)


@TWO_KINDS
@pytest.mark.parametrize("fails", [False, True], ids=["with success", "and rolled back"])
def test_r5_a_resource_that_is_renamed_keeps_its_tags_and_its_image(
    scene: Scene, stack: DeployedStack, kind: Kind, *, fails: bool
) -> None:
    rename(scene, stack, kind, Course(other_fails_after=1 if fails else None))

    assert list(stack.resources) == ["Old" if fails else "New"]
    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.images() == whole("first")
    assert stack.destroy()
    assert scene.tags() == {}
    assert scene.images() == (whole("first") if kind == "tag" else set())
    assert scene.parameters() == {}


@OPTIONS
@TWO_KINDS
def test_r6_the_image_of_two_stacks_of_one_template_stays_until_both_are_deleted(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """Both have the same parameter name. The second one has any removal option."""
    other, release = scene.stack("Other"), scene.release(kind, "first")
    names = {"StateParameterName": NAME}
    stack.deploy({"Agent": declare(release, "latest", "1", **names, **DESTROY)})
    other.deploy({"Agent": declare(release, "latest", "1", **names, **options)})

    assert stack.destroy()

    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.images() == whole("first")
    assert other.destroy()
    assert scene.tags() == ({} if options == DESTROY else {"latest": "first", "1": "first"})
    assert scene.parameters() == {}


@pytest.mark.parametrize(
    ("moment", "operation"),
    [("after", "GetParametersByPath"), ("before", "BatchDeleteImage"), ("after", "BatchDeleteImage")],
)
def test_r1_an_image_without_a_tag_that_another_stack_declares_during_its_removal_exists_afterwards(
    scene: Scene, stack: DeployedStack, moment: Moment, operation: str
) -> None:
    other, release = second_stack(scene), scene.release("copy", "first")
    stack.deploy(template(stack, Agent=declare(release, "1.0", **DESTROY)))
    deployments: list[Deployment] = []
    bare = template(other, Bare=declare(release))
    hook = scene.when(moment, operation, lambda: deployments.append(other.deploy(bare)))

    assert stack.destroy()

    assert hook.ran
    assert [each.status for each in deployments] == ["COMPLETE"]
    assert scene.images() == whole("first")


@TWO_KINDS
@pytest.mark.parametrize("part", ["image", "child"])
@pytest.mark.parametrize("place", ["the same stack", "another stack"])
def test_r6_an_image_that_another_resource_declares_without_a_tag_stays(
    scene: Scene, stack: DeployedStack, kind: Kind, place: str, part: str
) -> None:
    """Either resource may be deployed first."""
    release = scene.release(kind, "first")
    bare = declare(release.image if part == "image" else release.image.children[0])
    removing = declare(release, "1.0", **DESTROY)
    kept = whole("first") if part == "image" else {"first linux/amd64"}

    if place == "the same stack":
        stack.deploy(template(stack, Agent=removing))
        stack.deploy(template(stack, Bare=bare))
    else:
        other = second_stack(scene)
        if kind == "digest":
            other.deploy(template(other, Bare=bare))
        stack.deploy(template(stack, Agent=removing))
        other.deploy(template(other, Bare=bare))
        assert stack.destroy()

    assert (scene.tags(), scene.images()) == ({}, kept)


@pytest.mark.parametrize("options", [KEEP, DESTROY], ids=["keep", "destroy"])
def test_r6_a_tag_that_one_of_two_stacks_drops_stays(scene: Scene, stack: DeployedStack, options: Options) -> None:
    other, release = scene.stack("Other"), scene.release("digest", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **UNTAG)))
    other.deploy(template(other, Agent=declare(release, "latest", **options)))

    stack.deploy(template(stack, Agent=declare(release, "1", **UNTAG)))

    assert scene.tags() == {"latest": "first", "1": "first"}


@pytest.mark.parametrize("wrong", [{"ImageDigest": "sha256:" + "0" * 64}, {"RequiredPlatforms": ["linux/s390x"]}])
@TWO_KINDS
def test_r7_a_creation_that_breaks_a_rule_leaves_the_record_of_another_stack(
    scene: Scene, stack: DeployedStack, kind: Kind, wrong: Properties
) -> None:
    declared = declare(scene.release(kind, "first"), "latest", "1", StateParameterName=NAME, **DESTROY, **UNTAG)
    stack.deploy({"Agent": declared})
    before, other = scene.parameters(), scene.stack("Other")

    refused = other.deploy({"Agent": {**declared, **wrong, "ImageTags": ["2"]}})

    assert refused.status == "ROLLBACK_COMPLETE"
    assert before
    assert scene.parameters() == before
    assert stack.destroy()
    assert (scene.tags(), scene.parameters()) == ({}, {})


@MOVING
def test_r7_another_stack_can_be_rolled_back_after_a_creation_that_breaks_a_rule(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    declared = declare(scene.release(kind, "first"), "latest", StateParameterName=NAME)
    stack.deploy({"Agent": declared})
    scene.stack("Other").deploy({"Agent": {**declared, "ImageDigest": "sha256:" + "0" * 64}})
    scene.release(kind, "second")

    undone = stack.deploy({"Agent": {**declared, "Refresh": "1"}}, Course(other_fails_after=1))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first"}


UNREADABLE = pytest.mark.parametrize("text", ["?", "{}", '{"version": 99}'])
PLACES = pytest.mark.parametrize("place", ["next to the parameter of version 0.1", "below the image"])


def write_record_of_another(scene: Scene, place: str, text: str) -> None:
    """Write *text* as the record of another resource."""
    if place == "below the image":
        own = [name for name in scene.plane.regions.get(REGISTRY_REGION, {}) if "/state/" in name]
        assert own, "a resource with a removal option must have a record below its image, in us-east-1"
        name = f"{own[0].rpartition('/')[0]}/eu-west-1.Other.Agent"
        scene.plane.regions[REGISTRY_REGION][name] = text
    else:
        scene.plane.regions.setdefault(REGION, {})[f"/cdk-ecrpublic/{HOME}/Other.Agent"] = text


@UNREADABLE
@PLACES
def test_r8_an_unreadable_record_prevents_the_deletion_of_an_image(
    scene: Scene, stack: DeployedStack, place: str, text: str
) -> None:
    release = scene.release("copy", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **DESTROY)))
    write_record_of_another(scene, place, text)

    assert stack.destroy()

    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.images() == whole("first")


@UNREADABLE
@PLACES
def test_r8_an_unreadable_record_prevents_the_removal_of_a_tag(
    scene: Scene, stack: DeployedStack, place: str, text: str
) -> None:
    release = scene.release("copy", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **UNTAG)))
    write_record_of_another(scene, place, text)

    assert stack.deploy(template(stack, Agent=declare(release, "1", **UNTAG))).status == "COMPLETE"

    assert scene.tags() == {"latest": "first", "1": "first"}
    assert stack.resources["Agent"].data["KeptTags"] == "latest"


@pytest.mark.parametrize("tag", ["latest", "other"], ids=["the same tag", "another tag"])
def test_r8_a_record_of_version_0_1_protects_its_tags(scene: Scene, stack: DeployedStack, tag: str) -> None:
    release = scene.release("copy", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **DESTROY)))
    state = state_of_version_0_1(
        stack.sent[-1], scene.push("second").digest, resource=f"ecr-public:123456789012/{HOME}:Other", tags=[tag]
    )
    write_record_of_another(scene, "next to the parameter of version 0.1", state)

    assert stack.destroy()

    assert scene.tags() == ({"latest": "first"} if tag == "latest" else {})


SYSTEMS_MANAGER = {"GetParameter", "GetParameters", "GetParametersByPath", "PutParameter", "DeleteParameter"}


@OPTIONS
@TWO_KINDS
def test_r8_a_function_without_access_to_records_publishes_and_logs_a_warning(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.push("by hand", "latest")
    scene.plane.denied |= SYSTEMS_MANAGER
    release = scene.release(kind, "first")
    capsys.readouterr()

    done = stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options)))

    assert done.status == "COMPLETE"
    assert scene.tags() == {"latest": "first", "1": "first"}
    warnings = messages(capsys.readouterr().out, "WARNING")
    assert [line for line in warnings if "latest" in line and "retrying" not in line]


@TWO_KINDS
def test_r8_a_function_without_access_to_records_removes_nothing(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    release = scene.release(kind, "first")
    both = {**UNTAG, **DESTROY}
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **both)))
    scene.plane.denied |= SYSTEMS_MANAGER

    assert stack.deploy(template(stack, Agent=declare(release, "1", **both))).status == "COMPLETE"
    assert stack.destroy()

    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.images() == whole("first")


@OPTIONS
@pytest.mark.parametrize("name", ["New", "Release"])
def test_r8_a_release_that_may_not_be_recorded_is_refused_if_another_resource_could_remove_its_tags(
    scene: Scene, stack: DeployedStack, options: Options, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = scene.push("first")
    release = declare(image, "latest", **DESTROY)
    stack.deploy(template(stack, Agent=declare(image, "1", "2", **DESTROY), Release=release))
    scene.plane.denied |= {"PutParameter"}
    tags = ["2", "latest"] if name == "Release" else ["2"]

    stack.deploy(template(stack, **{"Release": release, name: declare(image, *tags, **options)}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "another resource that has the same tags could remove them" in messages(capsys.readouterr().out, "ERROR")[0]
    assert scene.tags() == {"1": "first", "2": "first", "latest": "first"}


@OPTIONS
def test_r8_a_release_that_may_not_be_recorded_is_published_if_no_other_resource_has_its_tags(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    image = scene.push("first")
    stack.deploy(template(stack, Agent=declare(image, "1", **DESTROY)))
    scene.plane.denied |= {"PutParameter"}

    stack.deploy(template(stack, New=declare(image, "2", **options)))

    assert stack.status == "UPDATE_COMPLETE"
    assert scene.tags() == {"2": "first"}


@OPTIONS
@TWO_KINDS
@pytest.mark.parametrize("lost", ["answer", "request"])
def test_r9_a_creation_without_a_response_is_undone_with_the_id_that_cloudformation_invents(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, lost: Literal["answer", "request"]
) -> None:
    scene.push("by hand", "latest")
    release = scene.release(kind, "first")

    stack.deploy(
        template(stack, Agent=declare(release, "latest", "1", **options)), Course(deliveries=[Delivery(lost=lost)])
    )

    assert stack.status == "ROLLBACK_COMPLETE"
    assert stack.sent[-1]["PhysicalResourceId"] == stack.invented_id("Agent")
    stays = lost == "answer" and not options
    assert scene.tags() == {"latest": "by hand", **({"1": "first"} if stays else {})}
    assert scene.parameters() == {}


@REMOVING
def test_r9_the_tags_of_a_creation_without_a_response_can_be_removed_later(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    release = scene.release("copy", "first")
    declared = declare(release, "latest", "1", **options)
    stack.deploy(template(stack, Agent=declared), Course(deliveries=[Delivery(lost="answer")]))
    other = scene.stack("Other")
    other.deploy(template(other, Agent=declare(release, "latest", "1", **DESTROY)))

    assert other.destroy()

    assert (scene.tags(), scene.images(), scene.parameters()) == ({}, set(), {})


def test_r9_an_invented_id_does_not_affect_the_tags_of_another_resource(scene: Scene, stack: DeployedStack) -> None:
    """The Create never arrived. The tags belong to an older resource of the stack."""
    release = scene.release("digest", "first")
    stack.deploy(template(stack, Old=declare(release, "latest", "1", **DESTROY)))

    stack.deploy(
        template(stack, New=declare(release, "latest", "1", **DESTROY)),
        Course(deliveries=[Delivery(lost="request")]),
    )

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.images() == whole("first")


@TWO_KINDS
def test_r15_tags_that_a_stack_of_another_region_declares_stay_when_a_stack_is_deleted(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    other, release = scene.stack("Agent", "us-west-2"), scene.release(kind, "first")
    shared = declare(release, "latest", "1", **DESTROY)
    stack.deploy(template(stack, Agent=shared))
    other.deploy(template(other, Agent=shared))
    assert set(scene.parameters()) == {REGISTRY_REGION}

    assert stack.destroy()

    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.images() == whole("first")
    assert other.destroy()
    assert (scene.tags(), scene.parameters()) == ({}, {})


def test_r15_a_tag_that_a_stack_of_another_region_declares_stays_when_it_is_dropped(
    scene: Scene, stack: DeployedStack
) -> None:
    other, release = scene.stack("Agent", "us-west-2"), scene.release("digest", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **UNTAG)))
    other.deploy(template(other, Agent=declare(release, "latest", **UNTAG)))

    stack.deploy(template(stack, Agent=declare(release, "1", **UNTAG)))

    assert scene.tags() == {"latest": "first", "1": "first"}


def test_r15_a_stack_with_another_repository_does_not_prevent_a_removal(scene: Scene, stack: DeployedStack) -> None:
    other, release = scene.stack("Agent", "us-west-2"), scene.release("digest", "first")
    scene.push("first", to=ELSEWHERE)
    shared = declare(release, "latest", "1", **DESTROY)
    stack.deploy(template(stack, Agent=shared))
    other.deploy(template(other, Agent={**shared, "RepositoryName": ELSEWHERE}))

    assert stack.destroy()

    assert scene.tags() == {}
    assert scene.tags(ELSEWHERE) == {"latest": "first", "1": "first"}


TAKEN_BACK = pytest.mark.parametrize("how", [DESTROY, UNTAG], ids=["destroy", "untag"])
"""The removal option of the old resource. It had the tag before a person moved it, and a new resource replaces it."""


@TAKEN_BACK
@pytest.mark.parametrize("kind", ["digest", "tag", "copy", "moving copy"])
def test_r6_a_tag_that_was_moved_by_hand_stays_with_the_resource_that_takes_it_back(
    scene: Scene, stack: DeployedStack, kind: Kind, how: dict[str, object]
) -> None:
    """Both resources have the same image. The old one, which removes its tags, is deleted after the new one exists."""
    first = scene.release(kind, "first")
    stack.deploy(template(stack, Old=declare(first, "latest", "1", **how)))
    scene.push("by hand", "latest")

    done = stack.deploy(template(stack, New=declare(first, "latest")))

    assert done.status == "COMPLETE"
    assert scene.tags()["latest"] == "first"


@TAKEN_BACK
def test_r6_a_tag_that_was_moved_by_hand_stays_with_another_stack_that_takes_it(
    scene: Scene, stack: DeployedStack, how: dict[str, object]
) -> None:
    first = scene.release("digest", "first")
    stack.deploy(template(stack, Old=declare(first, "latest", "1", **how)))
    scene.push("by hand", "latest")
    other = scene.stack("Other")
    assert other.deploy(template(other, New=declare(first, "latest"))).status == "COMPLETE"

    stack.destroy()

    assert scene.tags()["latest"] == "first"


@TAKEN_BACK
def test_r6_a_tag_that_was_moved_by_hand_goes_back_there_if_the_deployment_is_undone(
    scene: Scene, stack: DeployedStack, how: dict[str, object]
) -> None:
    first = scene.release("digest", "first")
    stack.deploy(template(stack, Old=declare(first, "latest", "1", **how)))
    scene.push("by hand", "latest")

    done = stack.deploy(template(stack, New=declare(first, "latest")), Course(other_fails_after=1))

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == {"1": "first", "latest": "by hand"}
