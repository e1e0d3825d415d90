"""An undone deployment gives back the tags that it took over, with any removal option. A successful one does not."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.support.course import Course, Deployment
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    KEEP,
    KINDS,
    LAG,
    OPTIONS,
    REMOVING,
    TWO_KINDS,
    UNTAG,
    Kind,
    Options,
    Properties,
    Release,
    Scene,
    declare,
    messages,
    template,
    whole,
)
from tests.support.stack_records import StackRecord

FAILS = Course(other_fails_after=1)
"""Our resource succeeds, and another resource of the stack fails."""


def bump(scene: Scene, stack: DeployedStack, kind: Kind, course: Course, options: Options) -> Release:
    """Release 1.4.2, then replace it with 1.4.3, which has another logical id. Return the latter."""
    first = scene.release(kind, "first")
    old = template(stack, Agent142=declare(first, "1.4.2", "1.4", "latest", **options))
    assert stack.deploy(old).status == "COMPLETE"
    second = scene.release(kind, "second")
    stack.deploy(template(stack, Agent143=declare(second, "1.4.3", "1.4", "latest", **options)), course)
    return second


@LAG
@KINDS
@OPTIONS
def test_u1_u2_a_bump_that_is_undone_gives_the_tags_back(
    scene: Scene, options: Options, kind: Kind, lag: float
) -> None:
    """A new tag stays with KEEP, and is removed with UNTAG or DESTROY."""
    stack = scene.stack(pace=2.0)
    scene.lag(lag)

    second = bump(scene, stack, kind, FAILS, options)

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    new = {} if options else {"1.4.3": "second"}
    assert scene.tags() == {"1.4.2": "first", "1.4": "first", "latest": "first", **new}
    assert scene.images() == whole("first") | second.left(options)


def test_u1_the_log_names_the_tag_that_stays(
    scene: Scene, stack: DeployedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    bump(scene, stack, "digest", FAILS, KEEP)

    assert [line for line in messages(capsys.readouterr().out) if "1.4.3" in line and "stays" in line]


@TWO_KINDS
@OPTIONS
def test_u1_u2_a_bump_that_succeeds_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind
) -> None:
    """The old resource is deleted after a success, so it does not give back what it once took over."""
    scene.push("by hand", "latest")

    bump(scene, stack, kind, Course(), options)

    assert stack.status == "UPDATE_COMPLETE"
    old = {} if options == DESTROY else {"1.4.2": "first"}
    assert scene.tags() == {**old, "1.4.3": "second", "1.4": "second", "latest": "second"}


@OPTIONS
def test_u1_u2_an_undo_two_releases_later_restores_only_the_previous_release(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("by hand", "latest")
    bump(scene, stack, "digest", Course(), options)
    third = scene.release("digest", "third")

    stack.deploy(template(stack, Agent144=declare(third, "1.4.4", "1.4", "latest", **options)), FAILS)

    tags = scene.tags()
    assert (tags["1.4.3"], tags["1.4"], tags["latest"]) == ("second", "second", "second")


@OPTIONS
def test_u1_u2_a_bump_that_succeeds_the_second_time_stays(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """The tags that the first attempt took over are not given back when the second one is replaced."""
    second = bump(scene, stack, "digest", FAILS, options)
    again = template(stack, Agent143=declare(second, "1.4.3", "1.4", "latest", **options))
    assert stack.deploy(again).status == "COMPLETE"
    third = scene.release("digest", "third")

    stack.deploy(template(stack, Agent144=declare(third, "1.4.4", "1.4", "latest", **options)), FAILS)

    tags = scene.tags()
    assert (tags["1.4.3"], tags["1.4"], tags["latest"]) == ("second", "second", "second")
    assert tags.get("1.4.2") == (None if options == DESTROY else "first")


@OPTIONS
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["before the one that fails", "after it"])
def test_u1_u2_all_tags_go_back_if_one_of_two_bumped_entries_fails(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[int, ...]
) -> None:
    first, nightly = scene.release("digest", "first"), scene.release("digest", "nightly")
    old = {"Agent142": declare(first, "1.4", "latest", **options), "Night1": declare(nightly, "nightly", **options)}
    stack.deploy(template(stack, **old))
    second = scene.release("digest", "second")
    wrong = {**declare(second, "nightly", **options), "Source": {"Digest": "sha256:" + "0" * 64}}

    failed = stack.deploy(
        template(stack, Agent143=declare(second, "1.4", "latest", **options), Night2=wrong), Course(order=order)
    )

    assert failed.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"1.4": "first", "latest": "first", "nightly": "nightly"}


@LAG
@OPTIONS
@pytest.mark.parametrize("name", ["first", "second"], ids=["same image", "another image"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["given, then taken", "taken, then given"])
def test_u2_a_tag_that_moves_from_one_resource_to_another_comes_back(
    scene: Scene, options: Options, name: str, order: tuple[int, ...], lag: float
) -> None:
    """The old owner is updated, and the new one created. So the rollback sends an Update and a Delete."""
    stack = scene.stack(pace=2.0)
    first, second = scene.release("digest", "first"), scene.release("digest", name)
    stack.deploy(template(stack, Giver=declare(first, "1", "latest", **options)))
    scene.lag(lag)

    failed = stack.deploy(
        template(stack, Giver=declare(first, "1", **options), Taker=declare(second, "2", "latest", **options)),
        Course(other_fails_after=2, order=order),
    )

    assert failed.status == "ROLLBACK_COMPLETE"
    tags = scene.tags()
    assert (tags["1"], tags["latest"]) == ("first", "first")
    assert tags.get("2") == (None if options else name)


@pytest.mark.parametrize("giver", [KEEP, UNTAG, DESTROY], ids=["keep", "untag", "destroy"])
@pytest.mark.parametrize("taker", [KEEP, UNTAG, DESTROY], ids=["keep", "untag", "destroy"])
@pytest.mark.parametrize("taken_by", ["a new resource", "one that is undone last", "one that is undone first"])
def test_u2_a_tag_that_is_removed_and_then_taken_over_at_the_same_image_comes_back(
    scene: Scene, stack: DeployedStack, giver: Options, taker: Options, taken_by: str
) -> None:
    """
    The giver declares UNTAG only in the failed deployment, so it may have no record of its earlier declaration.

    For the taker, the tag is new, so its undo removes the tag.
    """
    image = scene.push("first", "mine")
    before = {} if taken_by == "a new resource" else {"Taker": declare(image, "2", **taker)}
    stack.deploy(template(stack, Giver=declare(image, "1", "latest", **giver), **before))

    failed = stack.deploy(
        template(stack, Giver=declare(image, "1", **UNTAG), Taker=declare(image, "2", "latest", **taker)),
        Course(other_fails_after=2, order=(1, 2, 0) if taken_by == "one that is undone last" else (0, 1, 2)),
    )

    assert failed.status == "ROLLBACK_COMPLETE"
    assert scene.tags()["latest"] == "first"


@TWO_KINDS
@pytest.mark.parametrize("kind_of_undo", ["an update", "a creation"])
@REMOVING
def test_u2_an_image_that_existed_before_stays_if_the_removal_of_its_last_tag_is_cut_off(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind, kind_of_undo: str
) -> None:
    """The image is deleted with its tag, and cannot be put back at once. Only the next attempt can put it back."""
    first, second = scene.push("first", "mine"), scene.release(kind, "second")
    scene.push("second")
    before = {"Agent": declare(first, "1", **options)} if kind_of_undo == "an update" else {}
    stack.deploy(template(stack, **before))

    def refuse_one_put() -> None:
        scene.sandbox.faults.add(Fault(operation="PutImage", code="LimitExceededException", times=1))

    hook = scene.when("after", "BatchDeleteImage", refuse_one_put)
    release = declare(second, "2", **options)

    undone = stack.deploy(template(stack, Agent=release), Course(other_fails_after=1))
    assert hook.ran
    if undone.status == "ROLLBACK_FAILED":
        scene.start_cold()
        stack.continue_rollback(undone)

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"mine": "first", **({"1": "first"} if before else {})}
    assert scene.images() == whole("first", "second")
    assert "manifest" not in str(scene.parameters())


ROOT = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Root/0a0a0a0a-0000-4000-8000-000000000000"


def nested(scene: Scene, stack: DeployedStack, status: str = "CREATE_IN_PROGRESS") -> StackRecord:
    """Nest the stack in another one that is being deployed."""
    root = scene.plane.stack(ROOT)
    if status != "CREATE_IN_PROGRESS":
        root.enter("CREATE_COMPLETE")
        scene.clock.pass_by(600)
    root.enter(status)
    stack.root = root
    return root


@OPTIONS
@pytest.mark.parametrize(
    ("forward", "back"),
    [
        ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"),
        ("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"),
        ("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"),
    ],
)
def test_u1_u2_a_nested_stack_that_is_deleted_because_its_root_rolls_back_gives_its_tags_back(
    scene: Scene, stack: DeployedStack, options: Options, forward: str, back: str
) -> None:
    """The nested stack itself was created successfully, and is in DELETE_IN_PROGRESS, as in an ordinary removal."""
    scene.push("by hand", "latest")
    root = nested(scene, stack, forward)
    release = scene.release("digest", "first")
    assert stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options))).status == "COMPLETE"
    root.enter(back)

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@OPTIONS
@pytest.mark.parametrize("status", ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_u1_u2_a_nested_stack_whose_root_rolls_back_gives_its_tags_back(
    scene: Scene, stack: DeployedStack, options: Options, status: str
) -> None:
    """The status UPDATE_COMPLETE of a nested stack does not prove success. Only that of the root does."""
    root = nested(scene, stack)
    first, second = scene.release("digest", "first"), scene.release("digest", "second")
    old = declare(first, "1.4", "latest", **options)
    stack.deploy(template(stack, Agent142=old))
    root.enter("CREATE_COMPLETE")
    root.enter("UPDATE_IN_PROGRESS")
    done = stack.deploy(
        template(stack, Agent143=declare(second, "1.4", "latest", **options)), Course(waits_for_root=True)
    )
    assert (done.status, stack.status) == ("COMPLETE", "UPDATE_COMPLETE")

    root.enter("UPDATE_ROLLBACK_IN_PROGRESS")
    if status != stack.status:
        stack.record.enter(status)
    stack.undo(done)

    assert scene.tags() == {"1.4": "first", "latest": "first"}


@OPTIONS
def test_u1_u2_a_nested_stack_that_is_deleted_with_its_root_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("by hand", "latest")
    root = nested(scene, stack)
    release = scene.release("digest", "first")
    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options)))
    root.enter("CREATE_COMPLETE")
    root.enter("DELETE_IN_PROGRESS")

    assert stack.destroy()

    assert scene.tags() == ({} if options == DESTROY else {"latest": "first", "1": "first"})


@LAG
@TWO_KINDS
@OPTIONS
def test_u3_u9_a_first_deployment_that_is_undone_gives_back_the_tag_that_a_script_pushed(
    scene: Scene, options: Options, kind: Kind, lag: float
) -> None:
    stack = scene.stack(pace=2.0)
    scene.push("by hand", "latest")
    release = scene.release(kind, "first")
    scene.lag(lag)

    stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options)), FAILS)

    assert stack.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}
    assert release.left(options) <= scene.images()


def test_u3_a_tag_that_a_person_moved_meanwhile_stays_there(scene: Scene, stack: DeployedStack) -> None:
    scene.push("by hand", "latest")
    release, theirs = scene.release("digest", "first"), scene.push("theirs")

    stack.deploy(
        template(stack, Agent=declare(release, "latest")),
        Course(other_fails_after=1, meanwhile=lambda: scene.move(theirs, "latest")),
    )

    assert scene.tags() == {"latest": "theirs"}


@OPTIONS
def test_u3_an_image_that_a_person_deleted_does_not_block_the_rollback(
    scene: Scene, stack: DeployedStack, options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand = scene.push("by hand", "latest")
    release = scene.release("digest", "first")

    def meanwhile() -> None:
        scene.delete(by_hand.digest)
        capsys.readouterr()

    stack.deploy(
        template(stack, Agent=declare(release, "latest", **options)), Course(other_fails_after=1, meanwhile=meanwhile)
    )

    assert stack.status == "ROLLBACK_COMPLETE"
    assert stack.record.resources["Agent"].status == "DELETE_COMPLETE"
    assert [line for line in messages(capsys.readouterr().out) if by_hand.digest in line and "latest" in line]


def update_and_fail(stack: DeployedStack, old: Properties, new: Properties, course: Course = FAILS) -> Deployment:
    """Deploy a resource, and update it in a deployment that fails."""
    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"
    return stack.deploy(template(stack, Agent=new), course)


@LAG
@OPTIONS
@pytest.mark.parametrize("name", ["first", "second"], ids=["same image", "another image"])
def test_u4_u9_an_update_that_is_undone_gives_back_the_tag_that_it_took_over(
    scene: Scene, options: Options, name: str, lag: float
) -> None:
    stack = scene.stack(pace=2.0)
    scene.push("by hand", "latest")
    first, second = scene.release("digest", "first"), scene.release("digest", name)
    scene.lag(lag)

    undone = update_and_fail(
        stack, declare(first, "1.4", **options), declare(second, "1.4", "latest", "1.4.3", **options)
    )

    assert undone.status == "ROLLBACK_COMPLETE"
    tags = scene.tags()
    assert (tags["1.4"], tags["latest"]) == ("first", "by hand")
    # It is not specified what OnDelete means for a resource that stays.
    assert options == DESTROY or tags.get("1.4.3") == (None if options == UNTAG else name)
    assert whole(name) <= scene.images()


@OPTIONS
def test_u4_an_update_that_succeeds_gives_nothing_back(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """The next update fails. Only the tags that it took over are given back."""
    scene.push("by hand", "latest")
    first, second = scene.release("digest", "first"), scene.release("digest", "second")
    one, two = declare(first, "1.4", **options), declare(second, "1.4", "latest", **options)
    stack.deploy(template(stack, Agent=one))

    undone = update_and_fail(stack, two, declare(first, "1.4", "latest", "1.4.3", **options))

    assert undone.status == "ROLLBACK_COMPLETE"
    tags = scene.tags()
    assert (tags["1.4"], tags["latest"]) == ("second", "second")


@OPTIONS
@pytest.mark.parametrize("is_updated", [True, False], ids=["with an update back", "with a deletion only"])
def test_u5_a_move_to_another_repository_that_is_undone_gives_the_tags_back_there(
    scene: Scene, stack: DeployedStack, options: Options, *, is_updated: bool
) -> None:
    scene.push("theirs", "latest", to=ELSEWHERE)
    release = scene.release("digest", "first")
    scene.push("first", to=ELSEWHERE)
    here = declare(release, "latest", "1", **options)
    there = {**here, "RepositoryName": ELSEWHERE}

    undone = update_and_fail(stack, here, there, Course(other_fails_after=1, updates_replaced=is_updated))

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first", "1": "first"}
    assert scene.tags(ELSEWHERE) == {"latest": "theirs", **({} if options else {"1": "first"})}
    assert scene.images(ELSEWHERE) >= whole("first")


@OPTIONS
def test_u5_a_move_to_another_repository_that_succeeds_gives_nothing_back(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.push("theirs", "latest", to=ELSEWHERE)
    release = scene.release("digest", "first")
    scene.push("first", to=ELSEWHERE)
    here = declare(release, "latest", **options)
    stack.deploy(template(stack, Agent=here))

    done = stack.deploy(template(stack, Agent={**here, "RepositoryName": ELSEWHERE}))

    assert done.status == "COMPLETE"
    assert scene.tags(ELSEWHERE) == {"latest": "first"}
    assert scene.tags() == ({} if options == DESTROY else {"latest": "first"})


@REMOVING
@pytest.mark.parametrize("order", [("One", "Two"), ("Two", "One")], ids=" ".join)
def test_a_new_tag_of_two_resources_is_removed_with_both(
    scene: Scene, stack: DeployedStack, options: Options, order: tuple[str, str]
) -> None:
    """Synthesis refuses a duplicate tag in an app, but a raw template can have it."""
    image = scene.push("first", "mine")
    twice = {name: declare(image, "shared", name.lower(), **options) for name in ("One", "Two")}
    stack.deploy(template(stack, **twice), Course(other_fails_after=2, on_failure="NOTHING"))

    assert stack.roll_back({}, order).reasons == []

    assert scene.tags() == {"mine": "first"}


@KINDS
@pytest.mark.parametrize("tags", [(), ("1",)], ids=["without a tag", "with a tag"])
@pytest.mark.parametrize("options", [DESTROY, {**UNTAG, **DESTROY}], ids=["destroy", "both"])
def test_u4_an_undo_keeps_the_image_that_the_restored_declaration_has_put_a_moment_ago(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind, tags: tuple[str, ...]
) -> None:
    """Reads of the update are ten seconds old, and do not show the image."""
    release = scene.release(kind, "first")
    scene.clock.pass_by(60)
    scene.lag(10)
    stack.pace, stack.rest = 0.0, 1.0
    stack.deploy(template(stack, Agent=declare(release, *tags, **options)))

    undone = stack.deploy(template(stack, Agent=declare(release, *tags, "new", **options)), FAILS)

    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == dict.fromkeys(tags, "first")
    assert whole("first") <= scene.images()
