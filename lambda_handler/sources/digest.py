"""An image of the same repository, by its digest: a retag."""

from __future__ import annotations

from dataclasses import dataclass

from ..oci import Digest, Manifest
from ..publish.ports import Ports
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

    def resolve(self, ports: Ports) -> Manifest:
        """Read the manifest of that digest."""
        return ports.destination.read(self.digest)
