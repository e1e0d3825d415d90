"""The protocol of all sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from ..oci import Digest, Platform
from ..publish.content import Content
from ..publish.ports import SourcePorts
from ..values import Value


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
