"""
What has to be done, as a value.

``make_plan`` is pure: no clock, no network. Idempotence is a property of the
plan: after a success, the same declaration makes an empty one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import RuleViolationError
from ..oci import Digest, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """An image and the tags that must point to it, in the order in which they are put."""

    manifest: Manifest
    tags: tuple[str, ...]
    expected_digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the repository holds: where the desired tags point, and whether the image is there."""

    tags: Mapping[str, Digest]
    has_image: bool


@dataclass(frozen=True, slots=True)
class TagMove:
    """A tag that must be put; *before* is None when it does not exist yet."""

    tag: str
    before: Digest | None

    def __str__(self) -> str:
        return f"{self.tag} from {self.before}" if self.before else f"{self.tag} (new)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    The writes that lead from what is observed to what is desired.

    Attributes:
        put_image: The image must be stored by digest, because no tag brings it.
        moves: The tags to put, in order.
        unchanged: The tags that point to the image already.
    """

    manifest: Manifest
    put_image: bool
    moves: tuple[TagMove, ...]
    unchanged: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be written."""
        return not self.put_image and not self.moves

    def __str__(self) -> str:
        parts = (
            f"put {self.manifest.digest}" if self.put_image else f"image {self.manifest.digest}",
            f"put {', '.join(map(str, self.moves))}" if self.moves else "",
            f"unchanged: {', '.join(self.unchanged)}" if self.unchanged else "",
        )
        return "; ".join(part for part in parts if part)

    def summary(self) -> dict[str, object]:
        """
        Return the plan as a query reads it.

        Shape:
            ``{"imageDigest": "sha256:…", "putImage": false, "moves": ["1.4
            from sha256:…", "1.4.2 (new)"], "unchanged": ["latest"]}``
        """
        return {
            "imageDigest": str(self.manifest.digest),
            "putImage": self.put_image,
            "moves": [str(move) for move in self.moves],
            "unchanged": list(self.unchanged),
        }


def make_plan(desired: Desired, observed: Observed) -> Plan:
    """
    Compare *desired* with *observed*.

    Raises:
        RuleViolationError: The declaration itself forbids it; all violations
            are named, and nothing was written.
    """
    if violations := list(_violations(desired)):
        raise RuleViolationError(violations)
    digest = desired.manifest.digest
    unchanged = tuple(tag for tag in desired.tags if observed.tags.get(tag) == digest)
    moves = tuple(TagMove(tag, observed.tags.get(tag)) for tag in desired.tags if tag not in unchanged)
    return Plan(
        manifest=desired.manifest,
        put_image=not desired.tags and not observed.has_image,
        moves=moves,
        unchanged=unchanged,
    )


def _violations(desired: Desired) -> list[str]:
    digest = desired.manifest.digest
    if desired.expected_digest in {None, digest}:
        return []
    return [f"the source has the digest {digest}, but ImageDigest declares {desired.expected_digest}"]
