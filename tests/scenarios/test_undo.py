"""A deployment that is undone gives back what it took, whatever may be removed; one that has succeeded does not."""

from __future__ import annotations

import pytest

from tests.support.course import Course, Deployment
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    ELSEWHERE,
    KEEP,
    KINDS,
    LAG,
    OPTIONS,
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
"""Our resource succeeds, and another one of the stack fails."""


def bump(scene: Scene, stack: DeployedStack, kind: Kind, course: Course, options: Options) -> Release:
    """Release 1.4.2, and then 1.4.3 in its place, which is another logical id. Return the latter."""
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
    """A tag that is new stays under KEEP, and goes where something may be removed."""
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
    """The old resource is deleted in the clean-up of a success: what it once took over is history."""
    scene.push("by hand", "latest")

    bump(scene, stack, kind, Course(), options)

    assert stack.status == "UPDATE_COMPLETE"
    old = {} if options == DESTROY else {"1.4.2": "first"}
    assert scene.tags() == {**old, "1.4.3": "second", "1.4": "second", "latest": "second"}


@OPTIONS
def test_u1_u2_two_releases_later_nothing_old_comes_back(scene: Scene, stack: DeployedStack, options: Options) -> None:
    scene.push("by hand", "latest")
    bump(scene, stack, "digest", Course(), options)
    third = scene.release("digest", "third")

    stack.deploy(template(stack, Agent144=declare(third, "1.4.4", "1.4", "latest", **options)), FAILS)

    tags = scene.tags()
    assert (tags["1.4.3"], tags["1.4"], tags["latest"]) == ("second", "second", "second")


@OPTIONS
def test_u1_u2_a_bump_that_succeeds_the_second_time_stays(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """What the first try took over is not given back when the second one is replaced."""
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
def test_u1_u2_two_entries_are_bumped_and_one_of_them_fails(
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
    """The giver is updated, the taker created: the rollback sends an Update and a Delete."""
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


ROOT = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Root/0a0a0a0a-0000-4000-8000-000000000000"


def nested(scene: Scene, stack: DeployedStack, status: str = "CREATE_IN_PROGRESS") -> StackRecord:
    """Nest the stack in another one, whose deployment is under way."""
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
def test_u1_u2_a_nested_stack_that_is_deleted_since_its_root_rolls_back_gives_back(
    scene: Scene, stack: DeployedStack, options: Options, forward: str, back: str
) -> None:
    """The nested stack itself was created with success, and is in DELETE_IN_PROGRESS, as in an ordinary removal."""
    scene.push("by hand", "latest")
    root = nested(scene, stack, forward)
    release = scene.release("digest", "first")
    assert stack.deploy(template(stack, Agent=declare(release, "latest", "1", **options))).status == "COMPLETE"
    root.enter(back)

    assert stack.destroy()

    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@OPTIONS
@pytest.mark.parametrize("status", ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_u1_u2_a_nested_stack_whose_root_rolls_back_gives_back(
    scene: Scene, stack: DeployedStack, options: Options, status: str
) -> None:
    """That the nested stack came to UPDATE_COMPLETE says nothing: only the root knows whether all went well."""
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
def test_u3_u9_a_first_deployment_that_is_undone_gives_back_what_a_script_pushed(
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


def test_u3_a_tag_that_a_person_moved_meanwhile_is_left_to_them(scene: Scene, stack: DeployedStack) -> None:
    scene.push("by hand", "latest")
    release, theirs = scene.release("digest", "first"), scene.push("theirs")

    stack.deploy(
        template(stack, Agent=declare(release, "latest")),
        Course(other_fails_after=1, meanwhile=lambda: scene.move(theirs, "latest")),
    )

    assert scene.tags() == {"latest": "theirs"}


@OPTIONS
def test_u3_an_image_that_a_person_deleted_does_not_hold_the_rollback_up(
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
    # What OnDelete means for a resource that stays is not said.
    assert options == DESTROY or tags.get("1.4.3") == (None if options == UNTAG else name)
    assert whole(name) <= scene.images()


@OPTIONS
def test_u4_an_update_that_succeeds_gives_nothing_back(scene: Scene, stack: DeployedStack, options: Options) -> None:
    """The next update fails: only what that one took over goes back."""
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
def test_u5_a_move_to_another_repository_that_is_undone_gives_back_there(
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
