"""The image must support certain platforms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..oci import Platform
from ..publish.rule import Release, Rule
from ..values import Value


@dataclass(frozen=True, slots=True)
class RequiredPlatforms(Rule):
    """
    The platforms that the image must support.

    Shape:
        ``"RequiredPlatforms": ["linux/amd64", "linux/arm64/v8"]``
    """

    platforms: tuple[Platform, ...]

    @classmethod
    def decode(cls, value: Value) -> RequiredPlatforms:
        """Decode ``RequiredPlatforms``."""
        return cls(value.each(lambda item: item.parse(Platform.parse)))

    def reads(self, release: Release) -> bool:
        """Whether the config of a single image has to be read, which may be at its source."""
        content = release.content
        return bool(self.platforms) and not content.root.is_index and content.looked_up is None

    def violations(self, release: Release) -> Iterator[str]:
        """Report the platforms that the image lacks, and those that it has."""
        available = release.content.platforms if self.platforms else frozenset()
        lacking = [
            str(wanted) for wanted in self.platforms if not any(platform.satisfies(wanted) for platform in available)
        ]
        if lacking:
            has = ", ".join(sorted(map(str, available))) or "none"
            yield f"the image lacks {', '.join(lacking)} of the RequiredPlatforms; its platforms are: {has}"
