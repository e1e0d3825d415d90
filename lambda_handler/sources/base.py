"""What all kinds of source have in common."""

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
        Read the source from its property.

        Raises:
            InvalidPropertiesError: All that is wrong with it.
        """

    @property
    def pinned(self) -> Digest | None:
        """The digest that the source always has; None when only resolving it tells."""

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """
        Read the exact manifests that the source stands for now.

        Args:
            platforms: Only these, out of an index; empty for all.

        Raises:
            NotFoundError: There is no such image.
            IntegrityError: It is not what it should be.
            RuleViolationError: It lacks a platform.
        """
