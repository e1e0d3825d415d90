"""A repository and parameters that simulate writes, so that the function's code can run without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from .._assets.lambda_handler.errors import ImageError, NotFoundError
from .._assets.lambda_handler.oci import Descriptor, Digest, Manifest, Repository
from .._assets.lambda_handler.publish.ports import PublicRepository
from .live.records import KnownParameters


@dataclass
class RehearsedRepository:
    """
    A repository that keeps all writes in memory.

    Unlike ECR Public, it deletes an image even if an index lists it.

    Attributes:
        base: The real repository, for everything that was not written.
        tags: The tags that were moved or removed, with their current digests; None if removed.
        images: The images that were put or deleted; None if deleted.
        removed: The tags that were removed since ``begin``, each with its image.
        deleted: The images that were deleted since ``begin``.
    """

    base: PublicRepository
    tags: dict[str, Digest | None] = field(default_factory=dict)
    images: dict[Digest, Manifest | None] = field(default_factory=dict)
    removed: dict[str, Digest] = field(default_factory=dict)
    deleted: dict[Digest, None] = field(default_factory=dict)
    _read: dict[Digest, Manifest] = field(default_factory=dict)
    _resolved: dict[str, Digest | None] = field(default_factory=dict)
    _seen: set[Digest] = field(default_factory=set)

    def begin(self) -> None:
        """Clear ``removed`` and ``deleted``. The tags and images stay removed."""
        self.removed, self.deleted = {}, {}

    def copy(self) -> RehearsedRepository:
        """Return a copy with independent writes. Both share what was read."""
        return replace(self, tags=dict(self.tags), images=dict(self.images), removed={}, deleted={})

    @property
    def registry_id(self) -> str:
        """The id of its registry."""
        return self.base.registry_id

    @property
    def name(self) -> str:
        """Its name in that registry."""
        return self.base.name

    @property
    def repository(self) -> Repository:
        """Its address."""
        return self.base.repository

    @property
    def is_own(self) -> bool:
        """Whether its registry is ours."""
        return self.base.is_own

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Return the current digests of tags. Each tag is read once."""
        if unknown := [tag for tag in tags if tag not in self.tags and tag not in self._resolved]:
            found = self.base.resolve(unknown)
            self._resolved |= {tag: found.get(tag) for tag in unknown}
            self._seen |= set(found.values())
        now = {tag: self.tags[tag] if tag in self.tags else self._resolved[tag] for tag in tags}
        return {tag: digest for tag, digest in now.items() if digest is not None}

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return the current tags of images. Images that do not exist are omitted."""
        return self._now(digests, self.base.tags_of)

    def _now(
        self,
        digests: Iterable[Digest],
        read: Callable[[Iterable[Digest]], Mapping[Digest, frozenset[str]]],
    ) -> Mapping[Digest, frozenset[str]]:
        there = frozenset(digests) - {digest for digest, manifest in self.images.items() if manifest is None}
        found = {**{digest: frozenset[str]() for digest in there & self.images.keys()}, **read(there)}
        return {
            digest: frozenset(tags - self.tags.keys()) | {tag for tag, at in self.tags.items() if at == digest}
            for digest, tags in found.items()
        }

    def tags_read(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return the current tags of images. Each image is read once."""
        return self._now(digests, self.base.tags_read)

    def known_tags(self, digest: Digest) -> frozenset[str]:
        """Return the tags of an image that were read or written so far."""
        return self._now([digest], lambda _: {digest: self.base.known_tags(digest)}).get(digest, frozenset())

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return the digests of which the repository has no image now."""
        wanted = frozenset(digests)
        gone = frozenset(digest for digest in wanted & self.images.keys() if self.images[digest] is None)
        # An image with a tag exists.
        return gone | self.base.missing_images(wanted - self.images.keys() - self._seen)

    def blob_sizes(self, digests: Iterable[Digest]) -> Mapping[Digest, int | None]:
        """Return the digests of which the repository has a blob, each with its size."""
        return self.base.blob_sizes(digests)

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:  # noqa: ARG002 - simulated writes are visible immediately
        """Read a manifest. Each manifest is read once."""
        if (known := self.images.get(digest, self._read.get(digest))) is not None:
            return known
        if digest in self.images:
            message = f"the image {digest} is removed by this deployment"
            raise NotFoundError(message, operation="GET manifest")
        return self._read.setdefault(digest, self.base.manifest(digest))

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob."""
        return self.base.blob(blob)

    def upload(self, blob: Descriptor, content: Callable[[], Generator[bytes, None, None]]) -> None:
        """Do nothing."""

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """Record that *manifest* exists and *tag* points to it."""
        self.images[manifest.digest] = manifest
        self.deleted.pop(manifest.digest, None)
        if tag is not None:
            self.tags[tag] = manifest.digest
            self.removed.pop(tag, None)
        return True

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[str]]:
        """Record that tags of an image are removed, and the image with its last tag."""
        there = [tag for tag, at in self.resolve(tags).items() if at == digest]
        self._remove(digest, there)
        if there and not self.tags_of([digest]).get(digest):
            self._delete(digest)
        return [(digest, tag) for tag in there], frozenset()

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[Digest]]:
        """Record that images are deleted, with all their tags."""
        there = self.tags_of(digests)
        for digest, tags in there.items():
            self._remove(digest, tags)
            self._delete(digest)
        return [(digest, tag) for digest, tags in there.items() for tag in tags or ("",)], frozenset()

    def _remove(self, digest: Digest, tags: Iterable[str]) -> None:
        self.tags |= dict.fromkeys(tags)
        self.removed |= dict.fromkeys(tags, digest)

    def _delete(self, digest: Digest) -> None:
        self.images[digest] = None
        self.deleted[digest] = None


Texts = dict[tuple[str, str], dict[str, str | None]]
"""Written parameters, by Region and path, then by name; None if deleted."""


@dataclass(frozen=True, slots=True)
class RehearsedParameters:
    """
    Parameters that keep all writes in memory.

    Attributes:
        own: The real parameters with records of the resource itself.
        others: The real parameters with records of all resources.
        texts: The written parameters of all Regions.
        is_needed: Whether the record must be readable, because the source is
            mutable and only the record has the deployed digest. If not, a
            record that cannot be read counts as missing.
    """

    own: KnownParameters
    others: KnownParameters
    region: str
    texts: Texts
    is_needed: bool

    def read(self, name: str) -> str | None:
        """
        Return a string; None if it does not exist.

        Raises:
            AccessError: It cannot be read, but is needed.
        """
        written = self._below(name)
        if name in written:
            return written[name]
        try:
            return self.own.read(name)
        except ImageError:
            if self.is_needed:
                raise
            return None

    def write(self, name: str, text: str) -> bool:
        """Store a string. False, because nothing else deletes records during a rehearsal."""
        self._below(name)[name] = text
        return False

    def delete(self, name: str) -> None:
        """Record that a string was deleted."""
        self._below(name)[name] = None

    def list(self, path: str) -> Mapping[str, str]:
        """Return the strings directly below *path* by name, or only the written ones if the others cannot be read."""
        try:
            there = self.others.list(path)
        except ImageError:
            there = {}
        now = {**there, **self.texts.get((self.region, path), {})}
        return {name: text for name, text in now.items() if text is not None}

    def _below(self, name: str) -> dict[str, str | None]:
        return self.texts.setdefault((self.region, name.rpartition("/")[0]), {})
