"""What refers to an image: the signatures, SBOMs and attestations that a copy takes along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import InvalidManifestError
from ..oci import Digest, Manifest
from ..side_by_side import side_by_side
from .content import MANIFESTS_MAX, READERS, Content, Upstream, descend

TAG_SUFFIXES = ("", ".sig", ".att", ".sbom")
"""
Of the tags ``sha256-<hex>…``.

Without any: the index of referrers that clients keep where a registry has no
list of them (OCI distribution-spec v1.1, "Referrers Tag Schema"). The others
are cosign's.
"""

LEVELS_MAX = 3
"""A signature of an SBOM of an image are two."""


def with_referrers(content: Content) -> Content:
    """
    Add all that refers to what is copied, and what refers to that.

    What the destination has already is not looked at: its referrers are there.

    Raises:
        InvalidManifestError: There are more than 2,000 manifests in all.
        NotFoundError: A list names what is not there.
    """
    origins = dict(content.origins)
    referrers: dict[Digest, Manifest] = {}
    tags: dict[str, Manifest] = {}
    subjects: Sequence[Digest] = tuple(origins)
    for _ in range(LEVELS_MAX):
        asked = [(subject, origins[subject]) for subject in subjects]
        answers = side_by_side(lambda each: _referring_to(*each), asked, at_once=READERS)
        found: dict[Digest, Manifest] = {}
        for subject, (manifests, tagged) in zip(subjects, answers, strict=True):
            tags |= tagged
            new = {digest: manifest for digest, manifest in manifests.items() if digest not in origins}
            origins |= dict.fromkeys(new, origins[subject])
            found |= new
        referrers |= found
        if len(referrers) > MANIFESTS_MAX:
            message = f"more than {MANIFESTS_MAX} manifests refer to the image"
            raise InvalidManifestError(message)
        subjects = tuple(found)
    return replace(content, origins=origins, referrers=tuple(referrers.values()), referrer_tags=tags)


def _referring_to(subject: Digest, origin: Upstream) -> tuple[Mapping[Digest, Manifest], Mapping[str, Manifest]]:
    """Return the manifests that refer to *subject*, children before parents, and the tags that some have."""
    names = [f"sha256-{subject.hex}{suffix}" for suffix in TAG_SUFFIXES]
    tags = {name: manifest for name in names if (manifest := origin.tagged(name)) is not None}
    manifests: dict[Digest, Manifest] = {}
    listed = [origin.manifest(entry.digest) for entry in origin.referrers(subject)]
    for root in (*listed, *tags.values()):
        descend(root, origin, manifests)
        manifests[root.digest] = root
    return manifests, tags
