"""Plans for a stack whose last deployment failed and was not rolled back (``--no-rollback``)."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Action, Effect
from cdk_ecrpublic.sandbox.images import build_image

from .apps import Resources, declare, write_app
from .cloud import Cloud
from .conftest import World

OLD, NEW = build_image({"etc/name": b"old"}), build_image({"etc/name": b"new"})

UNTAG = {"OnTagRemoved": "Untag"}


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD)
    world.push(NEW)
    return world


def moves(effects: list[Effect]) -> dict[str, tuple[Action, str | None]]:
    return {tag.tag: (tag.action, tag.after) for effect in effects for tag in effect.tags}


def check(world: World, cloud: Cloud, resources: Resources) -> list[Effect]:
    """Plan and deploy, and check that the tags are where the plan says."""
    folder, before = write_app(world.folder, resources), world.tags()
    effects = world.review(read_assembly(folder))
    cloud.deploy(folder)
    expected = {**before, **{tag.tag: tag.after for effect in effects for tag in effect.tags}}
    assert world.tags() == {tag: at for tag, at in expected.items() if at}
    return effects


def test_a_tag_taken_by_the_failed_deployment_goes_back_when_dropped(images: World, cloud: Cloud) -> None:
    first = {"Release": declare(OLD.digest, "edge", **UNTAG)}
    cloud.deploy(write_app(images.folder, first))
    images.push(NEW, "latest")
    cloud.leave_failed(write_app(images.folder, {"Release": declare(OLD.digest, "edge", "latest", **UNTAG)}))
    assert images.tags()["latest"] == OLD.digest

    (effect,) = check(images, cloud, first)

    assert moves([effect])["latest"] == (Action.MOVE, NEW.digest)
    assert "tag latest goes back to the image that it had before the failed deployment" in effect.notes
    assert images.tags() == {"edge": OLD.digest, "latest": NEW.digest}


@pytest.mark.parametrize("options", [{}, UNTAG, {"OnDelete": "Delete"}], ids=["keep", "untag", "destroy"])
def test_a_removed_resource_gives_back_the_tags_it_took_over(
    images: World, cloud: Cloud, options: dict[str, str]
) -> None:
    """No deployment with this resource has succeeded."""
    cloud.deploy(write_app(images.folder, {"Other": declare(OLD.digest, "other")}))
    images.push(NEW, "latest")
    release = declare(OLD.digest, "latest", **options)
    cloud.leave_failed(write_app(images.folder, {"Other": declare(OLD.digest, "other"), "Release": release}))

    effects = check(images, cloud, {"Other": declare(OLD.digest, "other")})

    assert images.tags()["latest"] == NEW.digest
    assert moves(effects)["latest"][1] == NEW.digest


def test_after_a_success_nothing_goes_back(images: World, cloud: Cloud) -> None:
    images.push(NEW, "latest")
    both = {"Release": declare(OLD.digest, "edge", "latest", **UNTAG)}
    cloud.leave_failed(write_app(images.folder, both))
    cloud.deploy(write_app(images.folder, both))

    effects = check(images, cloud, {"Release": declare(OLD.digest, "edge", **UNTAG)})

    assert moves(effects)["latest"] == (Action.REMOVE, None)
