"""Indexes that list more than their source holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import NotFoundError, RuleViolationError
from ..oci import Descriptor, Digest, Manifest, Platform
from ..oci.assemble import ATTESTED, only_entries

OPERATION = "reading an index"
_NAMED_MAX = 10


def without(
    index: Manifest, absent: Collection[Digest], platforms: Sequence[Platform]
) -> tuple[Manifest, tuple[str, ...]]:
    """
    Leave out of *index* what its source does not hold, and what attests that.

    Args:
        platforms: What was asked for; empty for whatever there is.

    Returns:
        The index of what is there, which has another digest, and what was left out.

    Raises:
        NotFoundError: No image is there.
        RuleViolationError: A platform that was asked for is not.
    """
    gone = {str(digest) for digest in absent}
    entries = list(enumerate(index.children))
    places = {
        place for place, child in entries if child.digest not in absent and child.annotations.get(ATTESTED) not in gone
    }
    there = {child.image_platform for place, child in entries if place in places} - {None}
    missing = [str(wanted) for wanted in platforms if not any(found and found.satisfies(wanted) for found in there)]
    if missing:
        message = f"the source lists an image for {', '.join(missing)}, and does not hold it"
        raise RuleViolationError([f"{message}; without platforms, what it holds is published"])
    if not places or (not there and any(child.image_platform for child in index.children)):
        named = ", ".join(sorted(_named(child) for _, child in entries)[:_NAMED_MAX])
        message = f"the index {index.digest} lists {len(entries)} manifests, and its source holds no image of them"
        msg = f"{message}: {named}"
        raise NotFoundError(msg, operation=OPERATION, hint="write or mirror it again with an image")
    left_out = tuple(dict.fromkeys(_named(child) for place, child in entries if place not in places))
    return only_entries(index, places), left_out


def _named(entry: Descriptor) -> str:
    about = entry.annotations.get(ATTESTED)
    what = f"an attestation of {about}" if about else str(entry.platform or entry.artifact_type or "a manifest")
    return f"{what} ({entry.digest})"
