"""A value of another kind than the one that is meant: what people try, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ecr as ecr

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository

DIGEST = "sha256:" + "a" * 64


def image(stack: Stack, **options: Any) -> PublicImage:
    given = {"repository": PublicRepository.from_repository_name(stack, "Agent", "acme/agent"), **options}
    return PublicImage(stack, "I", **{"source": ImageSource.digest(DIGEST), **given})


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (
            lambda s: image(s, repository="acme/agent"),
            "Stack/I: repository: 'acme/agent' is a str; expected a repository of ECR Public: PublicRepository.from_",
        ),
        (
            lambda s: image(s, repository=ecr.Repository(s, "R")),
            "a private one may be the source: ImageSource.ecr",
        ),
        (lambda s: image(s, source=DIGEST), "is a str; expected a source: ImageSource.digest('sha256:…')"),
        (
            lambda s: ImageSource.ecr(PublicRepository.from_repository_name(s, "P", "acme/x"), tag="1"),  # type: ignore[arg-type]
            "for one of ECR Public there is ImageSource.public",
        ),
        (
            lambda _: ImageSource.docker_asset("agent"),  # type: ignore[arg-type]
            "ImageSource.docker_asset: 'agent' is a str; expected a DockerImageAsset",
        ),
        (
            lambda _: ImageSource.archive_object("builds", "a.tar"),  # type: ignore[arg-type]
            "ImageSource.archive_object: bucket: 'builds' is a str; expected a bucket",
        ),
        (
            lambda s: PublicImageProvider(s, "P", memory_size=64),
            "Stack/P: memory_size: 64 MiB; allowed are 128 to 10240",
        ),
    ],
)
def test_what_is_expected_is_said(declare: Callable[[Stack], object], said: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(Stack(App(), "Stack"))

    assert said in str(failure.value)


def test_credentials_that_are_given_as_a_text_are_not_repeated() -> None:
    with pytest.raises(ValueError, match="credentials: a str; expected a secret: secretsmanager") as failure:
        ImageSource.registry("ghcr.io/acme/agent:1", credentials="user:password")  # type: ignore[arg-type]

    assert "password" not in str(failure.value)
