"""A repository in which nothing is removed for real: what follows from a removal is seen without doing it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .._assets.lambda_handler.oci import Descriptor, Digest, Manifest, Repository
from .._assets.lambda_handler.publish.ports import PublicRepository


@dataclass
class Rehearsal:
    """
    A repository that only remembers what is done to it.

    One thing only the service knows: that an index lists an image, which
    therefore stays.

    Attributes:
        base: What it is like otherwise: the real one, or an earlier rehearsal.
        tags: Tags that point elsewhere by now.
        removed: Tags that are gone by now, each with the image that it was of.
        deleted: Images that are gone by now.
    """

    base: PublicRepository
    tags: dict[str, Digest] = field(default_factory=dict)
    removed: dict[str, Digest] = field(default_factory=dict)
    deleted: list[Digest] = field(default_factory=list)

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
        """Return where *tags* point by now."""
        found = self.base.resolve([tag for tag in tags if tag not in self._touched])
        return {**found, **{tag: self.tags[tag] for tag in tags if tag in self.tags}}

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Return all tags of those of *digests* that are in the repository already."""
        there = self.base.tags_of(set(digests).difference(self.deleted))
        return {
            digest: frozenset(tags - self._touched) | {tag for tag, at in self.tags.items() if at == digest}
            for digest, tags in there.items()
        }

    @property
    def _touched(self) -> frozenset[str]:
        return frozenset({*self.tags, *self.removed})

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that are not there, or not any more."""
        wanted = frozenset(digests)
        return wanted - self.tags_of(wanted).keys()

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that are not there."""
        return self.base.missing_blobs(digests)

    def manifest(self, digest: Digest) -> Manifest:
        """Read a manifest."""
        return self.base.manifest(digest)

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob."""
        return self.base.blob(blob)

    def upload(self, blob: Descriptor, content: Callable[[], Generator[bytes, None, None]]) -> None:
        """Store nothing."""

    def put(self, manifest: Manifest, tag: str | None) -> None:
        """Remember that *tag* points to *manifest*, which is there."""
        if manifest.digest in self.deleted:
            self.deleted.remove(manifest.digest)
        if tag is not None:
            self.removed.pop(tag, None)
            self.tags[tag] = manifest.digest

    def remove_tag(self, tag: str) -> bool:
        """Remember that a tag is gone, and its image if that has no other."""
        if (digest := self.resolve([tag]).get(tag)) is not None:
            self._remove(tag, digest)
            if not self.tags_of([digest]).get(digest):
                self.deleted.append(digest)
        return True

    def remove_images(self, digests: Sequence[Digest]) -> frozenset[Digest]:
        """Remember that images are gone, with all their tags."""
        for digest, tags in self.tags_of(digests).items():
            for tag in tags:
                self._remove(tag, digest)
            self.deleted.append(digest)
        return frozenset()

    def _remove(self, tag: str, digest: Digest) -> None:
        self.tags.pop(tag, None)
        self.removed[tag] = digest
