"""Images and nested indexes: limits of depth and size, and filtering by platform."""

from __future__ import annotations

import json

import pytest

from lambda_handler.errors import ImageError, IntegrityError, InvalidManifestError, NotFoundError, RuleViolationError
from lambda_handler.oci import Digest, Manifest, Platform
from lambda_handler.publish import tree
from lambda_handler.publish.content import content_in_destination, content_to_copy, platforms_of
from tests.support.memory import OCI_MANIFEST, MemoryRepository, index_of

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def image_with(repository: MemoryRepository, config: bytes, media_type: str = CONFIG_TYPE) -> Manifest:
    descriptor = {"mediaType": media_type, "digest": str(Digest.of(config)), "size": len(config)}
    data = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": []}
    repository.blobs[Digest.of(config)] = config
    return Manifest.parse(json.dumps(data).encode())


def nested(repository: MemoryRepository, depth: int) -> Manifest:
    manifest = repository.add(b"config")
    for _ in range(depth):
        manifest = repository.add_index(manifest)
    return manifest


@pytest.mark.parametrize("depth", range(tree.DEPTH_MAX + 1))
def test_accepts_nested_indexes(depth: int) -> None:
    origin = MemoryRepository()

    assert len(content_to_copy(nested(origin, depth), origin, []).parts) == depth


def test_refuses_indexes_nested_too_deeply() -> None:
    origin = MemoryRepository()

    with pytest.raises(InvalidManifestError, match="nested more than 4 deep"):
        content_to_copy(nested(origin, tree.DEPTH_MAX + 1), origin, [])


def test_refuses_an_index_with_too_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MANIFESTS_MAX", 3)
    origin = MemoryRepository()
    whole = origin.add_index(*[origin.add(str(number).encode()) for number in range(4)])

    with pytest.raises(InvalidManifestError, match="more than 3 manifests"):
        content_to_copy(whole, origin, [])


def test_a_missing_child_is_an_error() -> None:
    origin = MemoryRepository()

    with pytest.raises(NotFoundError):
        content_to_copy(index_of(MemoryRepository().add(b"elsewhere")), origin, [])


def test_children_come_before_their_parents_and_only_once() -> None:
    origin = MemoryRepository()
    image = origin.add(b"config")
    inner = origin.add_index(image)
    whole = content_to_copy(origin.add_index(inner, image), origin, [])

    assert [part.digest for part in whole.parts] == [image.digest, inner.digest]
    assert whole.copied == (*whole.parts, whole.root)


def test_copies_nothing_that_the_destination_already_has() -> None:
    origin = MemoryRepository()

    assert content_in_destination(origin.add(b"config"), origin, []).copied == ()


def test_the_platform_of_a_single_image_is_read_from_its_config() -> None:
    repository = MemoryRepository()
    config = b'{"os": "linux", "architecture": "arm", "variant": "v7"}'

    assert platforms_of(image_with(repository, config), repository) == {Platform("linux", "arm", "v7")}


def test_an_artifact_has_no_platform() -> None:
    repository = MemoryRepository()

    assert platforms_of(image_with(repository, b"{}", "application/vnd.oci.empty.v1+json"), repository) == frozenset()


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"os": "linux"}',
        b"[" * 100_000,
        b"\xff",
        b'{"os": "linux", "architecture": "arm64", "OS": "windows"}',
    ],
)
def test_refuses_a_config_without_a_platform(config: bytes) -> None:
    repository = MemoryRepository()

    with pytest.raises(InvalidManifestError, match="names no platform"):
        platforms_of(image_with(repository, config), repository)


@pytest.mark.parametrize("stored", [b'{"os": "linux"', b'{"os": "linux", "architecture": "amd64"}   '])
def test_refuses_a_config_with_the_wrong_digest(stored: bytes) -> None:
    repository = MemoryRepository()
    manifest = image_with(repository, b'{"os": "linux", "architecture": "amd64"}')
    repository.blobs[manifest.blobs[0].digest] = stored

    with pytest.raises(IntegrityError, match="has another digest"):
        platforms_of(manifest, repository)


def test_refuses_a_single_image_for_another_platform() -> None:
    repository = MemoryRepository()
    manifest = image_with(repository, b'{"os": "linux", "architecture": "amd64"}')

    with pytest.raises(RuleViolationError, match="no image for linux/arm64; its platforms are: linux/amd64"):
        content_in_destination(manifest, repository, [Platform("linux", "arm64")])


def test_accepts_a_single_image_for_one_of_the_requested_platforms() -> None:
    repository = MemoryRepository()
    manifest = image_with(repository, b'{"os": "linux", "architecture": "amd64"}')

    content = content_in_destination(manifest, repository, [Platform("linux", "arm64"), Platform("linux", "amd64")])

    assert content.root is manifest
    assert content.platforms == {Platform("linux", "amd64")}


def test_reads_no_config_if_no_platform_is_requested() -> None:
    repository = MemoryRepository()
    manifest = image_with(repository, b"broken")

    assert content_in_destination(manifest, repository, []).root is manifest
    with pytest.raises(ImageError):
        content_in_destination(manifest, repository, [Platform("linux", "amd64")])
