"""The ports of the monitor: protocols for what it needs from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..oci import Digest
from ..publish.ports import SourcePorts
from ..spec import Declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedImage:
    """
    One image of a stack as it was deployed.

    Attributes:
        owner: ``<Region>.<stack>.<logical id>``.
        digest: The image that was deployed.
        ports: What the image is compared with.
    """

    owner: str
    declaration: Declaration
    digest: Digest
    ports: SourcePorts


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """
    A stack at one time.

    Attributes:
        version: Differs after each operation on the stack; empty while one is in progress.
        images: Its images.
        problems: Why other images are not known, by owner.
    """

    version: str
    images: Sequence[DeployedImage] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


class MonitoredStack(Protocol):
    """A stack whose images are monitored. Each method may raise RemoteError."""

    @property
    def name(self) -> str:
        """Its name with the Region: ``us-east-1.Agent``."""

    def read(self) -> Deployment:
        """Read what is deployed; without images while an operation is in progress."""

    def version(self) -> str:
        """Return ``Deployment.version`` as it is now."""


class StateStore(Protocol):
    """A short text with versions."""

    def read(self, version: int | None = None) -> tuple[str, int]:
        """Return the text and its version; without *version*, the current ones."""

    def write(self, text: str) -> int:
        """Store a text of at most 4096 bytes; return its version, one more than that of the text before."""
