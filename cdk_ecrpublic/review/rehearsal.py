"""A repository and records in which nothing is written for real: what follows from a write is seen without doing it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from .._assets.lambda_handler.errors import ImageError, NotFoundError
from .._assets.lambda_handler.oci import Descriptor, Digest, Manifest, Repository
from .._assets.lambda_handler.publish.ports import PublicRepository
from .live.memories import KnownParameters


@dataclass
class RehearsedRepository:
    """
    A repository that only remembers what is done to it.

    One thing only the service knows: that an index lists an image, which
    therefore stays.

    Attributes:
        base: What it is like otherwise.
        tags: Tags that were moved or removed, each with where it points by now; None: nowhere.
        images: Images that were put or deleted; None: deleted.
        removed: Tags that were removed since ``begin``, each with the image that it was of.
        deleted: Images that were deleted since ``begin``.
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
        """Forget what was removed until now; it stays removed."""
        self.removed, self.deleted = {}, {}

    def copy(self) -> RehearsedRepository:
        """Return one to go on with in another way; what was read is read for both."""
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
        """Return where *tags* point by now; each is asked for once."""
        if unknown := [tag for tag in tags if tag not in self.tags and tag not in self._resolved]:
            found = self.base.resolve(unknown)
            self._resolved |= {tag: found.get(tag) for tag in unknown}
            self._seen |= set(found.values())
        now = {tag: self.tags[tag] if tag in self.tags else self._resolved[tag] for tag in tags}
        return {tag: digest for tag, digest in now.items() if digest is not None}

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of those of *digests* that are there by now."""
        there = frozenset(digests) - {digest for digest, manifest in self.images.items() if manifest is None}
        found = {**{digest: frozenset[str]() for digest in there & self.images.keys()}, **self.base.tags_of(there)}
        return {
            digest: frozenset(tags - self.tags.keys()) | {tag for tag, at in self.tags.items() if at == digest}
            for digest, tags in found.items()
        }

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that are not there, or not any more."""
        wanted = frozenset(digests)
        gone = frozenset(digest for digest in wanted & self.images.keys() if self.images[digest] is None)
        # What a tag points to is there.
        return gone | self.base.missing_images(wanted - self.images.keys() - self._seen)

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that are not there already."""
        return self.base.missing_blobs(digests)

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:  # noqa: ARG002 - what is rehearsed is seen at once
        """Read a manifest, each once."""
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
        """Store nothing."""

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        """Remember that *manifest* is there, and that *tag* points to it."""
        self.images[manifest.digest] = manifest
        self.deleted.pop(manifest.digest, None)
        if tag is not None:
            self.tags[tag] = manifest.digest
            self.removed.pop(tag, None)
        return True

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[str]]:
        """Remember that tags of an image are gone, and the image itself if it has no other."""
        there = [tag for tag, at in self.resolve(tags).items() if at == digest]
        self._remove(digest, there)
        if there and not self.tags_of([digest]).get(digest):
            self._delete(digest)
        return [(digest, tag) for tag in there], frozenset()

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], AbstractSet[Digest]]:
        """Remember that images are gone, with all their tags."""
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
"""What was written, by Region and path, and by name; None: deleted."""


@dataclass(frozen=True, slots=True)
class RehearsedParameters:
    """
    Parameters that only remember what is written.

    Attributes:
        own: What is there otherwise, of the resource itself.
        others: Likewise, of all resources.
        texts: What was written, in all Regions.
        is_needed: A source may move, so that its record alone tells which
            image was deployed. Otherwise what may not be read counts as not there.
    """

    own: KnownParameters
    others: KnownParameters
    region: str
    texts: Texts
    is_needed: bool

    def read(self, name: str) -> str | None:
        """
        Return the text; None when there is none.

        Raises:
            AccessError: It may not be read, and is needed.
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

    def write(self, name: str, text: str) -> None:
        """Store a string."""
        self._below(name)[name] = text

    def delete(self, name: str) -> None:
        """Record that a string was deleted."""
        self._below(name)[name] = None

    def list(self, path: str) -> Mapping[str, str]:
        """Return name and text of all that is directly below *path*, as far as it may be read."""
        try:
            there = self.others.list(path)
        except ImageError:
            there = {}
        now = {**there, **self.texts.get((self.region, path), {})}
        return {name: text for name, text in now.items() if text is not None}

    def _below(self, name: str) -> dict[str, str | None]:
        return self.texts.setdefault((self.region, name.rpartition("/")[0]), {})
