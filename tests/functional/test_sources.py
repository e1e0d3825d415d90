"""Every kind of manifest is published as declared and read back byte for byte."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType, Repository
from cdk_ecrpublic.sandbox.images import Image, build_image, pull
from cdk_ecrpublic.sandbox.testing.client import RegistryClient
from tests.protocol.conftest import Lambda, Registry, declare
from tests.support.pushed import push_image
from tests.support.stack import Stack

OCI, DOCKER = ManifestMediaType.OCI_MANIFEST, ManifestMediaType.DOCKER_MANIFEST
EMPTY = b"{}"


def uri_of(registry: Registry) -> str:
    described = registry.sandbox.client("ecr-public").describe_repositories(repositoryNames=["acme/agent"])
    uri: str = described["repositories"][0]["repositoryUri"]
    return uri


def read(registry: Registry, reference: str) -> tuple[bytes, str]:
    return RegistryClient(Repository.parse(uri_of(registry)), None).get_manifest(reference)


def body(text: str, *tags: str, **more: Any) -> dict[str, Any]:
    return {"RepositoryName": "acme/agent", "ImageTags": list(tags), "Source": {"Manifest": {"Body": text, **more}}}


def pushed(registry: Registry, media_type: ManifestMediaType, *platforms: str) -> Image:
    image = build_image({"a": b"1"}, platforms=platforms, media_type=media_type)
    push_image(registry.sandbox, "acme/agent", image)
    return image


@pytest.mark.parametrize("platforms", [("linux/amd64",), ("linux/amd64", "linux/arm64/v8")], ids=["image", "index"])
@pytest.mark.parametrize("media_type", [OCI, DOCKER], ids=["oci", "docker"])
@pytest.mark.parametrize("kind", ["Digest", "Tag", "Manifest"])
def test_every_manifest_of_every_source_is_published_unchanged(
    stack: Stack, registry: Registry, kind: str, media_type: ManifestMediaType, platforms: tuple[str, ...]
) -> None:
    image = pushed(registry, media_type, *platforms)
    push_image(registry.sandbox, "acme/agent", image, ["build"])
    sources = {"Digest": image.digest, "Tag": "build", "Manifest": {"Body": image.manifest.decode()}}

    answer = stack.deploy({**declare(image, "1.4.2", "latest"), "Source": {kind: sources[kind]}})

    assert answer.succeeded, answer.reason
    assert pull(uri_of(registry), "latest") == image
    assert (answer.data["ImageDigest"], answer.data["ImageManifestMediaType"]) == (image.digest, image.media_type)


@pytest.mark.parametrize(
    "respaced",
    [
        lambda text: text + "\n",
        lambda text: "\r\n \t" + text.replace("\n", "\r\n"),
        lambda text: json.dumps(json.loads(text), separators=(",", ":")),
        lambda text: text.replace(
            '"schemaVersion"', '"annotations": {"ü": "日本 \\u00e9 \\/", "n": ""}, "schemaVersion"'
        ),
        lambda text: text.replace('"schemaVersion": 2', '"schemaVersion": 2, "x": 1.0e3, "big": 12345678901234567890'),
    ],
    ids=["newline", "crlf", "compact", "non-ascii", "numbers"],
)
def test_a_manifest_is_published_byte_for_byte(stack: Stack, registry: Registry, respaced: Any) -> None:
    text = respaced(pushed(registry, OCI, "linux/amd64").manifest.decode())

    answer = stack.deploy(body(text, "1"))

    assert answer.succeeded, answer.reason
    assert read(registry, "1") == (text.encode(), OCI)
    assert answer.data["ImageDigest"] == str(Digest.of(text.encode()))


def test_stores_the_declared_media_type_of_a_manifest_without_one(stack: Stack, registry: Registry) -> None:
    data = json.loads(pushed(registry, OCI, "linux/amd64").manifest)
    del data["mediaType"]

    answer = stack.deploy(body(json.dumps(data), "1", MediaType=OCI))

    assert answer.succeeded, answer.reason
    assert read(registry, "1") == (json.dumps(data).encode(), OCI)


def test_publishes_an_artifact(stack: Stack, registry: Registry) -> None:
    """For example a signature: the empty config of OCI, an artifact type, and a subject."""
    image = registry.push("subject")
    image_part = image.children[0]
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(Digest.of(EMPTY)), "size": len(EMPTY)}
    carrier = Image(
        manifest=image_part.manifest, media_type=OCI, blobs={**image_part.blobs, str(Digest.of(EMPTY)): EMPTY}
    )
    push_image(registry.sandbox, "acme/agent", carrier)
    subject = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI,
            "artifactType": "application/vnd.example.sbom",
            "config": config,
            "layers": [{**config, "annotations": {"title": "sbom"}}],
            "subject": subject,
        }
    )

    answer = stack.deploy(body(text, "sbom"))

    assert answer.succeeded, answer.reason
    assert read(registry, "sbom") == (text.encode(), OCI)


@pytest.mark.parametrize("tags", [0, 1, 20, 150])
def test_puts_any_number_of_tags_and_the_next_run_changes_none(
    stack: Stack, function: Lambda, registry: Registry, tags: int
) -> None:
    image = registry.push("many")
    names = [f"1.{number}" for number in range(tags)]
    event = stack.cloudformation.event("Create", declare(image, *names))

    assert stack.cloudformation.send(event).succeeded
    assert registry.tags() == dict.fromkeys(sorted(names), image.digest)

    registry.sandbox.requests.clear()
    with closing(Lambda(clock=function.clock)) as another:
        another(event, 900)
    assert stack.cloudformation.answer_to(event).succeeded
    # Without a tag, the image itself is put again, in case that another resource is removing it.
    assert registry.sandbox.requests.count("PutImage") == (tags or 1)
    assert registry.tags() == dict.fromkeys(sorted(names), image.digest)


@pytest.mark.parametrize("tags", [1, 20, 150])
def test_a_refresh_puts_each_tag_once_regardless_of_reads(stack: Stack, registry: Registry, tags: int) -> None:
    image = registry.push("many")
    names = [f"1.{number}" for number in range(tags)]
    stack.deploy(declare(image, *names))
    registry.sandbox.requests.clear()

    assert stack.deploy(declare(image, *names, Refresh="again")).succeeded

    assert [call.reference for call in registry.sandbox.requests.all("PutImage")] == names
    assert registry.tags() == dict.fromkeys(sorted(names), image.digest)


def test_publishes_an_image_without_tags_by_digest(stack: Stack, registry: Registry) -> None:
    text = pushed(registry, OCI, "linux/amd64").manifest.decode() + "\n"

    answer = stack.deploy(body(text))

    assert answer.succeeded, answer.reason
    assert registry.tags() == {}
    assert read(registry, answer.data["ImageDigest"])[0] == text.encode()


@pytest.mark.parametrize("named", ["nothing", "account", "alias"])
def test_accepts_every_name_of_its_own_registry(stack: Stack, registry: Registry, named: str) -> None:
    image = registry.push("first")
    alias = registry.sandbox.store.registry_of("123456789012").aliases[0]
    more = {"nothing": {}, "account": {"RegistryId": "123456789012"}, "alias": {"RegistryId": alias}}[named]

    answer = stack.deploy(declare(image, "1", **more))

    assert answer.data["RegistryId"] == "123456789012"
    assert answer.data["ImageUri"] == f"{uri_of(registry)}@{image.digest}"
    assert registry.tags() == {"1": image.digest}
