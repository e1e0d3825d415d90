"""The image must have a certain digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..oci import Digest
from ..publish.rule import Release, Rule
from ..values import Value


@dataclass(frozen=True, slots=True)
class ExpectedDigest(Rule):
    """
    The digest that the image must have.

    Shape:
        ``"ImageDigest": "sha256:…"``
    """

    digest: Digest

    @classmethod
    def decode(cls, value: Value) -> ExpectedDigest:
        """Decode ``ImageDigest``."""
        return cls(value.parse(Digest.parse))

    @property
    def pinned(self) -> Digest:
        """The expected digest."""
        return self.digest

    @property
    def applies_to_undo(self) -> bool:
        """True: an undo restores the declared image and no other."""
        return True

    def violations(self, release: Release) -> Iterator[str]:
        """Refuse any other digest."""
        if release.digest != self.digest:
            yield f"the source has the digest {release.digest}, but ImageDigest declares {self.digest}"
