"""
Small, real images for tests, and a container client that pushes and pulls them.

Example::

    image = build_image({"etc/release": b"1.4.2"}, platforms=("linux/amd64", "linux/arm64"))
    push_image(sandbox, "acme/agent", image, tags=["1.4.2"])
    resolve_tags(sandbox, "acme/agent")     # {"1.4.2": "sha256:…"}

Everything goes over the registry's HTTP face, as with any container tool.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType, Platform, Repository

from .client import RegistryClient

LAYER_TYPES = {
    ManifestMediaType.OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    ManifestMediaType.DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}

CONFIG_TYPES = {
    ManifestMediaType.OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    ManifestMediaType.DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}

INDEX_TYPES = {
    ManifestMediaType.OCI_MANIFEST: ManifestMediaType.OCI_INDEX,
    ManifestMediaType.DOCKER_MANIFEST: ManifestMediaType.DOCKER_LIST,
}


class HasRegistry(Protocol):
    """A running sandbox: ``Sandbox`` or ``SandboxProcess``."""

    def client(self, service: str) -> Any:  # noqa: ANN401 - a boto3 client
        """Return a boto3 client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """
    A complete image or index.

    Attributes:
        manifest: The bytes of the manifest.
        media_type: The media type of the manifest.
        children: The images that an index lists.
        blobs: The config and layers by digest.
    """

    manifest: bytes = field(repr=False)
    media_type: str
    children: tuple[Image, ...] = ()
    blobs: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return str(Digest.of(self.manifest))


def build_image(
    files: Mapping[str, bytes],
    *,
    platforms: Sequence[str] = ("linux/amd64",),
    media_type: ManifestMediaType = ManifestMediaType.OCI_MANIFEST,
    labels: Mapping[str, str] | None = None,
    created: str = "1970-01-01T00:00:00Z",
) -> Image:
    """
    Build an image, or for several platforms an index with one image for each.

    The same arguments always give the same digest.

    Args:
        files: Content by path; all files go into one layer.
        platforms: Platforms as ``os/architecture[/variant]``.
        media_type: The media type of the images; an index is of the same family (OCI or Docker).
        labels: Go into the config.
        created: Goes into the config: a time in the format of RFC 3339.
    """
    layer = _layer(files)
    images = [_image(layer, Platform.parse(platform), media_type, labels or {}, created) for platform in platforms]
    return images[0] if len(images) == 1 else _index(images, platforms, INDEX_TYPES[media_type])


def push_image(sandbox: HasRegistry, repository: str, image: Image, tags: Sequence[str] = ()) -> None:
    """
    Push an image to a repository of the sandbox's default account.

    Args:
        sandbox: A running sandbox.
        repository: The name of the repository, without host and alias.
        image: The image.
        tags: The tags. Default: none; the image is pushed by digest.
    """
    client = sandbox.client("ecr-public")
    described = client.describe_repositories(repositoryNames=[repository])["repositories"][0]
    token = client.get_authorization_token()["authorizationData"]["authorizationToken"]
    push(described["repositoryUri"], image, tags, login=base64.b64decode(token).decode())


def push(uri: str, image: Image, tags: Sequence[str] = (), *, login: str) -> None:
    """
    Push an image as a container tool does: blobs, children, the image, and then its tags.

    Args:
        uri: ``host/alias/name``.
        login: ``user:password``.
    """
    client = RegistryClient(Repository.parse(uri), login)
    for part in _all(image):
        for digest, blob in part.blobs.items():
            client.put_blob(digest, blob)
        client.put_manifest(part.digest, part.manifest, part.media_type)
    for tag in tags:
        client.put_manifest(tag, image.manifest, image.media_type)


def pull(uri: str, reference: str, *, login: str | None = None) -> Image:
    """
    Pull an image with all its children and blobs, and check every digest.

    Args:
        uri: ``host/alias/name``.
        reference: A tag or digest.
        login: ``user:password``; None means anonymous.

    Raises:
        RegistryError: Something is missing, or is not what it should be.
    """
    return _pull(RegistryClient(Repository.parse(uri), login), reference)


def write_layout(image: Image, folder: Path) -> None:
    """Write an image as an OCI image layout into a folder, as a build tool without a registry does."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for part in _all(image):
        for content in (part.manifest, *part.blobs.values()):
            (blobs / Digest.of(content).hex).write_bytes(content)
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    entry = _descriptor(image.manifest, image.media_type)
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))


def resolve_tags(sandbox: HasRegistry, repository: str) -> dict[str, str]:
    """Return the digest of each tag of a repository, read anonymously and sorted by tag."""
    described = sandbox.client("ecr-public").describe_repositories(repositoryNames=[repository])["repositories"][0]
    return tags_of(described["repositoryUri"])


def tags_of(uri: str) -> dict[str, str]:
    """Return the digest of each tag of ``host/alias/name``, read anonymously and sorted by tag."""
    client = RegistryClient(Repository.parse(uri), None)
    return {tag: client.digest_of(tag) for tag in sorted(client.tags())}


def _all(image: Image) -> Iterator[Image]:
    for child in image.children:
        yield from _all(child)
    yield image


def _pull(client: RegistryClient, reference: str) -> Image:
    content, media_type = client.get_manifest(reference)
    data = json.loads(content)
    blobs = [data["config"], *data["layers"]] if "config" in data else []
    return Image(
        manifest=content,
        media_type=media_type,
        children=tuple(_pull(client, child["digest"]) for child in data.get("manifests", [])),
        blobs={blob["digest"]: client.get_blob(blob["digest"]) for blob in blobs},
    )


def _layer(files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """Pack the files. Return the layer and the digest of the uncompressed tar file (the diff ID)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    tar = buffer.getvalue()
    return gzip.compress(tar, mtime=0), f"sha256:{hashlib.sha256(tar).hexdigest()}"


def _image(
    layer: tuple[bytes, str],
    platform: Platform,
    media_type: ManifestMediaType,
    labels: Mapping[str, str],
    created: str,
) -> Image:
    packed, unpacked_digest = layer
    config = _json(
        {
            "created": created,
            "architecture": platform.architecture,
            "os": platform.os,
            **({"variant": platform.variant} if platform.variant else {}),
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [unpacked_digest]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(config, CONFIG_TYPES[media_type]),
        "layers": [_descriptor(packed, LAYER_TYPES[media_type])],
    }
    blobs = {str(Digest.of(content)): content for content in (config, packed)}
    return Image(manifest=_json(manifest), media_type=media_type, blobs=blobs)


def _index(images: Sequence[Image], platforms: Sequence[str], media_type: ManifestMediaType) -> Image:
    entries = [
        {**_descriptor(image.manifest, image.media_type), "platform": _platform(Platform.parse(platform))}
        for image, platform in zip(images, platforms, strict=True)
    ]
    manifest = _json({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})
    return Image(manifest=manifest, media_type=media_type, children=tuple(images))


def _platform(platform: Platform) -> dict[str, str]:
    fields = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {name: value for name, value in fields.items() if value}


def _descriptor(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def _json(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, indent=2).encode()
