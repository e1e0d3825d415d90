"""What a catalog says, whatever format it says it in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .._assets.lambda_handler.oci import Digest, PrivateEcr, Reference
from .problems import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """
    Options of ``PublicImage``, by their names there, that many images of a catalog share.

    Attributes:
        platforms: Only these are published, as ``os/architecture[/variant]``. Default: all.
        required_platforms: What an image must run on. Default: anything.
        immutable_tags: Tags, or patterns of tags, that may not move to another image. Default: none.
        include_referrers: Whether signatures and the like come along with a copied image.
    """

    platforms: tuple[str, ...] = ()
    required_platforms: tuple[str, ...] = ()
    immutable_tags: tuple[str, ...] = ()
    include_referrers: bool = False


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest that lies in a file beside the catalog."""

    path: Path


Source = Digest | Reference | ManifestFile
"""An image of the same repository, of another one, or a manifest."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and where the file says it."""

    text: str
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """
    One image of a repository.

    Attributes:
        at: Where the file says it.
        tags: In the order in which they are put.
        name: What the file calls it (``id``); names the construct. Default: see ``key``.
    """

    at: Position
    source: Source
    tags: tuple[Tag, ...] = ()
    settings: ImageSettings = field(default_factory=ImageSettings)
    expected_digest: Digest | None = None
    name: str | None = None

    @property
    def digest(self) -> Digest | None:
        """The digest that the file names; None for a manifest in a file."""
        return None if isinstance(self.source, ManifestFile) else _digest_of(self.source)

    @property
    def key(self) -> str:
        """
        What tells it from the other images of its repository, for as long as it is deployed.

        Its name; else its most telling tag, so that a digest may change in
        place; else its digest or the name of its file.
        """
        if self.name:
            return self.name
        if self.tags:
            return max((tag.text for tag in self.tags), key=_tells)
        return self.source.path.name if isinstance(self.source, ManifestFile) else str(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """
    The images of one repository.

    Attributes:
        name: Without registry host and alias.
        at: Where the file says it first.
    """

    name: str
    at: Position
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """
    What one file says.

    Attributes:
        registry: Alias or account id; None is the stack's own account.
    """

    registry: str | None = None
    repositories: tuple[Repository, ...] = ()


def private_ecr(reference: Reference) -> PrivateEcr | None:
    """Return whose registry of private ECR an image is in; None if it is in another registry."""
    return reference.repository.host.private_ecr


def _digest_of(source: Digest | Reference) -> Digest | None:
    return source if isinstance(source, Digest) else source.digest


def _tells(tag: str) -> tuple[int, int, str]:
    """Order tags by how much they tell: ``1.4.2`` more than ``1.4``, and that more than ``latest``."""
    return len(re.findall(r"[0-9]+", tag)), len(tag), tag
