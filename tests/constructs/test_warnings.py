"""Synthesis warns of what it knows to fail later."""

from __future__ import annotations

import pytest
from aws_cdk import App, Fn, RemovalPolicy, Stack

from cdk_ecrpublic import ImageSource, IPublicRepository, PublicImage, PublicRepository

from .messages import warnings

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Agent")


def declare(stack: Stack, repository: IPublicRepository | None = None, **options: object) -> PublicImage:
    return PublicImage(
        stack,
        "Release",
        repository=repository or PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
        source=ImageSource.digest(DIGEST),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("platform", "name"), [("linux/x86_64", "linux/amd64"), ("linux/aarch64", "linux/arm64")])
@pytest.mark.parametrize("option", ["platforms", "required_platforms"])
def test_a_platform_by_another_name(stack: Stack, option: str, platform: str, name: str) -> None:
    declare(stack, **{option: [platform]})  # type: ignore[arg-type]

    (warning,) = warnings(stack)
    assert f"the OCI name of the platform {platform} is {name}" in warning


def test_too_many_tags(stack: Stack) -> None:
    declare(stack, tags=[f"1.{number}" for number in range(1001)])

    (warning,) = warnings(stack)
    assert "1001 tags; ECR Public allows at most 1000 tags" in warning


@pytest.mark.parametrize(
    ("repository", "image", "is_told"),
    [
        (RemovalPolicy.DESTROY, RemovalPolicy.RETAIN, True),
        (RemovalPolicy.DESTROY, RemovalPolicy.DESTROY, False),
        (RemovalPolicy.RETAIN, RemovalPolicy.RETAIN, False),
    ],
)
def test_an_image_that_stays_in_a_repository_that_goes(
    stack: Stack, repository: RemovalPolicy, image: RemovalPolicy, *, is_told: bool
) -> None:
    own = PublicRepository(stack, "Own", repository_name="acme/own", removal_policy=repository)
    declare(stack, own, tags=["1"], removal_policy=image)

    assert ["so the deletion will fail" in each for each in warnings(stack)] == [True] * is_told


def test_an_address_by_a_tag_that_is_not_declared(stack: Stack) -> None:
    image = declare(stack, tags=["1.4.2", "latest"])
    image.image_uri_for_tag("latest")
    image.image_uri_for_tag(Fn.import_value("tag"))
    image.image_uri_for_tag("lastest")

    (warning,) = warnings(stack)
    assert "'lastest'" in warning
    assert "declared tags: '1.4.2', 'latest'" in warning
