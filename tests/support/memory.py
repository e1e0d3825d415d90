"""
An ECR Public repository in memory, with the rules of the service that publishing relies on.

It takes a manifest only when all that the manifest refers to is there, and a
blob only when its bytes are what its digest says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lambda_handler.errors import IntegrityError, MissingContentError, NotFoundError
from lambda_handler.oci import Descriptor, Digest, Manifest, ManifestMediaType, Repository

OCI_MANIFEST = ManifestMediaType.OCI_MANIFEST.value
OCI_INDEX = ManifestMediaType.OCI_INDEX.value


def always_works(manifest: Manifest, tag: str | None) -> None:
    """Let every put succeed."""
    del manifest, tag


@dataclass
class MemoryRepository:
    """
    A destination or an origin.

    Attributes:
        writes: What was stored, in order: ``blob sha256:…``, ``image sha256:…``, ``tag 1.4``.
        before_put: Called before each put; may raise.
    """

    name: str = "acme/agent"
    registry_id: str = "123456789012"
    images: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    before_put: Callable[[Manifest, str | None], None] = always_works
    is_own: bool = True

    @property
    def repository(self) -> Repository:
        return Repository.parse(f"public.ecr.aws/alias/{self.name}")

    def tags_of(self, digests: Iterable[Digest]) -> dict[Digest, frozenset[str]]:
        there = [digest for digest in digests if digest in self.images]
        return {digest: frozenset(tag for tag, of in self.tags.items() if of == digest) for digest in there}

    def remove_tag(self, tag: str) -> bool:
        digest = self.tags.pop(tag, None)
        if digest is not None and digest not in self.tags.values():
            del self.images[digest]
        return True

    def remove_images(self, digests: Sequence[Digest]) -> frozenset[Digest]:
        for digest in digests:
            self.images.pop(digest, None)
        return frozenset()

    def referrers(self, subject: Digest) -> list[Descriptor]:
        """Nothing refers to anything here."""
        del subject
        return []

    def has_tag(self, tag: str) -> bool:
        return tag in self.tags

    def tagged(self, tag: str) -> Manifest | None:
        return self.images.get(self.tags[tag]) if tag in self.tags else None

    def add(self, *blobs: bytes) -> Manifest:
        """Add an image of these blobs; the first is its config."""
        manifest = image_of(*blobs)
        self.blobs.update({Digest.of(blob): blob for blob in blobs})
        self.images[manifest.digest] = manifest
        return manifest

    def add_index(self, *children: Manifest) -> Manifest:
        """Add an index of images that are here."""
        manifest = index_of(*children)
        self.images[manifest.digest] = manifest
        return manifest

    def manifest(self, digest: Digest) -> Manifest:
        if digest not in self.images:
            message = f"no {digest} here"
            raise NotFoundError(message, operation="GET manifest")
        return self.images[digest]

    def listed(self, entry: Descriptor) -> Manifest:
        manifest = self.manifest(entry.digest)
        if manifest.size != entry.size:
            message = f"{manifest.size} bytes were sent"
            raise IntegrityError(message)
        return manifest

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        if blob.digest not in self.blobs:
            message = f"no blob {blob.digest} here"
            raise NotFoundError(message, operation="GET blob")
        yield self.blobs[blob.digest]

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        return {tag: self.tags[tag] for tag in tags if tag in self.tags}

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        return frozenset(digests) - self.images.keys()

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        return frozenset(digests) - self.blobs.keys()

    def upload(self, blob: Descriptor, content: Callable[[], Iterable[bytes]]) -> None:
        received = b"".join(content())
        if Digest.of(received) != blob.digest:
            message = f"{blob.digest} came with other bytes"
            raise IntegrityError(message)
        self.blobs[blob.digest] = received
        self.writes.append(f"blob {blob.digest}")

    def put(self, manifest: Manifest, tag: str | None) -> None:
        self.before_put(manifest, tag)
        absent = {child.digest for child in manifest.children} - self.images.keys()
        absent |= {blob.digest for blob in manifest.blobs if not blob.is_foreign} - self.blobs.keys()
        if absent:
            message = f"{manifest.digest} refers to what is not there: {', '.join(map(str, sorted(absent)))}"
            raise MissingContentError(message, operation="ecr-public:PutImage")
        self.images[manifest.digest] = manifest
        self.writes.append(f"tag {tag}" if tag else f"image {manifest.digest}")
        if tag:
            self.tags[tag] = manifest.digest


def image_of(*blobs: bytes) -> Manifest:
    """Write the manifest of an image whose config and layers are *blobs*."""
    config, *layers = [_descriptor("application/octet-stream", blob) for blob in blobs]
    data = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return Manifest.parse(json.dumps(data).encode())


def index_of(*children: Manifest) -> Manifest:
    """Write an index of images or other indexes."""
    entries = [_descriptor(child.media_type.value, child.content) for child in children]
    return Manifest.parse(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode())


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}
