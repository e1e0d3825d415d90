"""Tags that must not move once they exist: ECR Public has no setting for that."""

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
    Tags or tag patterns that must not move to another image.

    In a pattern, ``*`` matches any characters and ``?`` matches one.

    Shape:
        ``"ImmutableTags": ["1.*", "stable"]``
    """

    patterns: tuple[str, ...]

    @classmethod
    def decode(cls, value: Value) -> ImmutableTags:
        """Decode ``ImmutableTags``."""
        return cls(value.each(lambda item: item.parse(parse_tag_pattern)))

    def protects(self, tag: str) -> bool:
        """Whether *tag* is immutable. Immutable tags are put first, so that a failure leaves all other tags unmoved."""
        return any(fnmatchcase(tag, pattern) for pattern in self.patterns)

    def violations(self, release: Release) -> Iterator[str]:
        """Report each immutable tag that would move."""
        for tag in filter(self.protects, release.tags):
            found = release.found.get(tag)
            if found not in {None, release.digest} and tag not in release.left:
                yield (
                    f"tag {tag!r} is immutable: it points to {found} and must not move to {release.digest}; "
                    "release with another tag, or remove this one from ImmutableTags"
                )
