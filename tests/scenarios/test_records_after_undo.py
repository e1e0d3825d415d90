"""An undo leaves records that show what belongs to the resource now, and not what the undone update took over."""

from __future__ import annotations

import pytest

from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.scene import DESTROY, KEEP, REMOVING, TWO_KINDS, UNTAG, Kind, Options, Scene, declare, template


@pytest.mark.parametrize(
    ("options", "tags"), [(KEEP, []), (UNTAG, ["1"]), (DESTROY, ["1"])], ids=["no tag", "untag", "destroy"]
)
@pytest.mark.parametrize("end", ["destroyed", "removed"])
def test_a_tag_that_an_undone_update_took_over_is_not_given_back_twice(
    scene: Scene, stack: DeployedStack, options: Options, tags: list[str], end: str
) -> None:
    """Another stack has the tag by then. The undone update asked to keep everything, at the same image."""
    stay = declare(scene.push("before", "latest"), "stays")
    image = scene.push("one", "mine")
    stack.deploy({"Agent": declare(image, *tags, **options), "Stay": stay})
    done = stack.deploy({"Agent": declare(image, *tags, "latest"), "Stay": stay}, Course(other_fails_after=1))
    assert (done.status, scene.tags()["latest"]) == ("ROLLBACK_COMPLETE", "before")
    other = scene.stack("Other")
    other.deploy(template(other, Taker=declare(image, "latest")))

    if end == "destroyed":
        assert stack.destroy()
    else:
        stack.deploy({"Stay": stay})

    assert scene.tags()["latest"] == "one"


@REMOVING
@TWO_KINDS
@pytest.mark.parametrize("begin", ["created", "updated"])
def test_the_undo_of_an_update_that_was_refused_removes_nothing(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind, begin: str
) -> None:
    """The record is still that of an earlier update, which failed without a rollback and had taken a tag over."""
    scene.push("by hand", "1")
    release = scene.release(kind, "one")
    scene.push("one", "beta")
    zero = declare(scene.push("zero"), "zero")
    stack.deploy(
        template(
            stack, Zero=zero, **({} if begin == "created" else {"Agent": declare(scene.push("two"), "0", **options)})
        )
    )
    failed = declare(release, "0", "1", **options)
    stack.deploy(template(stack, Zero=zero, Agent=failed), Course(other_fails_after=1, on_failure="NOTHING"))
    refused = declare(release, "0", "1", "beta", **options, RequiredPlatforms=["linux/s390x"])

    done = stack.deploy(template(stack, Zero=zero, Agent=refused), Course(on_failure="NOTHING"))

    assert done.status == "FAILED"
    assert scene.tags()["beta"] == "one"
