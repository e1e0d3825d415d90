"""A tag that a rule leaves where it is does not belong to the resource, also after rollbacks and changed rules."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox.images import build_image
from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.pushed import push_image
from tests.support.scene import DESTROY, HOME, OPTIONS, REMOVING, TWO_KINDS, Kind, Options, Scene, declare, template

SKIP = {"ForwardOnly": {"Tags": ["*"], "OnOlder": "Skip"}}
FAILS = Course(other_fails_after=1)
VERSION = "org.opencontainers.image.version"

ORDERS = pytest.mark.parametrize("order", [(0, 1), (1, 0)])


@OPTIONS
@TWO_KINDS
@ORDERS
@pytest.mark.parametrize("first", ["", "rule removed", "higher image"])
def test_a_skipped_tag_that_a_failed_deployment_moves_to_another_resource_returns(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind, order: tuple[int, int], first: str
) -> None:
    """Another failed deployment may have taken the tag before, and returned it."""
    scene.push("2.0.0", "2.0.0", "latest")
    old = declare(scene.release(kind, "1.9.1"), "1.9.1", "latest", **SKIP, **options)
    other = declare(scene.push("1.0.0"), "1.0.0", **options)
    stack.deploy(template(stack, Agent=old, Other=other))
    before = scene.tags()
    if first == "rule removed":
        stack.deploy(template(stack, Agent={**old, "ForwardOnly": {"Tags": ["none"]}}, Other=other), FAILS)
    elif first == "higher image":
        higher = declare(scene.release(kind, "3.0.0"), "1.9.1", "latest", **SKIP, **options, Refresh="1")
        stack.deploy(template(stack, Agent=higher, Other=other), FAILS)
    assert scene.tags() == before
    after = {"Agent": {**old, "ImageTags": ["1.9.1"]}, "Other": {**other, "ImageTags": ["1.0.0", "latest"]}}

    done = stack.deploy(template(stack, **after), Course(order=order, other_fails_after=2))

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags() == before


@REMOVING
@TWO_KINDS
@pytest.mark.parametrize("end", ["dropped", "deleted"])
def test_a_skipped_tag_is_not_removed_after_a_failed_deployment_had_taken_it(
    scene: Scene, stack: DeployedStack, options: Options, kind: Kind, end: str
) -> None:
    scene.push("2.0.0", "2.0.0", "latest")
    old = declare(scene.release(kind, "1.9.1"), "1.9.1", "x", "latest", **SKIP, **options)
    stack.deploy(template(stack, Agent=old))
    stack.deploy(template(stack, Agent={**old, "ForwardOnly": {"Tags": ["none"]}}), FAILS)
    assert scene.tags()["latest"] == "2.0.0"
    scene.push("1.9.1", "latest")

    if end == "dropped":
        stack.deploy(template(stack, Agent={**old, "ImageTags": ["1.9.1", "x"]}))
    else:
        assert stack.destroy()

    assert scene.tags()["latest"] == "1.9.1"


@pytest.mark.parametrize("place", ["the same stack", "another stack"])
def test_an_image_all_of_whose_tags_were_skipped_stays(scene: Scene, stack: DeployedStack, place: str) -> None:
    """Nothing in the registry shows that it is in use, so it has a record."""
    scene.push("2.0.0", "2.0.0", "latest")
    image = build_image({"etc/name": b"bare"}, labels={VERSION: "1.9.1"})
    scene.names[image.digest] = "bare"
    push_image(scene.sandbox, HOME, image, [])
    removing, bare = declare(image, "build", **DESTROY), declare(image, "latest", **SKIP)
    stack.deploy(template(stack, Agent=removing))

    if place == "the same stack":
        stack.deploy(template(stack, Bare=bare))
    else:
        other = scene.stack("Other")
        other.deploy(template(other, Bare=bare))
        assert other.resources["Bare"].data["SkippedTags"] == "latest"
        assert stack.destroy()

    assert "bare" in scene.images()
