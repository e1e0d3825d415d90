"""Tags that stay where they are once they are put: ECR Public itself cannot promise that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..oci import parse_tag_pattern
from ..publish.rule import Release, Rule
from ..values import Value


@dataclass(frozen=True, slots=True)
class ImmutableTags(Rule):
    """
    Tags, or patterns of them, that may not move to another image.

    In a pattern ``*`` is any text and ``?`` any character.

    Shape:
        ``"ImmutableTags": ["1.*", "stable"]``
    """

    patterns: tuple[str, ...]

    @classmethod
    def decode(cls, value: Value) -> ImmutableTags:
        """Read ``ImmutableTags``."""
        return cls(value.each(lambda item: item.parse(parse_tag_pattern)))

    @property
    def yields_to_rollback(self) -> bool:
        """What a deployment moved, its rollback may always move back."""
        return True

    def protects(self, tag: str) -> bool:
        """Whether *tag* is one of them. Put first: where it cannot be put after all, no other one has moved yet."""
        return any(fnmatchcase(tag, pattern) for pattern in self.patterns)

    def violations(self, release: Release) -> Iterator[str]:
        """Name each that would move."""
        for tag in filter(self.protects, release.tags):
            found = release.found.get(tag)
            if found not in {None, release.digest}:
                yield (
                    f"tag {tag!r} is immutable: it points to {found}, and may not move to {release.digest}; "
                    "release under another tag, or take this one out of ImmutableTags"
                )
