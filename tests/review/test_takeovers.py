"""The previous owners of tags that a deployment will take over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Effect, Former, State, Takeover
from cdk_ecrpublic.sandbox.images import build_image

from .apps import Resources, declare, write_app
from .cloud import Cloud
from .conftest import HOME, World

OLD, NEW = build_image({"etc/name": b"old"}), build_image({"etc/name": b"new"})
RECORDS = f"/cdk-ecrpublic/state/123456789012/{HOME.replace('/', '--')}"
OTHER = "eu-west-1.Other.Release"


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD)
    world.push(NEW)
    return world


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def plan(world: World, resources: Resources) -> list[Effect]:
    return world.review(read_assembly(write_app(world.folder, resources)))


def lines(world: World, resources: Resources) -> list[str]:
    return [line.strip() for line in run("plan", write_app(world.folder, resources)).stdout.splitlines()]


def record(**fields: object) -> str:
    return json.dumps({"version": 1, "stack": "arn", "request": "1", "sent": 1, "tags": [], **fields})


def test_names_the_owner_of_tags_of_a_catalog_entry_bumped_in_place(images: World, cloud: Cloud) -> None:
    """In a typical release, another logical id takes over the tags of the previous one."""
    cloud.deploy(write_app(images.folder, {"V142": declare(OLD.digest, "1.4.2", "1.4", "latest")}))
    after = {"V143": declare(NEW.digest, "1.4.3", "1.4", "latest")}

    (effect,) = plan(images, after)

    assert effect.taken_over == (Takeover(tags=("1.4", "latest"), former=Former.REMOVED, owner="V142"),)
    assert "1.4, latest: taken over from V142, which this change removes" in lines(images, after)


def test_names_the_owner_of_a_tag_that_moves_to_another_declaration(images: World, cloud: Cloud) -> None:
    cloud.deploy(write_app(images.folder, {"A": declare(OLD.digest, "1", "latest"), "B": declare(NEW.digest, "2")}))
    after = {"A": declare(OLD.digest, "1"), "B": declare(NEW.digest, "2", "latest")}

    effects = plan(images, after)

    assert [effect.taken_over for effect in effects] == [
        (),
        (Takeover(tags=("latest",), former=Former.DROPPED, owner="A"),),
    ]
    assert "latest: taken over from A, which no longer declares it" in lines(images, after)


def test_recognizes_a_tag_that_was_pushed_by_hand(images: World, cloud: Cloud) -> None:
    images.push(OLD, "latest")
    after = {"Release": declare(NEW.digest, "1", "latest")}
    cloud.deploy(write_app(images.folder, {"Release": declare(NEW.digest, "1")}))

    (effect,) = plan(images, after)

    assert effect.taken_over == (Takeover(tags=("latest",), former=Former.NONE),)
    assert "latest: taken over from no declaration on record: pushed by hand or by a script" in lines(images, after)


def test_tags_that_the_declaration_already_has_are_not_taken_over(images: World, cloud: Cloud) -> None:
    cloud.deploy(write_app(images.folder, {"Release": declare(OLD.digest, "latest")}))

    (effect,) = plan(images, {"Release": declare(NEW.digest, "latest")})

    assert (effect.state, effect.taken_over) == (State.CHANGED, ())


FIRST: dict[str, object] = {
    "resource": f"ecr-public:1/{HOME}:Release",
    "tags": ["latest"],
    "digests": {},
    "before": None,
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"{RECORDS}/{OLD.digest.removeprefix('sha256:')}/{OTHER}", record(tags=["latest"])),
        (f"{RECORDS}/{OLD.digest.removeprefix('sha256:')}/{OTHER}", record(tags=None)),
        (f"{RECORDS}/moving/{OTHER}", record(tags=["latest"])),
        (f"{RECORDS}/undo/{OTHER}", record(tags=["latest"])),
        (f"/cdk-ecrpublic/{HOME}/{OTHER}", json.dumps(FIRST)),
    ],
    ids=["removes", "removes many", "may move", "took it over", "version 0.1"],
)
def test_names_the_owner_of_a_tag_of_another_stack(images: World, cloud: Cloud, name: str, text: str) -> None:
    images.push(OLD, "latest")
    cloud.plane.parameters[name] = text
    after = {"Release": declare(NEW.digest, "latest", StateParameterName=f"/cdk-ecrpublic/{HOME}/Agent.Release")}

    (effect,) = plan(images, after)

    assert effect.taken_over == (Takeover(tags=("latest",), former=Former.STACK, owner=OTHER),)
    assert f"latest: also declared by {OTHER}, in another stack" in lines(images, after)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"{RECORDS}/moving/{OTHER}", record(tags=["stable"])),
        (f"{RECORDS}/{OLD.digest.removeprefix('sha256:')}/{OTHER}", record(tags=["latest"], leftOver=True)),
        (f"{RECORDS}/undo/{OTHER}", "nonsense"),
        (f"{RECORDS}/undo/us-east-1.Agent.Release", record(tags=["latest"])),
    ],
    ids=["of another tag", "left over", "not a record", "our own"],
)
def test_a_record_that_says_nothing_about_the_tag(images: World, cloud: Cloud, name: str, text: str) -> None:
    images.push(OLD, "latest")
    cloud.plane.parameters[name] = text

    (effect,) = plan(images, {"Release": declare(NEW.digest, "latest")})

    assert [each.former for each in effect.taken_over] == [Former.NONE]


def test_says_if_the_records_cannot_be_read(images: World, cloud: Cloud) -> None:
    images.push(OLD, "latest")
    cloud.denied = {"GetParametersByPath"}
    after = {"Release": declare(NEW.digest, "latest")}

    (effect,) = plan(images, after)

    assert [each.former for each in effect.taken_over] == [Former.UNKNOWN]
    assert "latest: taken over; the records of other declarations cannot be read" in lines(images, after)


def test_existing_tags_are_adopted_silently(images: World, cloud: Cloud) -> None:
    """Nothing moves, so only the JSON output mentions it."""
    del cloud
    images.push(OLD, "1", "latest")
    after = {"Release": declare(OLD.digest, "1", "latest")}

    (effect,) = plan(images, after)

    assert effect.taken_over == (Takeover(tags=("1", "latest"), former=Former.NONE),)
    assert lines(images, after)[1:] == ["1 image: 1 unchanged"]


def test_says_if_existing_tags_are_declared_elsewhere(images: World, cloud: Cloud) -> None:
    images.push(OLD, "latest")
    cloud.plane.parameters[f"{RECORDS}/moving/{OTHER}"] = record(tags=["latest"])

    assert f"latest: also declared by {OTHER}, in another stack" in lines(
        images, {"Release": declare(OLD.digest, "latest")}
    )


def test_every_output_format_shows_takeovers(images: World, cloud: Cloud) -> None:
    cloud.deploy(write_app(images.folder, {"V1": declare(OLD.digest, "latest")}))
    folder = write_app(images.folder, {"V2": declare(NEW.digest, "latest")})

    data = json.loads(run("plan", "--format", "json", folder).stdout)["images"]

    assert data[0]["takenOver"] == [{"tags": ["latest"], "former": "removed", "owner": "V1"}]
    assert data[0]["tags"] == [{"tag": "latest", "action": "move", "before": OLD.digest, "after": NEW.digest}]
    assert (
        "- latest: taken over from V1, which this change removes" in run("plan", "--format", "markdown", folder).stdout
    )


def test_without_credentials_the_previous_owner_is_unknown(without_credentials: World) -> None:
    world = without_credentials
    home = world.home
    world.push(OLD, "latest")
    world.push(NEW)

    effects = world.review(read_assembly(write_app(world.folder, {"Release": declare(NEW.digest, "latest")})), home)

    assert [effect.taken_over for effect in effects] == [()]


def test_a_typical_release_reads_no_records(images: World, cloud: Cloud) -> None:
    """For example a catalog of hundreds of images, some of which are bumped in place."""
    entries: Mapping[str, dict[str, object]] = {f"V{n}": declare(OLD.digest, f"{n}", f"{n}-latest") for n in range(5)}
    cloud.deploy(write_app(images.folder, entries))
    cloud.plane.requests.clear()

    effects = plan(images, {f"V{n}": declare(NEW.digest, f"{n}.1", f"{n}-latest") for n in range(5)})

    assert {effect.state for effect in effects} == {State.CHANGED}
    assert [each for each in cloud.plane.requests if "Parameter" in each] == []
