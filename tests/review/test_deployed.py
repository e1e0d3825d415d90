"""Deployed stacks in CloudFormation, and their effect on a plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_cdk import App, Environment, Stack

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Action, State
from cdk_ecrpublic.sandbox.images import build_image

from .cloud import Cloud
from .conftest import HOME, World

OLD, NEW = build_image({"etc/name": b"old"}), build_image({"etc/name": b"new"})


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD, "latest")
    world.push(NEW)
    return world


def synthesize(folder: Path, digests: dict[str, str]) -> Path:
    """Synthesize one stack of the same name for each Region."""
    app = App(outdir=str(folder))
    for region, digest in digests.items():
        stack = Stack(
            app, f"Agent-{region}", stack_name="agent", env=Environment(account="123456789012", region=region)
        )
        declare(stack, digest, region)
    app.synth()
    return folder


def declare(stack: Stack, digest: str, tag: str) -> None:
    PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Repository", HOME),
        source=ImageSource.digest(digest),
        tags=[tag],
    )


def test_stacks_of_the_same_name_in_two_regions_are_distinct(images: World, cloud: Cloud, tmp_path: Path) -> None:
    """Each is compared with its own template, and the unchanged one has no effect."""
    cloud.hold(synthesize(tmp_path / "before", {"us-east-1": OLD.digest, "eu-west-1": OLD.digest}))
    after = synthesize(tmp_path / "after", {"us-east-1": OLD.digest, "eu-west-1": NEW.digest})

    effects = images.review(read_assembly(after))

    assert [effect.state for effect in effects] == [State.DRIFTED, State.CHANGED]


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE"])
def test_a_stack_whose_creation_failed_does_not_count_as_deployed(
    images: World, cloud: Cloud, tmp_path: Path, status: str
) -> None:
    """It has a template, but nothing of it is deployed."""
    folder = synthesize(tmp_path / "app", {"us-east-1": NEW.digest})
    cloud.hold(folder, status)

    (effect,) = images.review(read_assembly(folder))

    assert effect.state is State.CHANGED
    assert [(tag.tag, tag.action) for tag in effect.tags] == [("us-east-1", Action.CREATE)]


@pytest.mark.parametrize("denied", [set(), {"DescribeStacks"}], ids=["status known", "status hidden"])
def test_unchanged_resources_of_a_deployed_stack_are_not_updated(
    images: World, cloud: Cloud, tmp_path: Path, denied: set[str]
) -> None:
    """Without access to the status, the deployed template is used."""
    folder = synthesize(tmp_path / "app", {"us-east-1": NEW.digest})
    cloud.hold(folder)
    cloud.denied = denied

    (effect,) = images.review(read_assembly(folder))

    assert effect.state is State.DRIFTED


@pytest.mark.parametrize(
    ("region", "state"), [(None, State.DRIFTED), ("us-east-1", State.DRIFTED), ("eu-west-1", State.CHANGED)]
)
def test_searches_a_stack_without_a_region_where_cdk_would_deploy_it(
    images: World, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, region: str | None, state: State
) -> None:
    """AWS_REGION comes first, which botocore does not use; the default is us-east-1."""
    app = App(outdir=str(images.folder / "app"))
    declare(Stack(app, "Agent"), NEW.digest, "1")
    app.synth()
    cloud.hold(images.folder / "app")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    if region:
        monkeypatch.setenv("AWS_REGION", region)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")

    (effect,) = images.review(read_assembly(images.folder / "app"))

    assert effect.state is state


def test_retries_throttled_requests_for_stacks(images: World, cloud: Cloud, tmp_path: Path) -> None:
    folder = synthesize(tmp_path / "app", {"us-east-1": NEW.digest})
    cloud.hold(folder)
    cloud.busy = 2

    (effect,) = images.review(read_assembly(folder))

    assert effect.state is State.DRIFTED
    assert "retrying" in images.told[0]
