"""
The sources of images: one module for each kind.

To add a kind, add a module with a class that implements ``Source``, and a line
in ``SOURCES``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from ..oci import Digest, Platform
from ..on_demand import load
from ..publish.content import Content
from ..publish.ports import SourcePorts
from ..values import Value

SOURCES: Mapping[str, str] = {
    "Digest": "digest.DigestSource",
    "Tag": "tag.TagSource",
    "Manifest": "manifest.ManifestSource",
    "Image": "image.RegistryImageSource",
    "Archive": "archive.ArchiveSource",
    "Index": "index.IndexSource",
}
"""The keys of the ``Source`` property, each with its module and class. A declaration has exactly one of them."""


class Source(Protocol):
    """A kind of source."""

    @classmethod
    def decode(cls, value: Value) -> Self:
        """
        Decode the source from its property.

        Raises:
            InvalidPropertiesError: Has all problems.
        """

    @property
    def pinned(self) -> Digest | None:
        """The digest of the image if the declaration determines it; None if it must be resolved."""

    @property
    def copies(self) -> bool:
        """Whether the image, or a part of it, comes from outside the repository that it is published in."""

    @property
    def needs_login(self) -> bool:
        """Whether the registry API of the destination is used, so that a login can be requested early."""

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """
        Read the manifests of the image that the source refers to now.

        Args:
            platforms: The platforms to keep in an index; empty for all.

        Raises:
            NotFoundError: The image does not exist.
            IntegrityError: Its content has the wrong digest or size.
            RuleViolationError: It does not support one of the platforms.
        """


def source_class(kind: str) -> type[Source]:
    """Return the class of a kind of source."""
    found: type[Source] = load(__name__, SOURCES[kind])
    return found


def decode_source(value: Value) -> Source:
    """
    Decode the ``Source`` property.

    Raises:
        InvalidPropertiesError: Has all problems.
    """
    kinds = value.fields(SOURCES)
    if len(kinds) != 1:
        value.refuse(f"has {len(kinds)} keys; expected exactly one of {', '.join(SOURCES)}")
    ((kind, inner),) = kinds.items()
    return source_class(kind).decode(inner)


__all__ = ["SOURCES", "Source", "decode_source", "source_class"]
