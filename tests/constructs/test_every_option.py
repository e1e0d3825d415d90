"""The error for a value of the wrong type names the option, for every option of the public API."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from cdk_ecrpublic import (
    IgnoredFinding,
    ImageSource,
    PublicImage,
    PublicImageCatalog,
    PublicImageMonitor,
    PublicImageProvider,
    PublicImageProviderStack,
    PublicRepository,
    PublicRepositoryRetention,
    ReleaseRule,
    RequiredSignature,
    Signing,
)
from cdk_ecrpublic.catalog.reader import read_catalog

DIGEST = "sha256:" + "a" * 64
PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
ARN = "arn:aws:ecr-public::123456789012:repository/acme/agent"
CATALOG = Path(__file__).parent / "catalogs" / "repositories.yaml"

UNNAMED = {
    "ReleaseRule": {"types", "signatures"},
    "ImageSource": {"digest", "tag", "text", "asset", "repository_uri", "images", "path", "reference"},
}
"""The one thing that a factory is about is not named beside the factory's own name."""


class Thing:
    """A type that no option expects."""


def of_an_image(stack: Stack) -> Mapping[str, Any]:
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    return {"repository": repository, "source": ImageSource.digest(DIGEST)}


def of_an_object(stack: Stack) -> Mapping[str, Any]:
    return {"bucket": s3.Bucket.from_bucket_name(stack, "Bucket", "builds"), "key": "a.tar"}


def a_key(stack: Stack) -> kms.IKey:
    return kms.Key(stack, "Key", key_spec=kms.KeySpec.ECC_NIST_P256, key_usage=kms.KeyUsage.SIGN_VERIFY)


def of_private_ecr(stack: Stack) -> Mapping[str, Any]:
    return {"repository": ecr.Repository.from_repository_name(stack, "Private", "in/side"), "tag": "1"}


def nothing(_: Stack) -> Mapping[str, Any]:
    return {}


Required = Callable[[Stack], Mapping[str, Any]]

PUBLIC: dict[str, tuple[Callable[..., object], Required]] = {
    "PublicImage": (PublicImage, of_an_image),
    "PublicImageProvider": (PublicImageProvider, nothing),
    "PublicImageProviderStack": (PublicImageProviderStack, lambda _: {"repositories": ["acme/agent"]}),
    "PublicRepository": (PublicRepository, nothing),
    "PublicRepositoryRetention": (
        PublicRepositoryRetention,
        lambda stack: {
            "repository": PublicRepository.from_repository_name(stack, "Agent", "acme/agent"),
            "lifecycle_rules": [ecr.LifecycleRule(max_image_count=1)],
        },
    ),
    "PublicImageMonitor": (PublicImageMonitor, lambda stack: {"images": stack}),
    "PublicRepository.from_repository_name": (
        PublicRepository.from_repository_name,
        lambda _: {"repository_name": "acme/agent"},
    ),
    "PublicRepository.from_repository_arn": (
        PublicRepository.from_repository_arn,
        lambda _: {"repository_arn": ARN},
    ),
    "PublicRepository.from_cfn_public_repository": (PublicRepository.from_cfn_public_repository, nothing),
    "PublicImageCatalog": (PublicImageCatalog, lambda _: {"catalog": read_catalog(CATALOG)}),
    "PublicImageCatalog.from_file": (PublicImageCatalog.from_file, lambda _: {"path": CATALOG}),
    "ImageSource.digest": (ImageSource.digest, nothing),
    "ImageSource.tag": (ImageSource.tag, nothing),
    "ImageSource.manifest": (ImageSource.manifest, lambda _: {"text": "{}"}),
    "ImageSource.manifest_file": (ImageSource.manifest_file, lambda _: {"path": CATALOG}),
    "ImageSource.registry": (ImageSource.registry, lambda _: {"reference": "ghcr.io/acme/agent:1"}),
    "ImageSource.public": (ImageSource.public, lambda _: {"repository_uri": "public.ecr.aws/acme/agent", "tag": "1"}),
    "ImageSource.ecr": (ImageSource.ecr, of_private_ecr),
    "ImageSource.docker_asset": (ImageSource.docker_asset, nothing),
    "ImageSource.archive": (ImageSource.archive, lambda _: {"path": CATALOG}),
    "ImageSource.archive_object": (ImageSource.archive_object, of_an_object),
    "ReleaseRule.required_referrers": (ReleaseRule.required_referrers, lambda _: {"types": ["sbom"]}),
    "ReleaseRule.scan_findings": (ReleaseRule.scan_findings, lambda _: {"max_severity": "HIGH"}),
    "IgnoredFinding": (IgnoredFinding, lambda _: {"name": "CVE-2025-1", "reason": "x", "until": "2099-12-31"}),
    "ReleaseRule.required_signatures": (
        ReleaseRule.required_signatures,
        lambda stack: {"signatures": [RequiredSignature.kms(a_key(stack))]},
    ),
    "RequiredSignature.kms": (RequiredSignature.kms, lambda stack: {"key": a_key(stack)}),
    "RequiredSignature.ecr_managed": (RequiredSignature.ecr_managed, nothing),
    "Signing.signer_profile": (Signing.signer_profile, lambda _: {"profile_arn": PROFILE}),
    "Signing.kms": (Signing.kms, lambda stack: {"key": a_key(stack)}),
    "ImageSource.index": (ImageSource.index, lambda _: {"images": {"linux/amd64": ImageSource.digest(DIGEST)}}),
}


