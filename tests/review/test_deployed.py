"""What CloudFormation tells of the stacks, and what a plan makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_cdk import App, Environment, Stack

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.review.assembly import read_assembly
from cdk_ecrpublic.review.effect import State
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
        PublicImage(
            stack,
            "Release",
            repository=PublicRepository.from_repository_name(stack, "Repository", HOME),
            source=ImageSource.digest(digest),
            tags=[region],
        )
    app.synth()
    return folder


def test_stacks_of_the_same_name_in_two_regions_are_two(images: World, cloud: Cloud, tmp_path: Path) -> None:
    """Each is compared with its own template: the one that has not changed is left as it is."""
    cloud.hold(synthesize(tmp_path / "before", {"us-east-1": OLD.digest, "eu-west-1": OLD.digest}))
    after = synthesize(tmp_path / "after", {"us-east-1": OLD.digest, "eu-west-1": NEW.digest})

    effects = images.review(read_assembly(after))

    assert [effect.state for effect in effects] == [State.DRIFTED, State.CHANGED]
