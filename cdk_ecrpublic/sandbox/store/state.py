"""
The state of the sandbox: registries, repositories, images, tags, layers and uploads.

This module has values and lookups only. The rules for changes are in ``registries``,
``images`` and ``layers``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from .timeline import LATEST, Timeline, View

TagMap = dict[str, str]
"""Resource tags, from key to value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer or a config on disk."""

    digest: Digest
    size: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """
    A manifest as it was pushed, and what it refers to.

    Attributes:
        content: The bytes of the manifest.
        layers: The digests of the config and the layers.
        children: The digests of the manifests that an index lists.
        subject: The digest that a referrer refers to.
        artifact_type: The type of an OCI artifact; empty otherwise.
        artifact_media_type: The media type of the config; empty for an index.
        annotations: The annotations of the manifest, which lists of referrers show.
        size: The sum of the layer sizes in bytes; for an index, that of its largest child.
        pushed_at: The time of the first push, in seconds since the epoch.
    """

    content: bytes = field(repr=False)
    digest: Digest
    media_type: str
    layers: tuple[Digest, ...]
    children: tuple[Digest, ...]
    subject: Digest | None
    artifact_type: str
    artifact_media_type: str
    annotations: Mapping[str, str]
    size: int
    pushed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTag:
    """The digest that a tag points to, and since when."""

    digest: Digest
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMove:
    """
    One change of a tag.

    Attributes:
        before: The digest that the tag pointed to; empty for a new tag.
        after: The digest that the tag points to; empty for a deleted tag.
    """

    tag: str
    before: str
    after: str


@dataclass(slots=True, kw_only=True)
class Upload:
    """
    A layer that is being uploaded.

    Attributes:
        parts: The sizes of the parts in bytes, in order.
        hasher: The hash of all parts so far.
    """

    identity: str
    path: Path
    started_at: float
    parts: list[int] = field(default_factory=list)
    hasher: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def size(self) -> int:
        """The number of received bytes."""
        return sum(self.parts)


@dataclass(slots=True, kw_only=True)
class Repository:
    """
    A repository and its content. Tags and digests are in separate maps.

    Attributes:
        listed_by: The indexes that have ever listed an image.
        named: The tags that have ever pointed to an image.
    """

    account: str
    name: str
    created_at: float
    images: dict[Digest, Timeline[StoredImage]] = field(default_factory=dict)
    tags: dict[str, Timeline[StoredTag]] = field(default_factory=dict)
    layers: dict[Digest, Layer] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    policy: str | None = None
    catalog_data: Mapping[str, object] | None = None
    resource_tags: TagMap = field(default_factory=dict)
    listed_by: dict[Digest, dict[Digest, None]] = field(default_factory=dict, repr=False)
    named: dict[Digest, dict[str, None]] = field(default_factory=dict, repr=False)

    @property
    def arn(self) -> str:
        """The ARN, which has no Region."""
        return f"arn:aws:ecr-public::{self.account}:repository/{self.name}"

    def add_image(self, image: StoredImage, now: float) -> None:
        """Store an image."""
        self.images.setdefault(image.digest, Timeline()).set(image, now)
        for child in image.children:
            self.listed_by.setdefault(child, {})[image.digest] = None

    def point(self, tag: str, target: StoredTag | None, now: float) -> None:
        """Change a tag."""
        self.tags.setdefault(tag, Timeline()).set(target, now)
        if target:
            self.named.setdefault(target.digest, {})[tag] = None

    def image(self, digest: Digest, view: View = LATEST) -> StoredImage | None:
        """Return an image by its digest."""
        timeline = self.images.get(digest)
        return timeline.get(view) if timeline else None

    def tag(self, name: str, view: View = LATEST) -> StoredTag | None:
        """Return a tag."""
        timeline = self.tags.get(name)
        return timeline.get(view) if timeline else None

    def all_images(self, view: View = LATEST) -> Iterator[StoredImage]:
        """Yield the images, tagged or not."""
        return (image for timeline in self.images.values() if (image := timeline.get(view)))

    def all_tags(self, view: View = LATEST) -> Iterator[tuple[str, StoredTag]]:
        """Yield the tags with their names."""
        return ((name, tag) for name, timeline in self.tags.items() if (tag := timeline.get(view)))

    def tags_of(self, digest: Digest, view: View = LATEST) -> list[str]:
        """Return the names of the tags that point to an image."""
        named = ((name, self.tag(name, view)) for name in self.named.get(digest, ()))
        return [name for name, tag in named if tag and tag.digest == digest]


@dataclass(slots=True, kw_only=True)
class Registry:
    """
    An account's public registry.

    Attributes:
        default_alias: Created with the first repository; empty before.
        custom_alias: Requested by the owner; if set, it is the primary alias.
    """

    account: str
    default_alias: str = ""
    custom_alias: str = ""
    display_name: str | None = None
    repositories: dict[str, Repository] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The ARN of the registry."""
        return f"arn:aws:ecr-public::{self.account}:registry/{self.account}"

    @property
    def aliases(self) -> tuple[str, ...]:
        """All aliases, the primary one first."""
        return tuple(alias for alias in (self.custom_alias, self.default_alias) if alias)


def default_alias(account: str) -> str:
    """
    Derive an alias in the format of the service: ``p8v8e7e5``.

    References:
        Amazon ECR Public user guide, "Public registries": random letters and digits.
    """
    seed = hashlib.sha256(account.encode()).digest()
    return "".join(chr(ord("a") + seed[i] % 26) + str(seed[i + 1] % 10) for i in range(0, 8, 2))
