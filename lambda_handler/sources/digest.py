"""An image of the same repository, by its digest: a retag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..oci import Digest, Platform
from ..publish.content import Content, present
from ..publish.ports import GONE_SECONDS, SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True)
class DigestSource:
    """
    The image with this digest in the repository that is published to.

    Shape:
        ``"Digest": "sha256:…"``
    """

    digest: Digest

    @classmethod
    def decode(cls, value: Value) -> DigestSource:
        """Read ``Source.Digest``."""
        return cls(value.parse(Digest.parse))

    @property
    def pinned(self) -> Digest:
        """What it is declared by."""
        return self.digest

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Read the manifest of that digest; what it refers to is in place."""
        # It may have been pushed a moment ago; or another declaration is removing its last tag, and puts it back.
        return present(ports.destination.manifest(self.digest, wait_seconds=GONE_SECONDS), ports.destination, platforms)
