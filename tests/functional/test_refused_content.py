"""Content that the repository cannot hold: refused with a clear message, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_handler.oci import Digest, ManifestMediaType
from tests.protocol.conftest import Registry, declare
from tests.support.stack import Stack

OCI, INDEX = ManifestMediaType.OCI_MANIFEST.value, ManifestMediaType.OCI_INDEX.value
ABSENT = {"mediaType": OCI, "digest": str(Digest.of(b"absent")), "size": 6}


def images(registry: Registry) -> list[str]:
    answer = registry.sandbox.client("ecr-public").describe_images(repositoryName="acme/agent")
    return sorted(image["imageDigest"] for image in answer["imageDetails"])


def manifest(data: dict[str, Any], *tags: str) -> dict[str, Any]:
    text = json.dumps({"schemaVersion": 2, **data})
    return {"RepositoryName": "acme/agent", "ImageTags": list(tags), "Source": {"Manifest": {"Body": text}}}


@pytest.mark.parametrize("tags", [(), ("1", "latest")], ids=["by digest", "by tags"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"mediaType": OCI, "config": ABSENT, "layers": [ABSENT]}, "layers"),
        ({"mediaType": INDEX, "manifests": [ABSENT]}, "images"),
    ],
    ids=["layer", "child"],
)
def test_refuses_a_manifest_with_missing_content_and_writes_nothing(
    stack: Stack, registry: Registry, data: dict[str, Any], what: str, tags: tuple[str, ...]
) -> None:
    registry.push("live", "latest")
    before = (registry.tags(), images(registry))
    registry.sandbox.requests.clear()

    answer = stack.deploy(manifest(data, *tags))

    assert answer.reason.startswith("RULE_VIOLATION: the manifest sha256:")
    assert f"refers to {what} that are not in the repository: {ABSENT['digest']}" in answer.reason
    assert registry.sandbox.requests.count("PutImage") == 0
    assert (registry.tags(), images(registry)) == before


def test_refuses_an_unexpected_digest_before_writing_anything(stack: Stack, registry: Registry) -> None:
    image, expected = registry.push("live", "latest"), str(Digest.of(b"expected"))
    registry.sandbox.requests.clear()

    answer = stack.deploy(declare(image, "1", ImageDigest=expected))

    assert answer.reason == (
        f"RULE_VIOLATION: the source has the digest {image.digest}, but ImageDigest declares {expected}"
    )
    assert registry.sandbox.requests.count("PutImage") == 0


def test_refuses_a_missing_platform_and_lists_the_existing_ones(stack: Stack, registry: Registry) -> None:
    answer = stack.deploy(declare(registry.push("live"), "1", RequiredPlatforms=["linux/riscv64"]))

    assert "lacks linux/riscv64 of the RequiredPlatforms; its platforms are: linux/amd64, linux/arm64" in answer.reason
    assert registry.tags() == {}


def test_an_image_of_another_repository_does_not_exist_here(stack: Stack, registry: Registry) -> None:
    registry.sandbox.client("ecr-public").create_repository(repositoryName="acme/other")
    image = registry.push("elsewhere")

    answer = stack.deploy({**declare(image, "1"), "RepositoryName": "acme/other"})

    assert (
        f"the image {image.digest} does not exist in repository 'acme/other' of registry 123456789012" in answer.reason
    )
    assert "Hint: push the image to this repository before deploying, or correct the digest" in answer.reason


def test_reports_an_alias_that_does_not_exist(stack: Stack, registry: Registry) -> None:
    answer = stack.deploy(declare(registry.push("live"), "1", RegistryId="nobody"))

    assert not answer.succeeded
    assert answer.reason.startswith("NOT_FOUND: ")
    assert registry.tags() == {}


def test_a_string_that_is_not_unicode_is_a_user_error(stack: Stack) -> None:
    text = '{"schemaVersion": 2, "x": "\ud800"}'

    answer = stack.deploy({"RepositoryName": "acme/agent", "Source": {"Manifest": {"Body": text, "MediaType": INDEX}}})

    assert answer.reason.startswith("INVALID_PROPERTIES: Source.Manifest.Body: ")


def test_reports_all_problems_together(stack: Stack, registry: Registry) -> None:
    registry.push("live", "latest")
    data = {"mediaType": INDEX, "manifests": [{**ABSENT, "platform": {"os": "linux", "architecture": "amd64"}}]}
    expected = str(Digest.of(b"expected"))

    answer = stack.deploy(
        {**manifest(data, "1"), "ImageDigest": expected, "RequiredPlatforms": ["linux/arm64", "linux/s390x"]}
    )

    for part in (f"ImageDigest declares {expected}", "lacks linux/arm64, linux/s390x", "are not in the repository"):
        assert part in answer.reason
