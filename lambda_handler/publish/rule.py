"""What a rule is: a demand on a release. Where one is broken, nothing is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..oci import Digest
from .content import Content


@dataclass(frozen=True, slots=True)
class Release:
    """
    What a rule judges.

    Attributes:
        content: The image.
        tags: What is to point to it.
        found: Where those tags point now; one that does not exist is left out.
    """

    content: Content
    tags: tuple[str, ...]
    found: Mapping[str, Digest]

    @property
    def digest(self) -> Digest:
        """Of the image."""
        return self.content.root.digest


class Rule(ABC):
    """A rule with its values; only ``violations`` has to be given."""

    __slots__ = ()

    @abstractmethod
    def violations(self, release: Release) -> Iterator[str]:
        """Say each way in which *release* breaks the rule. Pure: neither clock nor network."""

    @property
    def needs_platforms(self) -> bool:
        """Whether it asks for ``content.platforms``, which are then looked up beforehand."""
        return False

    @property
    def pinned(self) -> Digest | None:
        """The one digest that the rule allows; None where it allows several."""
        return None

    @property
    def yields_to_rollback(self) -> bool:
        """Whether a rollback may break it: what a deployment did can always be undone."""
        return False

    def protects(self, tag: str) -> bool:
        """Whether the rule is about this very tag, so that it is put before others and never removed."""
        del tag
        return False
