"""The platform that an image runs on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import InvalidPlatformError, truncated_repr

_IMPLIED_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
"""
The variant of an architecture without one.

References:
    containerd/platforms, ``normalizeArch``.
"""

_PART = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """
    Operating system, architecture and variant, as Go names them.

    >>> str(Platform.parse("linux/arm64/v8"))
    'linux/arm64/v8'

    References:
        OCI image-spec v1.1, image-index.md, ``platform``.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """
        Parse ``os/architecture[/variant]``.

        Raises:
            InvalidPlatformError: *text* has another form.
        """
        parts = text.split("/")
        if len(parts) not in {2, 3} or not all(_PART.fullmatch(part) for part in parts):
            message = (
                f"{truncated_repr(text)} is not a platform; expected os/architecture[/variant], e.g. 'linux/arm64/v8'"
            )
            raise InvalidPlatformError(message)
        return cls(parts[0], parts[1], "".join(parts[2:]))

    def satisfies(self, wanted: Platform) -> bool:
        """
        Whether an image for this platform matches *wanted*.

        A *wanted* platform without a variant matches every variant. ``arm64``
        equals ``arm64/v8``, ``arm`` equals ``arm/v7`` and ``amd64`` equals
        ``amd64/v1``, as in container tools, because most configs omit these.
        """
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and wanted.variant in {"", self._full_variant}

    @property
    def _full_variant(self) -> str:
        return self.variant or _IMPLIED_VARIANTS.get(self.architecture, "")

    def with_variant_of(self, declared: Platform) -> Platform:
        """Return this platform with the declared variant if it has none."""
        return replace(self, variant=self.variant or declared.variant)

    @property
    def is_unknown(self) -> bool:
        """Whether this is the platform of an attestation (``unknown/unknown``)."""
        return "unknown" in {self.os, self.architecture}

    def __str__(self) -> str:
        parts = (self.os, self.architecture, self.variant)
        return "/".join(part for part in parts if part)
