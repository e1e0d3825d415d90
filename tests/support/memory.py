"""
An ECR Public repository in memory, with those rules of the service that publishing relies on.

It accepts a manifest only if it has everything that the manifest refers to, and
a blob only if its content matches its digest. It deletes an image with its last
tag, unless an index lists it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lambda_handler.errors import IntegrityError, MissingContentError, NotFoundError
from lambda_handler.oci import Descriptor, Digest, Manifest, ManifestMediaType, Repository

OCI_MANIFEST = ManifestMediaType.OCI_MANIFEST.value
OCI_INDEX = ManifestMediaType.OCI_INDEX.value


def always_works(*_: object) -> None:
    """Raise no error."""


@dataclass
class MemoryRepository:
    """
    A repository in memory, as a destination or an origin.

    Attributes:
        writes: All writes, in order: ``blob sha256:…``, ``image sha256:…``,
            ``tag 1.4``, ``untag 1.4``, ``remove sha256:…``.
        before_put: Is called before each put, and may raise an error.
        before_removal: Is called before each removal, with the image and the tags; without tags if the image is
            deleted.
        unanswered: The images whose removal got no response.
        is_conditional: Whether a request that names a tag with another image leaves the tag in place.
    """

    name: str = "acme/agent"
    registry_id: str = "123456789012"
    images: dict[Digest, Manifest] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    before_put: Callable[[Manifest, str | None], None] = always_works
    before_removal: Callable[[Digest, Sequence[str]], None] = always_works
    unanswered: set[Digest] = field(default_factory=set)
    is_own: bool = True
    is_conditional: bool = True

    @property
    def repository(self) -> Repository:
        return Repository.parse(f"public.ecr.aws/alias/{self.name}")

    def tags_of(self, digests: Iterable[Digest]) -> dict[Digest, frozenset[str]]:
        return {digest: frozenset(self._tags_at(digest)) for digest in digests if digest in self.images}

    def tags_read(self, digests: Iterable[Digest]) -> dict[Digest, frozenset[str]]:
        return self.tags_of(digests)

    def known_tags(self, digest: Digest) -> frozenset[str]:
        return self.tags_of([digest]).get(digest, frozenset())

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[list[tuple[Digest, str]], frozenset[str]]:
        self.before_removal(digest, tags)
        removed: list[tuple[Digest, str]] = []
        listed: set[str] = set()
        for tag in tags:
            found = self.tags.get(tag)
            if found is None or (found != digest and self.is_conditional):
                continue
            if self._tags_at(found) == [tag]:
                if self.is_listed(found):
                    listed.add(tag)
                    continue
                del self.images[found]
            del self.tags[tag]
            removed.append((found, tag))
        self.writes += [f"untag {tag}" for _, tag in removed]
        return removed, frozenset(listed)

    def remove_images(self, digests: Sequence[Digest]) -> tuple[list[tuple[Digest, str]], frozenset[Digest]]:
        removed: list[tuple[Digest, str]] = []
        listed: set[Digest] = set()
        for digest in digests:
            self.before_removal(digest, ())
            if digest not in self.images:
                continue
            if self.is_listed(digest):
                listed.add(digest)
                continue
            tags = self._tags_at(digest)
            removed += [(digest, tag) for tag in tags or [""]]
            for tag in tags:
                del self.tags[tag]
            del self.images[digest]
            self.writes.append(f"remove {digest}")
        return removed, frozenset(listed)

    def _tags_at(self, digest: Digest) -> list[str]:
        return sorted(tag for tag, found in self.tags.items() if found == digest)

    def is_listed(self, digest: Digest) -> bool:
        """Return whether an index lists an image."""
        return any(child.digest == digest for image in self.images.values() for child in image.children)

    def referrers(self, subject: Digest) -> list[Descriptor]:
        """Return no referrers."""
        del subject
        return []

    def has_tag(self, tag: str) -> bool:
        return tag in self.tags

    def tagged(self, tag: str) -> Manifest | None:
        return self.images.get(self.tags[tag]) if tag in self.tags else None

    def add(self, *blobs: bytes) -> Manifest:
        """Add an image with these blobs. The first one is the config."""
        manifest = image_of(*blobs)
        self.blobs.update({Digest.of(blob): blob for blob in blobs})
        self.images[manifest.digest] = manifest
        return manifest

    def add_index(self, *children: Manifest) -> Manifest:
        """Add an index of images in the repository."""
        manifest = index_of(*children)
        self.images[manifest.digest] = manifest
        return manifest

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:
        del wait_seconds  # reads never lag here
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
            message = f"the blob {blob.digest} does not exist"
            raise NotFoundError(message, operation="GET blob")
        yield self.blobs[blob.digest]

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        return {tag: self.tags[tag] for tag in tags if tag in self.tags}

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        return frozenset(digests) - self.images.keys()

    def blob_sizes(self, digests: Iterable[Digest]) -> Mapping[Digest, int | None]:
        return {digest: len(self.blobs[digest]) for digest in digests if digest in self.blobs}

    def upload(self, blob: Descriptor, content: Callable[[], Iterable[bytes]]) -> None:
        received = b"".join(content())
        if Digest.of(received) != blob.digest:
            message = f"the content of {blob.digest} has another digest"
            raise IntegrityError(message)
        self.blobs[blob.digest] = received
        self.writes.append(f"blob {blob.digest}")

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        self.before_put(manifest, tag)
        absent = {child.digest for child in manifest.children} - self.images.keys()
        absent |= {blob.digest for blob in manifest.blobs if not blob.is_foreign} - self.blobs.keys()
        if absent:
            message = f"{manifest.digest} refers to missing content: {', '.join(map(str, sorted(absent)))}"
            raise MissingContentError(message, operation="ecr-public:PutImage")
        is_new = manifest.digest not in self.images or bool(tag and self.tags.get(tag) != manifest.digest)
        self.images[manifest.digest] = manifest
        self.writes.append(f"tag {tag}" if tag else f"image {manifest.digest}")
        if tag:
            self.tags[tag] = manifest.digest
        return is_new


def image_of(*blobs: bytes) -> Manifest:
    """Return the manifest of an image whose config and layers are *blobs*."""
    config, *layers = [_descriptor("application/octet-stream", blob) for blob in blobs]
    data = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return Manifest.parse(json.dumps(data).encode())


def index_of(*children: Manifest) -> Manifest:
    """Return an index of images or other indexes."""
    entries = [_descriptor(child.media_type.value, child.content) for child in children]
    return Manifest.parse(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode())


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}
