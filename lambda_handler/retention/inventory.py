"""The images of a repository, and how they refer to each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..oci import Digest, Manifest

_REFERRER_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.[a-zA-Z0-9._-]+)?")
"""cosign's tags (``sha256-<hex>.sig``), and the tags of lists of referrers (``sha256-<hex>``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """
    An image, index or artifact of a repository.

    Attributes:
        tags: All its tags.
        pushed: When it was pushed, in seconds since the epoch. A new tag does not change that.
        size: The size that the service states, in bytes.
    """

    digest: Digest
    tags: frozenset[str] = frozenset()
    pushed: float = 0.0
    media_type: str = ""
    size: int = 0

    @property
    def tagged_for(self) -> frozenset[Digest]:
        """The images that its tags name as their subject, by the conventions of cosign and OCI."""
        return frozenset(filter(None, map(subject_of_tag, self.tags)))

    @property
    def own_tags(self) -> frozenset[str]:
        """Its tags that do not name a subject."""
        return frozenset(tag for tag in self.tags if subject_of_tag(tag) is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What a manifest refers to. It never changes, because the digest of a manifest is that of its bytes."""

    children: tuple[Digest, ...] = ()
    subject: Digest | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Links:
        """Return the links of a manifest."""
        subject = manifest.subject.digest if manifest.subject else None
        return cls(children=tuple(child.digest for child in manifest.children), subject=subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """
    All images of a repository at one time.

    Attributes:
        links: The links of every image.
        parents: The indexes that list an image, for the images that have any.
        attached: The signatures, SBOMs and lists of referrers of an image, for the images that have any.
    """

    images: Mapping[Digest, Image]
    links: Mapping[Digest, Links]
    parents: Mapping[Digest, frozenset[Digest]] = field(init=False)
    attached: Mapping[Digest, frozenset[Digest]] = field(init=False)

    def __post_init__(self) -> None:
        parents: dict[Digest, set[Digest]] = {}
        attached: dict[Digest, set[Digest]] = {}
        for digest in self.images:
            for child in self.children(digest):
                parents.setdefault(child, set()).add(digest)
            for subject in self.subjects(digest):
                attached.setdefault(subject, set()).add(digest)
        object.__setattr__(self, "parents", {child: frozenset(found) for child, found in parents.items()})
        object.__setattr__(self, "attached", {subject: frozenset(found) for subject, found in attached.items()})

    def children(self, digest: Digest) -> Iterator[Digest]:
        """Yield the children of an index that exist."""
        return (child for child in self.links[digest].children if child in self.images)

    def subjects(self, digest: Digest) -> frozenset[Digest]:
        """Return the existing images that an image refers to as their signature, SBOM or list of referrers."""
        return self.named(digest) & self.images.keys()

    def named(self, digest: Digest) -> frozenset[Digest]:
        """Return the images that an image names as its subject, whether they exist or not."""
        named = {*self.images[digest].tagged_for, *filter(None, [self.links[digest].subject])}
        return frozenset(named - {digest})

    def owners(self, digest: Digest) -> frozenset[Digest]:
        """
        Return the images that an image is a part of: the indexes that list it, and its subjects.

        It has none if it has a tag of its own. The rules select only images
        without an owner, and a part shares the fate of its owners.
        """
        if self.images[digest].own_tags:
            return frozenset()
        return self.parents.get(digest, frozenset()) | self.subjects(digest)


def subject_of_tag(tag: str) -> Digest | None:
    """Return the image that a tag names as its subject; None if it is another tag."""
    found = _REFERRER_TAG.fullmatch(tag)
    return Digest.parse(f"sha256:{found[1]}") if found else None
