"""An image in the destination repository, by its digest: a retag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..oci import Digest, Platform
from ..publish.content import Content, content_in_destination
from ..publish.ports import GONE_SECONDS, SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True)
class DigestSource:
    """
    The image with this digest in the destination repository.

    Shape:
        ``"Digest": "sha256:…"``
    """

    digest: Digest

    @classmethod
    def decode(cls, value: Value) -> DigestSource:
        """Decode ``Source.Digest``."""
        return cls(value.parse(Digest.parse))

    @property
    def pinned(self) -> Digest:
        """The declared digest."""
        return self.digest

    @property
    def copies(self) -> bool:
        """False: the image is in the repository."""
        return False

    @property
    def needs_login(self) -> bool:
        """True: the manifest is read."""
        return True

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Read the manifest with that digest; everything below it is in the repository."""
        # The image may have just been pushed, or another resource may be removing its last tag and will put it back.
        return content_in_destination(
            ports.destination.manifest(self.digest, wait_seconds=GONE_SECONDS), ports.destination, platforms
        )
