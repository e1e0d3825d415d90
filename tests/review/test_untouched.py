"""A deployment skips unchanged declarations, even if the source or the registry has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import Stack
from click.testing import CliRunner, Result

from cdk_ecrpublic import IImageSource, ImageSource, IPublicRepository, PublicImage
from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.drift import Verdict, find_drift
from cdk_ecrpublic.review.effect import Action, State
from cdk_ecrpublic.review.live.registry import Registry, ReviewClients
from cdk_ecrpublic.sandbox.images import build_image

from .apps import declare, write_app
from .cloud import Cloud
from .conftest import HOME, UPSTREAM, Body, World
from .test_rehearsed_lives import IMAGES, RULES

FIRST, SECOND = build_image({"etc/name": b"first"}), build_image({"etc/name": b"second"})


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def copy(source: IImageSource, *tags: str) -> Body:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        PublicImage(stack, "Copy", repository=repository, source=source, tags=list(tags))

    return body


@pytest.fixture
def pinned(world: World, cloud: Cloud) -> Path:
    """A copy by digest that is deployed under ``edge`` and ``latest``."""
    world.push(FIRST, "v1", repository=UPSTREAM)
    world.push(SECOND)
    source = ImageSource.registry(f"{world.uri(UPSTREAM)}@{FIRST.digest}")
    cloud.deploy(folder := world.synthesize(copy(source, "edge", "latest")))
    return folder


@pytest.fixture
def mutable(world: World, cloud: Cloud) -> Path:
    """A deployed copy of ``v1``, which has moved since."""
    world.push(FIRST, "v1", repository=UPSTREAM)
    source = ImageSource.registry(f"{world.uri(UPSTREAM)}:v1")
    cloud.deploy(folder := world.synthesize(copy(source, "latest")))
    world.push(SECOND, "v1", repository=UPSTREAM)
    return folder


def remove(world: World, repository: str, **image: str) -> None:
    world.sandbox.client("ecr-public").batch_delete_image(repositoryName=repository, imageIds=[image])


def test_a_deployed_copy_by_digest_no_longer_needs_its_source(world: World, pinned: Path) -> None:
    """The repository has the image, so it can be applied again."""
    remove(world, UPSTREAM, imageDigest=FIRST.digest)

    result = run("plan", pinned)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == ["1 image: 1 unchanged"]
    assert run("verify", pinned).exit_code == 0


def test_a_copy_of_a_missing_source_tag_is_unchanged(world: World, mutable: Path) -> None:
    remove(world, UPSTREAM, imageTag="v1")

    result = run("plan", mutable)

    assert result.exit_code == 0
    assert "1 image: 1 unchanged" in result.stdout
    assert "its source can no longer be read, so the declaration could not be applied again: NOT_FOUND" in result.stdout
    assert "set `refresh`" not in result.stdout
    assert "can no longer be read" in run("plan", "--format", "markdown", mutable).stdout


def test_drift_is_shown_and_not_corrected(world: World, pinned: Path) -> None:
    """A move that will not happen is not shown as a move."""
    world.push(FIRST, "kept")
    world.push(SECOND, "latest")
    remove(world, HOME, imageTag="edge")

    result = run("plan", pinned)
    (image,) = json.loads(run("plan", "--format", "json", pinned).stdout)["images"]

    assert image["state"] == State.DRIFTED.value
    assert image["tags"] == [
        {"tag": "edge", "action": Action.UNCHANGED.value, "before": None, "after": None},
        {"tag": "latest", "action": Action.UNCHANGED.value, "before": SECOND.digest, "after": SECOND.digest},
    ]
    assert image["problems"][1:] == [
        f"tag edge does not exist, but should point to {FIRST.digest}",
        f"tag latest points to {SECOND.digest}, but should point to {FIRST.digest}",
    ]
    assert "set `refresh`" in result.stdout
    assert run("verify", pinned).exit_code == 1


def test_a_missing_image_is_drift(world: World, pinned: Path) -> None:
    remove(world, HOME, imageDigest=FIRST.digest)

    assert f"image {FIRST.digest} is missing" in run("plan", pinned).stdout


def test_a_source_that_has_moved_does_not_count_as_drift(mutable: Path) -> None:
    """Nothing has changed in the registry, and nothing will."""
    planned, verified = run("plan", mutable), run("verify", mutable)

    assert (planned.exit_code, verified.exit_code) == (0, 0), planned.stdout + verified.stdout
    for text in (planned.stdout, verified.stdout):
        assert f"its source has moved to {SECOND.digest} since it was deployed" in text
    assert "1 image: 1 unchanged" in planned.stdout
    assert "1 image: 1 as declared" in verified.stdout
    (image,) = json.loads(run("verify", "--json", mutable).stdout)["images"]
    assert image["digest"] == FIRST.digest
    assert len(image["notes"]) == 1


def test_a_moved_tag_is_drift_regardless_of_its_source(world: World, mutable: Path) -> None:
    """Although a release would change nothing: the source has moved to the same image."""
    world.push(SECOND, "latest")

    planned, verified = run("plan", mutable), run("verify", mutable)

    assert verified.exit_code == 1
    for text in (planned.stdout, verified.stdout):
        assert f"tag latest points to {SECOND.digest}, but should point to {FIRST.digest}" in text
    assert "1 image: 1 drifted" in planned.stdout


def test_a_deleted_source_does_not_count_as_drift(world: World, mutable: Path) -> None:
    remove(world, UPSTREAM, imageTag="v1")

    assert (run("plan", mutable).exit_code, run("verify", mutable).exit_code) == (0, 0)
    assert "its source can no longer be read" in run("verify", mutable).stdout


def test_says_if_the_record_cannot_be_read(cloud: Cloud, mutable: Path) -> None:
    """In that case only the current source can be compared."""
    cloud.denied = {"GetParameter", "GetParametersByPath"}

    verified = run("verify", mutable)

    assert verified.exit_code == 1
    assert f"tag latest points to {FIRST.digest}, but should point to {SECOND.digest}" in verified.stdout
    assert "the deployed digest is not known here" in verified.stdout
    planned = run("plan", mutable).stdout
    assert "1 image: 1 drifted" in planned
    assert "the deployed digest is not known here" in planned


@pytest.mark.parametrize("options", ["skip", "refuse", "warn"])
def test_a_tag_that_is_ahead_is_not_drift_whether_the_rule_refuses_or_warns(
    world: World, cloud: Cloud, options: str
) -> None:
    older, newer = IMAGES[0], IMAGES[2]
    world.push(older)
    app = write_app(world.folder, {"Agent": {**declare(older.digest, "latest"), **RULES[options]}})
    cloud.deploy(app)
    world.push(newer, "latest")
    assembly = read_assembly(app)

    (effect,) = world.review(assembly)
    (finding,) = find_drift(assembly.images, Registry(clients=ReviewClients()))

    assert (effect.state, finding.verdict) == (State.UNCHANGED, Verdict.AS_DECLARED)
    assert [(tag.tag, tag.action) for tag in effect.tags] == [("latest", Action.SKIP)]
