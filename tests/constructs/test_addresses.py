"""Addresses in the wrong place: other registries, private ECR, and short names that Docker completes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import Annotations, App, Environment, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Template

from cdk_ecrpublic import (
    IImageSource,
    ImageSource,
    PublicImage,
    PublicImageCatalog,
    PublicImageProviderStack,
    PublicRepository,
)
from tests.constructs.messages import warnings

DIGEST = "sha256:" + "a" * 64
PRIVATE = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ARN = "arn:aws:ecr-public::123456789012:repository/ghcr.io/acme/agent"
US_EAST_1 = Environment(account="123456789012", region="us-east-1")


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack", env=US_EAST_1)


def image(stack: Stack, source: IImageSource) -> PublicImage:
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    return PublicImage(stack, "Release", repository=repository, source=source)


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (
            lambda s: PublicRepository.from_repository_name(s, "R", f"{PRIVATE}/acme/agent"),
            "Stack/R: repository_name: '123456789012.dkr.ecr.us-east-1.amazonaws.com/acme/agent' is an address in",
        ),
        (
            lambda s: PublicRepository(s, "R", repository_name="ghcr.io/acme/agent"),
            "Stack/R: repository_name: 'ghcr.io/acme/agent' is an address in the registry 'ghcr.io'",
        ),
        (
            lambda s: PublicImageProviderStack(s.node.root, "P", repositories=["quay.io/acme/agent"]),
            "expected a name without a host, e.g. 'acme/agent'",
        ),
        (
            lambda _: ImageSource.registry("bitnami/redis:7"),
            "a dot nor a port; for Docker Hub, write 'docker.io/bitnami/redis'",
        ),
        (
            lambda _: ImageSource.registry("https://ghcr.io/a/b:1"),
            "is not a repository; omit 'https://': 'ghcr.io/a/b'",
        ),
        (lambda _: ImageSource.registry("ghcr.io/Acme/b:1"), "the path must be in lower case"),
        (
            lambda _: ImageSource.public("ghcr.io/a/b", tag="1"),
            "ImageSource.public: 'ghcr.io/a/b' is not in ECR Public; expected public.ecr.aws/<alias>/<name>, or",
        ),
        (lambda _: ImageSource.public("acme/agent", tag="1"), "is not in ECR Public; expected public.ecr.aws/<alias>/"),
        (
            lambda _: ImageSource.public("public.ecr.aws/b", tag="1"),
            "ImageSource.public: 'public.ecr.aws/b' has no alias or no name; expected public.ecr.aws/<alias>/<name>",
        ),
        (lambda _: ImageSource.public(f"{PRIVATE}/a/b", tag="1"), "in private ECR; expected public.ecr.aws/<alias>/"),
        (lambda _: ImageSource.public("public.ecr.aws/a/b:1", tag="1"), "expected host/path, without tag and digest"),
    ],
)
def test_refuses_an_address_in_the_wrong_place(stack: Stack, declare: Callable[[Stack], object], said: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(stack)

    assert said in str(failure.value)


def test_imports_a_repository_whose_name_looks_like_an_address_by_arn(stack: Stack) -> None:
    repository = PublicRepository.from_repository_arn(stack, "R", ARN)
    PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST))

    Template.from_stack(stack).has_resource_properties(
        "Custom::ECRPublicImage", {"RepositoryName": "ghcr.io/acme/agent"}
    )


def test_accepts_a_stand_in_for_ecr_public_as_a_source(stack: Stack) -> None:
    image(stack, ImageSource.public("registry.example.com/agent", tag="1"))

    reference = {"Source": {"Image": {"Reference": "registry.example.com/agent:1"}}}
    Template.from_stack(stack).has_resource_properties("Custom::ECRPublicImage", reference)


def test_warns_about_private_ecr_without_its_permissions(stack: Stack) -> None:
    """This is not an error, because the permissions may be granted in another way or by a given role."""
    image(stack, ImageSource.registry(f"{PRIVATE}/acme/agent@{DIGEST}"))

    (warning,) = warnings(stack)
    assert f"{PRIVATE}/acme/agent is in private ECR" in warning
    assert "use ImageSource.ecr, which does" in warning


@pytest.mark.parametrize(
    "source",
    [
        lambda s: ImageSource.registry(
            f"{PRIVATE}/acme/agent@{DIGEST}", credentials=secretsmanager.Secret.from_secret_name_v2(s, "Login", "login")
        ),
        lambda s: ImageSource.ecr(ecr.Repository.from_repository_name(s, "Private", "acme/agent"), digest=DIGEST),
        lambda _: ImageSource.registry(f"ghcr.io/acme/agent@{DIGEST}"),
    ],
    ids=["with credentials", "by ImageSource.ecr", "elsewhere"],
)
def test_does_not_warn_about_readable_sources(stack: Stack, source: Callable[[Stack], IImageSource]) -> None:
    Annotations.of(stack).acknowledge_warning("@cdk-ecrpublic:credentialsRegistry", "another matter")

    image(stack, source(stack))

    assert warnings(stack) == []


def catalog(stack: Stack, folder: Path, text: str, **options: object) -> PublicImageCatalog:
    path = folder / "images.yaml"
    path.write_text(text)
    return PublicImageCatalog.from_file(stack, "Catalog", path, **options)  # type: ignore[arg-type]


def test_errors_in_a_catalog_have_the_line_of_the_address(stack: Stack, tmp_path: Path) -> None:
    text = f"""
repositories:
  ghcr.io/acme/agent:
    images:
      - source: bitnami/redis@{DIGEST}
  acme/other:
    images:
      - source: bitnami/redis:7@{DIGEST}
"""
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        catalog(stack, tmp_path, text)

    first, second = str(failure.value).splitlines()
    assert first.endswith(
        "images.yaml:3:3: 'ghcr.io/acme/agent' is an address in the registry 'ghcr.io', not the name of an ECR Public "
        "repository; expected a name without a host, e.g. 'acme/agent'"
    )
    assert "images.yaml:5:9: 'bitnami/redis' has no registry host" in second


def test_reports_the_registry_of_a_promoter_catalog_once_for_all_images(stack: Stack, tmp_path: Path) -> None:
    text = "".join(f'- name: {name}\n  dmap: {{"{DIGEST}": []}}\n' for name in ("agent", "other"))
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        catalog(stack, tmp_path, text, source="staging", destination="public.ecr.aws/acme")

    (problem,) = str(failure.value).splitlines()
    assert "'staging/agent' has no registry host: 'staging' has neither a dot nor a port" in problem
