"""A removal removes only what the declaration put, and nothing that a person or a build has put since."""

from __future__ import annotations

import pytest

from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    HOME,
    LAG,
    REGISTRY_REGION,
    REMOVING,
    UNTAG,
    UPSTREAM,
    Kind,
    Options,
    Properties,
    Scene,
    declare,
    template,
    whole,
)

BY_DIGEST = "sha256:"


def remove(stack: DeployedStack, declared: Properties) -> None:
    """Drop ``latest``, or delete the resource with all of its tags."""
    if declared.get("OnDelete"):
        assert stack.destroy()
    else:
        tags = [tag for tag in declared["ImageTags"] if tag != "latest"]
        assert stack.deploy(template(stack, Agent={**declared, "ImageTags": tags})).status == "COMPLETE"


@REMOVING
def test_r2_a_tag_that_a_build_moves_while_it_is_removed_stays(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The build pushes after the request was sent and before it takes effect."""
    declared = declare(scene.release("digest", "first"), "latest", "1", **options)
    stack.deploy(template(stack, Agent=declared))
    hook = scene.hooks.before("BatchDeleteImage", lambda: scene.push("second", "latest"))

    remove(stack, declared)

    assert hook.ran
    assert scene.tags()["latest"] == "second"
    assert whole("second") <= scene.images()


@REMOVING
def test_r2_a_tag_that_stays_at_its_image_is_removed(scene: Scene, stack: DeployedStack, options: Options) -> None:
    declared = declare(scene.release("digest", "first"), "latest", "1", **options)
    stack.deploy(template(stack, Agent=declared))

    remove(stack, declared)

    assert "latest" not in scene.tags()


@REMOVING
def test_r3_a_tag_that_a_person_moved_a_moment_ago_stays(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """The build pushed five seconds ago, and reads are ten seconds old."""
    declared = declare(scene.release("digest", "first"), "latest", "1", **options)
    second = scene.push("second")
    stack.deploy(template(stack, Agent=declared))
    scene.clock.pass_by(60)
    scene.lag(10)
    scene.move(second, "latest")
    stack.rest, stack.pace = 5.0, 0.0

    remove(stack, declared)

    assert scene.tags()["latest"] == "second"
    assert whole("second") <= scene.images()


@REMOVING
def test_r2_a_tag_that_was_just_put_is_removed(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """Reads are ten seconds old, so they do not show the image yet."""
    declared = declare(scene.release("copy", "first"), "latest", "1", **options)
    scene.clock.pass_by(60)
    scene.lag(10)
    stack.pace, stack.rest = 0.0, 1.0
    stack.deploy(template(stack, Agent=declared))

    remove(stack, declared)

    assert scene.tags() == ({"1": "first"} if "OnTagRemoved" in options else {})
    assert scene.images() == (whole("first") if "OnTagRemoved" in options else set())


@LAG
@pytest.mark.parametrize("fails", [False, True], ids=["with success", "and rolled back"])
def test_r4_an_image_stays_when_two_resources_drop_it_at_the_same_time(
    scene: Scene, stack: DeployedStack, lag: float, *, fails: bool
) -> None:
    """The removals are one second apart. Each sees the other's tag as the one that keeps the image."""
    first, second = scene.release("digest", "first"), scene.release("digest", "second")
    stack.deploy(template(stack, One=declare(first, "a", **UNTAG), Two=declare(first, "b", **UNTAG)))
    stack.pace = 1.0
    scene.lag(lag)

    done = stack.deploy(
        template(stack, One=declare(second, "a2", **UNTAG), Two=declare(second, "b2", **UNTAG)),
        Course(other_fails_after=2 if fails else None),
    )

    assert done.status == ("ROLLBACK_COMPLETE" if fails else "COMPLETE")
    assert whole("first", "second") <= scene.images()
    tags = scene.tags()
    if fails:
        assert tags == {"a": "first", "b": "first"}
    else:
        assert (tags["a2"], tags["b2"]) == ("second", "second")


def test_r4_an_image_stays_when_two_stacks_drop_it_at_the_same_time(scene: Scene, stack: DeployedStack) -> None:
    other = scene.stack("Other")
    first, second = scene.release("digest", "first"), scene.release("digest", "second")
    stack.deploy(template(stack, Agent=declare(first, "a", **UNTAG)))
    other.deploy(template(other, Agent=declare(first, "b", **UNTAG)))
    scene.clock.pass_by(60)
    scene.lag(5)
    stack.rest = stack.pace = other.rest = other.pace = 0.5

    for each, tag in ((stack, "a2"), (other, "b2")):
        assert each.deploy(template(each, Agent=declare(second, tag, **UNTAG))).status == "COMPLETE"

    assert whole("first", "second") <= scene.images()


IMMUTABLE = {"ImmutableTags": ["1.*"]}


@pytest.mark.parametrize("options", [UNTAG, DESTROY, {**UNTAG, **DESTROY}], ids=["untag", "destroy", "both"])
def test_r10_an_immutable_tag_is_never_removed(scene: Scene, stack: DeployedStack, options: Options) -> None:
    declared = declare(scene.release("copy", "first"), "latest", "1.0", **IMMUTABLE, **options)
    stack.deploy(template(stack, Agent=declared))

    if "OnTagRemoved" in options:
        dropped = {**declared, "ImageTags": ["2"]}
        assert stack.deploy(template(stack, Agent=dropped)).status == "COMPLETE"
        assert scene.tags() == {"1.0": "first", "2": "first"}
    assert stack.destroy()

    assert scene.tags() == {"1.0": "first", **({} if "OnDelete" in options else {"2": "first"})}
    assert scene.images() == whole("first")
    assert scene.parameters() == {}


@REMOVING
def test_r10_an_immutable_tag_stays_when_its_creation_is_undone(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    declared = declare(scene.release("copy", "first"), "latest", "1.0", **IMMUTABLE, **options)

    stack.deploy(template(stack, Agent=declared), Course(other_fails_after=1))

    assert scene.tags() == {"1.0": "first"}
    assert scene.images() == whole("first")


def index_and_child(scene: Scene, kind: Kind) -> dict[str, Properties]:
    """Declare an index, and one of the images that it lists."""
    index = scene.release(kind, "first")
    child = index.image.children[0]
    source: Properties = {"Digest": child.digest}
    if kind == "copy":
        source = {"Image": {"Reference": f"{scene.uri(UPSTREAM)}@{child.digest}"}}
    return {
        "Child": {**declare(child, "amd64", **DESTROY), "Source": source},
        "Index": declare(index, "1", **DESTROY),
    }


ORDERS = pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the image first", "the index first"])
INDEX_KINDS = pytest.mark.parametrize("kind", ["digest", "copy"])


@LAG
@ORDERS
@INDEX_KINDS
def test_r11_an_image_and_the_index_that_lists_it_are_removed_in_any_order(
    scene: Scene, kind: Kind, order: tuple[int, ...], lag: float
) -> None:
    stack = scene.stack(pace=2.0)
    stack.deploy(template(stack, **index_and_child(scene, kind)))
    assert scene.tags() == {"1": "first", "amd64": "first linux/amd64"}
    scene.lag(lag)

    assert stack.destroy(Course(order=order))

    assert (scene.tags(), scene.images(), scene.parameters()) == ({}, set(), {})


@ORDERS
def test_r11_an_image_and_the_index_of_another_stack_are_removed_in_any_order(
    scene: Scene, stack: DeployedStack, order: tuple[int, ...]
) -> None:
    stacks = {"Child": stack, "Index": scene.stack("Other")}
    for name, properties in index_and_child(scene, "digest").items():
        stacks[name].deploy(template(stacks[name], **{name: properties}))

    for place in order:
        assert list(stacks.values())[place].destroy()

    assert (scene.tags(), scene.images(), scene.parameters()) == ({}, set(), {})


@ORDERS
def test_r11_a_rollback_removes_the_tags_of_an_index_and_its_child(
    scene: Scene, stack: DeployedStack, order: tuple[int, ...]
) -> None:
    stack.deploy(template(stack, **index_and_child(scene, "copy")), Course(order=order, other_fails_after=2))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert (scene.tags(), scene.parameters()) == ({}, {})
    # The second of the two found this image in place, and an image that existed before stays.
    assert scene.images() <= {"first linux/amd64"}


def test_r11_an_image_whose_index_a_build_has_pushed_stays(scene: Scene, stack: DeployedStack) -> None:
    both = index_and_child(scene, "digest")
    scene.push("first", "build-7")
    stack.deploy(template(stack, Child=both["Child"]))

    assert stack.destroy()

    assert scene.images() == whole("first")
    assert scene.tags()["build-7"] == "first"


@pytest.mark.parametrize("named", ["by its account", "by its alias"])
def test_r12_the_default_registry_may_also_be_named_by_account_or_alias(
    scene: Scene, stack: DeployedStack, named: str
) -> None:
    first = scene.release("digest", "first")
    registry = scene.sandbox.account if named == "by its account" else scene.uri(HOME).split("/")[1]
    stack.deploy(template(stack, Agent=declare(first, "1", "2", "3", **UNTAG)))

    added = stack.deploy(template(stack, Agent=declare(first, "1", "2", RegistryId=registry, **UNTAG)))
    assert (added.status, scene.tags()) == ("COMPLETE", {"1": "first", "2": "first"})
    taken_out = stack.deploy(template(stack, Agent=declare(first, "1", **UNTAG)))

    assert (taken_out.status, scene.tags()) == ("COMPLETE", {"1": "first"})


@pytest.mark.parametrize("kind", ["digest", "copy", "tag", "moving copy"])
def test_r13_a_move_to_another_repository_cleans_up_the_previous_one(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    release = scene.release(kind, "first")
    declared = declare(release, "latest", "1", **DESTROY)
    stack.deploy(template(stack, Agent=declared))
    scene.push("first", "stable", to=ELSEWHERE)

    moved = stack.deploy(template(stack, Agent={**declared, "RepositoryName": ELSEWHERE}))

    assert moved.status == "COMPLETE"
    assert scene.tags() == {}
    assert scene.tags(ELSEWHERE) == {"latest": "first", "1": "first"}
    assert not any("agent" in name for names in scene.parameters().values() for name in names)
    assert scene.images() == (whole("first") if kind == "tag" else set())
    assert stack.destroy()
    assert (scene.tags(ELSEWHERE), scene.parameters()) == ({}, {})


def test_r14_the_response_names_only_as_many_kept_tags_as_fit(scene: Scene, stack: DeployedStack) -> None:
    tags = [f"{number:0>33}" for number in range(92)]
    first = scene.release("digest", "first")
    rules = {"ImmutableTags": ["0*"], **UNTAG}
    assert stack.deploy(template(stack, Agent=declare(first, *tags, "latest", **rules))).status == "COMPLETE"

    done = stack.deploy(template(stack, Agent=declare(first, "latest", **rules)))

    assert done.status == "COMPLETE"
    assert scene.tags() == dict.fromkeys([*tags, "latest"], "first")
    kept = stack.resources["Agent"].data["KeptTags"]
    assert kept.startswith(f"{tags[0]},{tags[1]},")
    assert len(kept) <= 1024


def test_r14_the_response_names_all_of_a_few_kept_tags(scene: Scene, stack: DeployedStack) -> None:
    first = scene.release("digest", "first")
    rules = {"ImmutableTags": ["1.*"], **UNTAG}
    stack.deploy(template(stack, Agent=declare(first, "1.0", "1.1", "latest", **rules)))

    stack.deploy(template(stack, Agent=declare(first, "latest", **rules)))

    assert stack.resources["Agent"].data["KeptTags"] == "1.0,1.1"


def test_r16_a_child_that_a_person_tags_while_it_is_removed_stays(scene: Scene, stack: DeployedStack) -> None:
    """Children have no tags, so they are deleted by digest. That also removes a tag that was put in the meantime."""
    first = scene.release("digest", "first")
    child = first.image.children[0]
    stack.deploy(template(stack, Agent=declare(first, "1", **DESTROY)))
    hook = scene.hooks.before(
        "BatchDeleteImage",
        lambda: scene.move(child, "mine"),
        when=lambda call: call.reference.startswith(BY_DIGEST),
    )

    assert stack.destroy()

    assert hook.ran
    assert scene.tags() == {"mine": "first linux/amd64"}
    assert scene.images() == {"first linux/amd64"}


def test_r16_an_index_that_loses_its_last_tag_stays_with_its_children(scene: Scene, stack: DeployedStack) -> None:
    """The registry deletes an image with its last tag. Until it is put back, nothing protects its children."""
    first = scene.release("digest", "first")
    children = [child.digest for child in first.image.children]
    hook = scene.hooks.after("BatchDeleteImage", lambda: scene.delete(*children))

    undone = stack.deploy(template(stack, Agent=declare(first, "1", **UNTAG)), Course(other_fails_after=1))

    assert hook.ran
    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {}
    assert scene.images() == whole("first")


@pytest.mark.parametrize("tags", [(), ("1",)], ids=["by digest", "by tag"])
def test_r16_an_image_that_a_person_tags_while_it_is_removed_stays(
    scene: Scene, stack: DeployedStack, tags: tuple[str, ...]
) -> None:
    first = scene.release("digest", "first")
    stack.deploy(template(stack, Agent=declare(first, *tags, **DESTROY)))
    hook = scene.hooks.before("BatchDeleteImage", lambda: scene.move(first.image, "mine"))

    assert stack.destroy()

    assert hook.ran
    assert scene.tags() == {"mine": "first"}
    assert scene.images() == whole("first")


def test_r16_an_image_and_its_children_are_deleted_if_nothing_changes_meanwhile(
    scene: Scene, stack: DeployedStack
) -> None:
    stack.deploy(template(stack, Agent=declare(scene.release("digest", "first"), **DESTROY)))

    assert stack.destroy()

    assert scene.images() == set()
    assert scene.parameters().get(REGISTRY_REGION, {}) == {}


READS = {"DescribeStacks", "DescribeStackEvents"}


@pytest.mark.parametrize("took_over", [False, True], ids=["image only", "with a tag"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["created", "replaced"])
def test_r9_what_existed_before_stays_if_a_deletion_cannot_be_told_from_an_undo(
    scene: Scene, stack: DeployedStack, *, is_replaced: bool, took_over: bool
) -> None:
    """The permission for the stack's status is denied, so a rollback looks like the removal of the resource."""
    image = scene.push("first")
    if took_over:
        scene.push("old", "latest")
    else:
        scene.move(image, "mine")
    if is_replaced:
        elsewhere = {**declare(scene.push("other", to=ELSEWHERE), "x", **DESTROY), "RepositoryName": ELSEWHERE}
        stack.deploy(template(stack, Agent=elsewhere))
    before = scene.images()
    declared = declare(image, "latest", "new", **DESTROY) if took_over else declare(image, "new", **DESTROY)
    scene.plane.denied |= READS

    stack.deploy(template(stack, Agent=declared), Course(other_fails_after=1))

    assert scene.images() == before
    assert "new" not in scene.tags()
    assert "latest" in scene.tags() if took_over else scene.tags() == {"mine": "first"}
