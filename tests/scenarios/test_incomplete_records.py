"""An undo is right even if records are outdated or incomplete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.support.course import FAILS_WITHOUT_ROLLBACK, Course, Delivery
from tests.support.deployment import DeployedStack
from tests.support.scene import (
    DESTROY,
    KEEP,
    MOVING,
    OPTIONS,
    REMOVING,
    TWO_KINDS,
    UNTAG,
    Kind,
    Options,
    Scene,
    declare,
    template,
)

STATE = {"StateParameterName": "/cdk-ecrpublic/acme/agent/x"}
LOST = [Delivery(lost="answer")]


def test_u12_an_image_that_had_a_tag_before_a_failed_deployment_is_not_deleted_with_it(
    scene: Scene, stack: DeployedStack
) -> None:
    """Every put fails, so a tag that is removed even for a moment could not be put back."""
    first, second = scene.push("first", "0.0"), scene.push("second", "by-hand")
    stack.deploy(template(stack, Agent=declare(first, "latest", **DESTROY)))
    stack.deploy(template(stack, Agent=declare(second, "latest", "by-hand", **DESTROY)), FAILS_WITHOUT_ROLLBACK)
    seen: list[str | None] = []
    scene.hooks.after("BatchDeleteImage", lambda: seen.append(scene.tags().get("by-hand")), times=None)
    scene.sandbox.faults.add(Fault(operation="PutImage", code="LimitExceededException", times=None))

    stack.destroy()
    scene.sandbox.faults.clear()
    stack.destroy()

    assert (scene.tags().get("by-hand"), set(seen)) == ("second", {"second"})


@OPTIONS
@pytest.mark.parametrize("is_new", [False, True], ids=["updated", "created"])
def test_u12_three_failed_updates_give_a_tag_back_to_where_it_was_before_the_first(
    scene: Scene, stack: DeployedStack, options: Options, *, is_new: bool
) -> None:
    """Reads are five seconds old, and show the image of the second one."""
    scene.push("by hand", "t")
    images = [scene.push(f"release {number}", f"{number}.0") for number in range(4)]
    stack.deploy(template(stack, **({} if is_new else {"Agent": declare(images[0], "u", **options)})))
    stable = dict(stack.resources)
    scene.clock.pass_by(600)
    scene.lag(5)
    stack.pace, stack.rest = 0.5, 60
    for image in images[1:]:
        stack.deploy(template(stack, Agent=declare(image, "u", "t", **options)), FAILS_WITHOUT_ROLLBACK)

    stack.roll_back(stable)

    assert scene.tags()["t"] == "by hand"


def test_u12_a_tag_that_another_stack_declares_on_the_image_of_a_second_failed_update_stays(
    scene: Scene, stack: DeployedStack
) -> None:
    """With KEEP, the second update writes no record."""
    scene.push("by hand", "latest")
    first, second = scene.push("first"), scene.push("second")
    other = declare(first, "other")
    stack.deploy(template(stack, Other=other))
    stable = dict(stack.resources)
    stack.deploy(template(stack, Other=other, Agent=declare(first, "latest")), FAILS_WITHOUT_ROLLBACK)
    stack.deploy(template(stack, Other=other, Agent=declare(second, "latest")), FAILS_WITHOUT_ROLLBACK)
    theirs = scene.stack("Theirs")
    theirs.deploy(template(theirs, Agent=declare(second, "latest")))
    scene.clock.pass_by(600)

    stack.roll_back(stable)

    assert scene.tags()["latest"] == "second"


@REMOVING
@pytest.mark.parametrize("declares", [True, False], ids=["on this image", "no longer"])
def test_r7_a_new_tag_that_is_undone_does_not_go_to_an_image_that_an_old_record_names(
    scene: Scene, stack: DeployedStack, options: Options, *, declares: bool
) -> None:
    """The record of a mutable source stays after a change to a digest, with KEEP."""
    old, new, third = scene.release("tag", "old"), scene.push("new", "1.0"), scene.push("third", "3.0")
    stack.deploy(template(stack, Agent=declare(old, "t", "w")))
    stack.deploy(template(stack, Agent=declare(new, "t", "w")))
    if not declares:
        stack.deploy(template(stack, Agent=declare(new, "w")))
    scene.untag("t")
    theirs = scene.stack("Theirs")
    mine = declare(new if declares else third, "t", "u", **options)

    theirs.deploy(template(theirs, Agent=mine), Course(other_fails_after=1))

    assert scene.tags().get("t") == ("new" if declares else None)


@OPTIONS
def test_r8_an_update_that_cannot_be_recorded_can_be_reversed(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """With rollback disabled, only a record distinguishes a reverse update from another one."""
    image, other = scene.push("first"), scene.push("other", "o")
    base = {"Agent": declare(image, "1", "2", **DESTROY)}
    stack.deploy(template(stack, **base, Release=declare(image, "2", **options)))
    scene.plane.denied |= {"PutParameter"}
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="9", code="LimitExceededException", times=None))
    release = template(stack, **base, Release=declare(other, "2", "9", **options))

    done = stack.deploy(release, Course(on_failure="NOTHING"))

    assert done.reasons == []
    assert scene.tags()["2"] == "first"


@REMOVING
def test_r8_the_reverse_of_an_update_that_could_not_be_recorded_removes_no_tag(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """Nothing shows that the update had failed, before it put the tag that a person then puts."""
    image = scene.push("first")
    scene.push("other", "2")
    stack.deploy(template(stack, Agent=declare(image, "1", **options)))
    scene.plane.denied |= {"PutParameter"}
    scene.sandbox.faults.add(Fault(operation="PutImage", reference="9", code="LimitExceededException"))
    tried = template(stack, Agent=declare(image, "1", "9", "2", **options))

    done = stack.deploy(tried, Course(on_failure="NOTHING", meanwhile=lambda: scene.move(image, "2")))

    assert (done.reasons, scene.tags()) == ([], {"1": "first", "2": "first"})


@pytest.mark.parametrize("options", [UNTAG, DESTROY, STATE], ids=["untag", "destroy", "keep"])
def test_r8_a_function_that_may_neither_write_nor_list_records_publishes(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    scene.plane.denied |= {"PutParameter", "GetParametersByPath"}

    done = stack.deploy(template(stack, New=declare(scene.push("first"), "2", **options)))

    assert (done.status, scene.tags()) == ("COMPLETE", {"2": "first"})


@REMOVING
@pytest.mark.parametrize("order", [["A", "B"], ["B", "A"]], ids=" ".join)
def test_u12_a_new_tag_that_another_failed_resource_took_over_is_removed(
    scene: Scene, stack: DeployedStack, options: Options, order: Sequence[str]
) -> None:
    """The resource that created it is undone first or last."""
    first, second = scene.push("first"), scene.push("second", "by-hand")
    base = {"Other": declare(first, "other", **options)}
    stack.deploy(template(stack, **base))
    stable = dict(stack.resources)
    stack.deploy(template(stack, **base, A=declare(first, "t", **options)), FAILS_WITHOUT_ROLLBACK)
    stack.deploy(template(stack, **base, B=declare(second, "t", **options)), FAILS_WITHOUT_ROLLBACK)
    scene.clock.pass_by(600)

    stack.roll_back(stable, order=order)

    assert scene.tags() == {"other": "first", "by-hand": "second"}


@REMOVING
def test_r8_a_takeover_by_another_stack_does_not_block_a_release_that_may_not_be_recorded(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    """The record of a takeover stays after its success. It can give a tag back, but not remove it."""
    scene.push("by hand", "latest")
    stack.deploy(template(stack, Agent=declare(scene.push("first"), "latest")))
    scene.plane.denied |= {"PutParameter"}
    theirs = scene.stack("Theirs")

    done = theirs.deploy(template(theirs, New=declare(scene.push("second"), "latest", **options)))

    assert (done.status, scene.tags()) == ("COMPLETE", {"latest": "second"})


@REMOVING
@TWO_KINDS
@pytest.mark.parametrize("is_pinned", [False, True], ids=["to a tag", "to a digest"])
def test_r3_a_tag_belongs_to_its_resource_after_an_update_that_never_ran(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, *, is_pinned: bool
) -> None:
    """Its reverse finds no trace of it, so it cannot be told from an update that declares the tag again."""
    released = declare(scene.release(kind, "first"), "latest", **options)
    stays = declare(scene.push("first"), "stays")
    stack.deploy(template(stack, Agent=released, Stays=stays))
    tried = declare(scene.push("second") if is_pinned else scene.release("tag", "second"), "other", **options)
    lost = Course(on_failure="NOTHING", deliveries=[Delivery(lost="request")])
    assert stack.deploy(template(stack, Agent=tried, Stays=stays), lost).status == "FAILED"
    assert scene.tags()["latest"] == "first"

    if options == UNTAG:
        stack.deploy(template(stack, Agent={**released, "ImageTags": ["next"]}, Stays=stays))
    else:
        stack.deploy(template(stack, Stays=stays))

    assert "latest" not in scene.tags()


@MOVING
@OPTIONS
@pytest.mark.parametrize("is_pinned", [False, True], ids=["to a tag", "to a digest"])
def test_u10_an_update_that_never_ran_goes_back_to_the_deployed_image(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, *, is_pinned: bool
) -> None:
    """The source has moved since it was deployed."""
    stack.deploy(template(stack, Agent=declare(scene.release(kind, "first"), "latest", **options)))
    moved = scene.release(kind, "second")
    tried = declare(scene.push("third") if is_pinned else moved, "latest", Refresh="1", **(options or STATE))
    lost = Course(on_failure="NOTHING", deliveries=[Delivery(lost="request")])

    assert stack.deploy(template(stack, Agent=tried), lost).reasons == []

    assert scene.tags()["latest"] == "first"


@MOVING
def test_u10_an_update_that_returns_to_an_earlier_declaration_is_not_an_undo(
    scene: Scene, stack: DeployedStack, kind: Kind
) -> None:
    """Both were deployed, and the source has moved since."""
    old = template(stack, Agent=declare(scene.release(kind, "first"), "latest"))
    for tried in old, template(stack, Agent=declare(scene.push("second"), "latest", **UNTAG)), old:
        stack.deploy(tried)
        scene.release(kind, "third")

    assert scene.tags()["latest"] == "third"


@pytest.mark.parametrize("length", range(2, 122, 8))
@pytest.mark.parametrize("on_failure", ["ROLLBACK", "NOTHING"])
def test_u7_a_release_whose_undo_would_not_fit_into_its_record_is_refused(
    scene: Scene, stack: DeployedStack, length: int, on_failure: Literal["ROLLBACK", "NOTHING"]
) -> None:
    """It takes over many long tags. A failure and an undo add to the record."""
    tags = [f"{number:-<120}" for number in range(27)] + ["a" * length]
    scene.push("by hand", *tags)
    source = scene.release("tag", "first")
    stack.deploy(template(stack, Agent=declare(source, "mine", "dropped", **UNTAG)))
    scene.release("tag", "second")
    tried = declare(source, "mine", *tags, Refresh="1", **UNTAG)
    course = Course(other_fails_after=1) if on_failure == "ROLLBACK" else Course(on_failure="NOTHING", deliveries=LOST)

    undone = stack.deploy(template(stack, Agent=tried), course)

    assert undone.reasons == []
    assert scene.tags() == {**dict.fromkeys(tags, "by hand"), "mine": "first", "dropped": "first"}


@pytest.mark.parametrize("length", range(2, 122, 8))
def test_u12_the_undo_of_an_update_fits_into_the_record_of_a_creation(
    scene: Scene, stack: DeployedStack, length: int
) -> None:
    """The creation took over many tags, if it was not refused, and has not succeeded yet."""
    tags = [f"{number:-<120}" for number in range(27)] + ["a" * length]
    scene.push("by hand", *tags)
    stack.deploy({})
    made = declare(scene.release("tag", "first"), *tags, **UNTAG)
    stack.deploy(template(stack, Agent=made), FAILS_WITHOUT_ROLLBACK)
    tried = {**made, "RequiredPlatforms": ["linux/s390x"]}

    failed = stack.deploy(template(stack, Agent=tried), Course(on_failure="NOTHING"))

    assert (failed.status, failed.reasons) == ("FAILED", [])


@MOVING
@pytest.mark.parametrize("options", [KEEP, DESTROY], ids=["keep", "destroy"])
def test_u10_an_update_with_invalid_properties_goes_back_to_the_deployed_image(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """The source has moved since. The function cannot read the previous declaration."""
    released = declare(scene.release(kind, "first"), "latest", **options)
    stack.deploy(template(stack, Agent=released))
    scene.release(kind, "second")
    tried = template(stack, Agent={**released, "Nonsense": "1"})

    failed = stack.deploy(tried, Course(on_failure="NOTHING"))

    assert (failed.status, failed.reasons) == ("FAILED", [])
    assert scene.tags()["latest"] == "first"
    assert stack.destroy()
    assert scene.tags() == ({} if options == DESTROY else {"latest": "first"})