def parameters(make: Callable[..., object]) -> Iterable[inspect.Parameter]:
    # jsii's metaclass hides the signature of a construct.
    return inspect.signature(vars(make)["__init__"] if isinstance(make, type) else make).parameters.values()


def options(make: Callable[..., object]) -> Iterator[inspect.Parameter]:
    for parameter in parameters(make):
        if parameter.name not in {"self", "scope", "construct_id"}:
            yield parameter


def refusal(name: str, option: str, value: object) -> str:
    """Return the error for one option with a wrong value, while all others are valid."""
    make, required = PUBLIC[name]
    stack = Stack(App(), "Stack")
    place = {"scope": stack, "construct_id": "It"} if "scope" in {each.name for each in parameters(make)} else {}
    alone = {"tag": None} if option == "digest" and name in {"ImageSource.public", "ImageSource.ecr"} else {}
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - its text is looked at
        make(**place, **{**required(stack), **alone, option: value})
    return str(failure.value)


CASES = [(name, each.name) for name, (make, _) in PUBLIC.items() for each in options(make)]


OTHERS = {"object": Thing(), "mapping": {"a": {1}}, "bytes": b"1"}

DATA = {"vpc_subnets", "env"}
"""For these, jsii takes a mapping."""


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        pytest.param(name, option, value, id=f"{name}-{option}-{kind}")
        for name, option in CASES
        for kind, value in OTHERS.items()
        if not (kind == "mapping" and option in DATA)
    ],
)
def test_refuses_another_type_and_names_the_option(name: str, option: str, value: object) -> None:
    said = refusal(name, option, value)

    assert said.startswith(("Stack/It: ", "It: ", name))
    assert option in said or option in UNNAMED.get(name.partition(".")[0], ()) or name.startswith("PublicRepository.")
    assert "object at 0x" not in said


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, each.name)
        for name, (make, _) in PUBLIC.items()
        for each in options(make)
        if each.default is not None and each.name not in {"tag", "digest"}
    ],
)
def test_refuses_none_unless_it_is_the_default(name: str, option: str) -> None:
    assert "None" in refusal(name, option, None)


def test_covers_the_whole_public_api() -> None:
    surface = Path(__file__).parents[1].joinpath("contract", "public_surface.txt").read_text(encoding="utf-8")
    calls = {line.partition("(")[0] for line in surface.splitlines() if "(" in line}
    static = {call for call in calls if call.startswith(("ImageSource.", "PublicRepository.from_"))}
    constructors = {call for call in calls if call.startswith("Public") and "." not in call}

    assert {*static, *constructors} <= set(PUBLIC)
