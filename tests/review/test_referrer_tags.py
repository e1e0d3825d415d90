"""Copying referrers may create public tags, so the plan lists them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from aws_cdk import Stack

from cdk_ecrpublic import ImageSource, IPublicRepository, PublicImage
from cdk_ecrpublic.sandbox.images import Image, build_image
from tests.copies.test_referrers import artifact, tag_of

from .conftest import UPSTREAM, World
from .test_commands import run

IMAGE = build_image({"etc/name": b"far"}, platforms=("linux/amd64", "linux/arm64"))

pytestmark = pytest.mark.usefixtures("cloud")


def release(world: World) -> Callable[[Stack, IPublicRepository], None]:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        source = ImageSource.registry(f"{world.uri(UPSTREAM)}:v1")
        PublicImage(stack, "Release", repository=repository, source=source, tags=["1"], include_referrers=True)

    return body


def signed(world: World, *suffixes: str) -> list[str]:
    world.reset()
    world.push(IMAGE, "v1", repository=UPSTREAM)
    tags = [tag_of(IMAGE, suffix) for suffix in suffixes]
    for number, tag in enumerate(tags):
        world.push(_other(number), tag, repository=UPSTREAM)
    return tags


def _other(number: int) -> Image:
    return artifact("signature", str(number).encode())


def test_a_plan_names_the_tags_of_signatures(world: World) -> None:
    tags = signed(world, ".sig", ".att")
    folder = world.synthesize(release(world))

    text = run("plan", folder).stdout
    (image,) = json.loads(run("plan", "--format", "json", folder).stdout)["images"]

    assert f"copies 2 referrers under the tags {tags[0]}, {tags[1]}" in text
    assert image["writes"]["referrerTags"] == tags
    assert "referrer_tags" not in image["writes"]


def test_the_deployment_puts_exactly_the_planned_tags(world: World) -> None:
    signed(world, ".sig")
    assembly = world.read(release(world))
    (declared,) = assembly.images

    (effect,) = world.review(assembly)
    world.deploy(declared, assembly)

    assert set(world.tags()) == {"1", *effect.writes.referrer_tags}


def test_names_no_tag_if_there_are_none(world: World) -> None:
    signed(world)
    world.push(artifact("signature", b"1", subject=IMAGE), repository=UPSTREAM)

    text = run("plan", world.synthesize(release(world))).stdout

    assert "copies 1 referrer" in text
    assert "under the tag" not in text
