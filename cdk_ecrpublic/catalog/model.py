"""The content of a catalog, independent of its format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._assets.lambda_handler.errors import InvalidInputError, truncated_repr
from .._assets.lambda_handler.oci import Digest, PrivateEcr, Reference
from .problems import Position

RuleArguments = Mapping[str, Any]
"""The arguments of a method of ``ReleaseRule``, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """
    Options of ``PublicImage`` that several images of a catalog can share.

    ```python
    PublicImageCatalog.from_file(
        self, "Catalog", "images.yaml",
        defaults=ImageSettings(immutable_tags=("*.*.*",), include_referrers=True),
    )
    ```

    Attributes:
        platforms: The platforms to publish, as ``os/architecture[/variant]``. Default: all.
        required_platforms: The platforms that an image must support. Default: none.
        immutable_tags: Tags or tag patterns that must not move to another image. Default: none.
        include_referrers: Whether to copy referrers, such as signatures, with an image.
        rules: The arguments of ``ReleaseRule``'s methods by their names:
            ``{"forward_only": {"on_older": "refuse"}}``. A rule of an image
            replaces the same rule of the defaults. Default: none.
        sign_with: Who signs the image: a ``Signing``, or the arguments of one of
            its methods by its name, with a key by its ARN: ``{"kms": {"key":
            "arn:aws:kms:…"}}``. Default: it is not signed.
    """

    platforms: tuple[str, ...] = ()
    required_platforms: tuple[str, ...] = ()
    immutable_tags: tuple[str, ...] = ()
    include_referrers: bool = False
    rules: Mapping[str, RuleArguments] = field(default_factory=dict)
    sign_with: object = None


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest in a file next to the catalog."""

    path: Path


Source = Digest | Reference | ManifestFile
"""An image in the destination repository, an image in another one, or a manifest."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and its position in the file."""

    text: str
    at: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """
    One image of a repository.

    Attributes:
        at: The position in the file.
        tags: The tags in the order in which they are put.
        name: The ``id`` in the file, which becomes the construct id. Default: see ``key``.
    """

    at: Position
    source: Source
    tags: tuple[Tag, ...] = ()
    settings: ImageSettings = field(default_factory=ImageSettings)
    expected_digest: Digest | None = None
    name: str | None = None

    @property
    def digest(self) -> Digest | None:
        """The digest in the catalog; None for a manifest in a file."""
        return None if isinstance(self.source, ManifestFile) else _digest_of(self.source)

    @property
    def key(self) -> str:
        """
        The stable identity of the image in its repository.

        This is its name; otherwise its most specific tag, so that its digest
        may change; otherwise its digest or the name of its file.
        """
        if self.name:
            return self.name
        if self.tags:
            return max((tag.text for tag in self.tags), key=_specificity)
        return self.source.path.name if isinstance(self.source, ManifestFile) else str(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """
    The images of one repository.

    Attributes:
        name: The name without registry host and alias.
        at: Its first position in the file.
    """

    name: str
    at: Position
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """
    The content of one file.

    Attributes:
        registry: Alias or account id; None for the account of the stack.
    """

    registry: str | None = None
    repositories: tuple[Repository, ...] = ()


def private_ecr(reference: Reference) -> PrivateEcr | None:
    """Return the private ECR registry of an image; None if it is in any other registry."""
    return reference.repository.host.private_ecr


def _digest_of(source: Digest | Reference) -> Digest | None:
    return source if isinstance(source, Digest) else source.digest


def _specificity(tag: str) -> tuple[int, int, str]:
    """Order tags by specificity: ``1.4.2`` comes after ``1.4``, which comes after ``latest``."""
    return len(re.findall(r"[0-9]+", tag)), len(tag), tag


def parse_days(value: str) -> str:
    """
    Parse an age.

    Raises:
        InvalidInputError: It is not a number of days.
    """
    if not re.fullmatch("[1-9][0-9]{0,3} days?", value):
        message = f"{truncated_repr(value)} is not an age; expected a number of days, e.g. '7 days'"
        raise InvalidInputError(message)
    return value
