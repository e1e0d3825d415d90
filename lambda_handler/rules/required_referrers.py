"""Signatures, SBOMs and attestations must be attached to the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInputError, truncated_repr
from ..oci import Digest, Manifest
from ..publish.attachments import (
    MESSAGE_SIGNATURE,
    Attached,
    attached_at_source,
    attached_by,
    attached_in_destination,
)
from ..publish.rule import Release, Rule
from ..values import Value

_SPDX = ("application/spdx*", "text/spdx*", "https://spdx.dev/Document*")
_CYCLONEDX = ("application/vnd.cyclonedx*", "https://cyclonedx.org/bom*")

SHORT_NAMES: Mapping[str, tuple[str, ...]] = {
    "sbom": (*_SPDX, *_CYCLONEDX, "application/vnd.syft*"),
    "spdx": _SPDX,
    "cyclonedx": _CYCLONEDX,
    "provenance": ("https://slsa.dev/provenance/*",),
    "signature": (
        "application/vnd.dev.cosign.simplesigning.*",
        "application/vnd.dev.cosign.artifact.sig.*",
        "application/vnd.cncf.notary.signature",
        "https://sigstore.dev/cosign/sign/*",
        MESSAGE_SIGNATURE,
    ),
}
"""
What each short name stands for.

References:
    in-toto/attestation, spec/predicates; sigstore/cosign, pkg/types; notaryproject/specifications.
"""

TYPE_MAX_CHARACTERS = 255
SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class ReferrerType:
    """A short name; or an artifact type or predicate type, with ``*`` at the end for any continuation."""

    name: str

    @classmethod
    def parse(cls, text: str) -> ReferrerType:
        """
        Parse a short name or a type.

        Raises:
            InvalidInputError: It is neither.
        """
        is_type = "/" in text and "*" not in text[:-1] and len(text) <= TYPE_MAX_CHARACTERS
        if text in SHORT_NAMES or (is_type and text.isascii() and text.isprintable() and " " not in text):
            return cls(text)
        message = (
            f"{truncated_repr(text)} is not the type of a referrer; expected one of {', '.join(SHORT_NAMES)}; or an "
            "artifact type or predicate type, e.g. 'application/sarif+json' or 'https://slsa.dev/provenance/v1', which "
            "may end with '*'"
        )
        raise InvalidInputError(message)

    def is_among(self, types: Iterable[str]) -> bool:
        """Whether one of *types* is of this kind."""
        patterns = SHORT_NAMES.get(self.name, (self.name,))
        return any(
            each.startswith(pattern[:-1]) if pattern.endswith("*") else each == pattern
            for each in types
            for pattern in patterns
        )


@dataclass(frozen=True, slots=True)
class RequiredReferrers(Rule):
    """
    What must be attached to the image; for an index, to the index or to the image of each platform.

    Nothing is verified: any signature counts.

    Attributes:
        each_platform: Whether it must be attached to the image of each platform,
            even if it is attached to the index.

    Shape:
        ``"RequiredReferrers": {"Types": ["sbom", "https://slsa.dev/provenance/v1"],
        "EachPlatform": "true"}``; ``EachPlatform`` is optional.
    """

    types: tuple[ReferrerType, ...]
    each_platform: bool = False

    @classmethod
    def decode(cls, value: Value) -> RequiredReferrers:
        """Decode ``RequiredReferrers``."""
        fields = value.fields({"Types", "EachPlatform"})
        types = fields["Types"].each(lambda item: item.parse(ReferrerType.parse)) if "Types" in fields else ()
        if not types:
            value.refuse("Types is missing or empty; expected at least one type")
        return cls(types, "EachPlatform" in fields and fields["EachPlatform"].boolean())

    def reads(self, release: Release) -> bool:
        """Return True."""
        del release
        return True

    def violations(self, release: Release) -> Iterator[str]:
        """Report what will not be attached to the published image, what will be, and what to do."""
        root = release.content.root
        images = [root.digest, *_platforms(root)]
        found = [attached_by(release)]
        if self._lacking(root, found):
            found.append(attached_in_destination(release, images))
        lacking = self._lacking(root, found)
        if not lacking:
            return
        at_source = self._lacking(root, [*found, attached_at_source(release)])
        if uncopied := [name for name in lacking if name not in at_source]:
            remedy = f"the source has {', '.join(uncopied)}, which is copied only with IncludeReferrers"
        else:
            where = "the image of each platform" if self.each_platform and root.is_index else "the image"
            remedy = f"attach it to {where}, or remove it from RequiredReferrers"
        types = sorted({each for attached in found for image in images for each in attached.types.get(image, ())})
        more = f" and {len(types) - SHOWN_MAX} more" if len(types) > SHOWN_MAX else ""
        yield (
            f"the image lacks {', '.join(lacking.values())} of the RequiredReferrers; attached to it: "
            f"{', '.join(each[:TYPE_MAX_CHARACTERS] for each in types[:SHOWN_MAX]) or 'nothing'}{more}; {remedy}"
        )

    def _lacking(self, root: Manifest, found: Sequence[Attached]) -> dict[str, str]:
        """Return the types that are not attached, each with the platforms that lack it if others have it."""

        def has(image: Digest) -> bool:
            return any(wanted.is_among(attached.types.get(image, ())) for attached in found)

        platforms, lacking = _platforms(root), {}
        for wanted in self.types:
            without = [name for digest, name in platforms.items() if not has(digest)]
            if (platforms and not without) or (has(root.digest) and not (self.each_platform and platforms)):
                continue
            is_partial = len(without) < len(platforms) or has(root.digest)
            lacking[wanted.name] = f"{wanted.name} (for {', '.join(without)})" if is_partial else wanted.name
        return lacking


def _platforms(root: Manifest) -> dict[Digest, str]:
    """Return the platforms of an index, by the digests of their images."""
    return {child.digest: str(child.image_platform) for child in root.children if child.image_platform is not None}
