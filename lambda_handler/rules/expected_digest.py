"""The source must turn out to be one certain image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..oci import Digest
from ..publish.rule import Release, Rule
from ..values import Value


@dataclass(frozen=True, slots=True)
class ExpectedDigest(Rule):
    """
    The digest that the source must have.

    Shape:
        ``"ImageDigest": "sha256:…"``
    """

    digest: Digest

    @classmethod
    def decode(cls, value: Value) -> ExpectedDigest:
        """Read ``ImageDigest``."""
        return cls(value.parse(Digest.parse))

    @property
    def pinned(self) -> Digest:
        """The digest itself."""
        return self.digest

    def violations(self, release: Release) -> Iterator[str]:
        """Refuse every other image."""
        if release.digest != self.digest:
            yield f"the source has the digest {release.digest}, but ImageDigest declares {self.digest}"
