"""What a plan says about a failing deployment, and the actual result of its rollback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Effect, State
from cdk_ecrpublic.sandbox.images import Image, build_image
from tests.support.course import Deployment

from .apps import Resources, declare, write_app
from .cloud import Cloud
from .conftest import HOME, World

OLD, NEW = build_image({"etc/name": b"old"}), build_image({"etc/name": b"new"})
RECORD = f"/cdk-ecrpublic/state/123456789012/{HOME.replace('/', '--')}"


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD)
    world.push(NEW)
    return world


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def plan(world: World, resources: Resources) -> tuple[Path, list[Effect]]:
    folder = write_app(world.folder, resources)
    return folder, world.review(read_assembly(folder))


def fail(cloud: Cloud, folder: Path, order: Sequence[int] = ()) -> Deployment:
    (deployment,) = cloud.fail(folder, order)
    return deployment


def moving(*tags: str, **more: object) -> dict[str, object]:
    return {**declare("", *tags), "Source": {"Tag": "build"}, **more}


def last_line(folder: Path) -> str:
    return run("plan", folder).stdout.splitlines()[-1]


SENTENCE = "If this deployment fails, CloudFormation rolls it back: "


def test_new_tags_stay_and_moved_tags_go_back(images: World, cloud: Cloud) -> None:
    images.push(OLD, "latest")
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, "1.4.2", "latest")})

    assert last_line(folder) == f"{SENTENCE}tags that moved go back; 1 new tag stays: 1.4.2"
    assert effect.undo.stays == ("1.4.2",)
    assert fail(cloud, folder).status == "ROLLBACK_COMPLETE"
    assert images.tags() == {"latest": OLD.digest, "1.4.2": NEW.digest}


@pytest.mark.parametrize("option", [{"OnTagRemoved": "Untag"}, {"OnDelete": "Delete"}], ids=["untag", "destroy"])
def test_new_tags_are_removed_if_removal_is_declared(images: World, cloud: Cloud, option: dict[str, str]) -> None:
    images.push(OLD, "latest")
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, "1.4.2", "latest", **option)})

    assert last_line(folder) == f"{SENTENCE}tags that moved go back; new tags are removed"
    assert effect.undo.stays == ()
    fail(cloud, folder)
    assert images.tags() == {"latest": OLD.digest}


@pytest.mark.parametrize(
    ("before", "after"), [("Untag", "Keep"), ("Keep", "Untag"), ("Keep", "Keep")], ids=["before", "now", "never"]
)
def test_an_update_removes_its_new_tags_if_either_declaration_removes_tags(
    images: World, cloud: Cloud, before: str, after: str
) -> None:
    cloud.deploy(write_app(images.folder, {"Release": declare(OLD.digest, "latest", OnTagRemoved=before)}))
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, "1.4.2", "latest", OnTagRemoved=after)})

    stays = {"1.4.2": NEW.digest} if before == after else {}
    assert effect.undo.stays == tuple(stays)
    fail(cloud, folder)
    assert images.tags() == {"latest": OLD.digest, **stays}


def test_an_immutable_tag_stays_as_well(images: World, cloud: Cloud) -> None:
    option = {"OnDelete": "Delete", "ImmutableTags": ["1.*"]}
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, "1.4.2", "edge", **option)})

    assert effect.undo.stays == ("1.4.2",)
    fail(cloud, folder)
    assert images.tags() == {"1.4.2": NEW.digest}


def test_many_new_tags_are_shown_in_one_line(images: World, cloud: Cloud) -> None:
    del cloud
    releases = {f"Release{number}": declare(NEW.digest, f"1.{number}") for number in range(8)}
    folder, _ = plan(images, releases)

    assert last_line(folder) == f"{SENTENCE}8 new tags stay: 1.0, 1.1, 1.2, 1.3, 1.4 and 3 more"


def test_says_nothing_if_nothing_changes(images: World, cloud: Cloud) -> None:
    cloud.deploy(folder := write_app(images.folder, {"Release": declare(OLD.digest, "latest")}))

    assert last_line(folder) == "1 image: 1 unchanged"


def test_every_output_format_shows_the_undo(images: World, cloud: Cloud) -> None:
    del cloud
    images.push(OLD, "latest")
    folder, _ = plan(images, {"Release": declare(NEW.digest, "1.4.2", "latest")})

    data = json.loads(run("plan", "--format", "json", folder).stdout)

    assert data["undo"] == f"{SENTENCE}tags that moved go back; 1 new tag stays: 1.4.2"
    assert data["images"][0]["undo"] == {"stays": ["1.4.2"], "fails": False, "problems": []}
    assert "1 new tag stays: 1.4.2" in run("plan", "--format", "markdown", folder).stdout.splitlines()[3]


def test_without_credentials_new_tags_are_still_named(without_credentials: World) -> None:
    home = without_credentials.home
    without_credentials.push(NEW)
    folder = write_app(without_credentials.folder, {"Release": declare(NEW.digest, "1.4.2")})

    assert run("plan", folder, "--registry", home).stdout.splitlines()[-1] == f"{SENTENCE}1 new tag stays: 1.4.2"


def test_refuses_more_tags_than_fit_into_a_record_like_the_function(images: World, cloud: Cloud) -> None:
    tags = [f"{number:0>100}" for number in range(50)]
    images.push(OLD, *tags)
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, *tags)})

    assert run("plan", folder).exit_code == 1
    assert effect.state is State.REFUSED
    assert "takes over 50 tags that point to other images, more than the 4096 bytes" in effect.problems[0]
    answer = fail(cloud, folder).changes[0].answer
    assert answer is not None
    assert answer.reason.endswith(effect.problems[0])
    assert set(images.tags().values()) == {OLD.digest}


@pytest.mark.parametrize("text", [None, '{"version": 99}'], ids=["missing", "of another version"])
def test_a_mutable_source_without_a_record_cannot_be_rolled_back(images: World, cloud: Cloud, text: str | None) -> None:
    images.push(OLD, "build")
    cloud.deploy(write_app(images.folder, {"Release": moving("latest")}))
    (name,) = list(cloud.plane.parameters)
    if text is None:
        del cloud.plane.parameters[name]
    else:
        cloud.plane.parameters[name] = text
    images.push(NEW, "build")
    folder, (effect,) = plan(images, {"Release": moving("latest", Refresh="1")})

    assert effect.state is State.CHANGED
    assert "if this deployment fails, its rollback will fail, too: NOT_FOUND: " in effect.undo.problems[0]
    assert "the image that the source was resolved to at its deployment is not known" in run("plan", folder).stdout
    assert last_line(folder) == f"{SENTENCE}that will fail for 1 image; other tags that moved go back"
    deployment = fail(cloud, folder)
    assert deployment.status == "ROLLBACK_FAILED"
    assert deployment.reasons[0] in effect.undo.problems[0]


def test_a_mutable_source_with_a_record_is_rolled_back(images: World, cloud: Cloud) -> None:
    images.push(OLD, "build")
    cloud.deploy(write_app(images.folder, {"Release": moving("latest")}))
    images.push(NEW, "build")
    folder, (effect,) = plan(images, {"Release": moving("latest", Refresh="1")})

    assert effect.undo.problems == ()
    assert fail(cloud, folder).status == "ROLLBACK_COMPLETE"
    assert images.tags()["latest"] == OLD.digest


def test_an_unreadable_record_is_not_reported_as_missing(images: World, cloud: Cloud) -> None:
    images.push(OLD, "build")
    cloud.deploy(write_app(images.folder, {"Release": moving("latest")}))
    images.push(NEW, "build")
    cloud.denied = {"GetParameter", "GetParametersByPath"}
    _, (effect,) = plan(images, {"Release": moving("latest", Refresh="1")})

    assert effect.state is State.CHANGED
    assert effect.undo.problems == ()


def test_a_missing_image_cannot_be_restored(images: World, cloud: Cloud) -> None:
    cloud.deploy(write_app(images.folder, {"Release": declare(OLD.digest, "latest")}))
    images.sandbox.client("ecr-public").batch_delete_image(repositoryName=HOME, imageIds=[{"imageDigest": OLD.digest}])
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, "latest")})

    assert f"the image {OLD.digest} does not exist" in effect.undo.problems[0]
    deployment = fail(cloud, folder)
    assert deployment.status == "ROLLBACK_FAILED"
    assert deployment.reasons[0] in effect.undo.problems[0]


def test_a_tag_moved_by_hand_to_its_new_image_goes_back_to_the_declared_one(images: World, cloud: Cloud) -> None:
    cloud.deploy(write_app(images.folder, {"Release": declare(OLD.digest, "latest")}))
    images.push(NEW, "latest")
    folder, (effect,) = plan(images, {"Release": declare(NEW.digest, "latest")})

    assert effect.state is State.UNCHANGED
    assert effect.undo.problems == (f"if this deployment fails, tag latest will stay at {OLD.digest}",)
    assert last_line(folder) == f"{SENTENCE}not all tags of 1 image return to where they are now"
    assert fail(cloud, folder).status == "ROLLBACK_COMPLETE"
    assert images.tags() == {"latest": OLD.digest}


def test_a_tag_moved_by_hand_from_a_removed_resource_returns_to_where_it_was(images: World, cloud: Cloud) -> None:
    cloud.deploy(write_app(images.folder, {"Old": declare(OLD.digest, "latest", OnDelete="Delete")}))
    images.push(NEW, "latest")
    folder, effects = plan(images, {"New": declare(OLD.digest, "latest")})

    assert effects[0].undo.problems == ()
    fail(cloud, folder)
    assert images.tags() == {"latest": NEW.digest}


def test_the_previous_image_of_a_mutable_source_is_not_removed(images: World, cloud: Cloud) -> None:
    images.push(OLD, "build")
    cloud.deploy(write_app(images.folder, {"Moving": moving("latest")}))
    images.push(NEW, "latest")
    folder, effects = plan(images, {"Moving": moving("edge"), "New": declare(OLD.digest, "latest", OnDelete="Delete")})

    assert [effect.undo.problems for effect in effects] == [
        (f"if this deployment fails, tag latest will stay at {OLD.digest}",)
    ] * 2
    fail(cloud, folder)
    assert images.tags()["latest"] == OLD.digest


@pytest.mark.parametrize(("order", "last"), [((1, 0), NEW), ((0, 1), OLD)], ids=["takes", "had"])
def test_names_each_possible_image_if_the_order_of_the_rollback_decides(
    images: World, cloud: Cloud, order: Sequence[int], last: Image
) -> None:
    cloud.deploy(write_app(images.folder, {"Had": declare(OLD.digest, "latest"), "Takes": declare(NEW.digest, "edge")}))
    images.push(NEW, "latest")
    folder, effects = plan(images, {"Had": declare(OLD.digest, "old"), "Takes": declare(OLD.digest, "edge", "latest")})

    places = " or at ".join(sorted([OLD.digest, NEW.digest]))
    depends = "that depends on the order in which CloudFormation rolls resources back"
    problem = f"if this deployment fails, tag latest will stay at {places}: {depends}"
    assert [effect.undo.problems for effect in effects] == [(problem,), (problem,)]
    fail(cloud, folder, order)
    assert images.tags()["latest"] == last.digest


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("ServiceTimeout", "900", "901"), ("StateParameterName", "/cdk-ecrpublic/a", "/cdk-ecrpublic/b")],
)
def test_an_update_that_changes_nothing_about_the_image_keeps_it(
    images: World, cloud: Cloud, name: str, before: str, after: str
) -> None:
    images.push(OLD, "build")
    cloud.deploy(write_app(images.folder, {"Release": moving("latest", **{name: before})}))
    images.push(NEW, "build")
    folder, (effect,) = plan(images, {"Release": moving("latest", **{name: after})})

    assert effect.state is State.UNCHANGED
    cloud.deploy(folder)
    assert images.tags()["latest"] == OLD.digest
