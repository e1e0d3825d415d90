"""Indexes that list manifests which their source does not have."""

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
    Remove the *absent* entries from an index, and their attestations.

    Args:
        platforms: The requested platforms; empty for all that exist.

    Returns:
        The new index, which has another digest, and the entries that were removed.

    Raises:
        NotFoundError: The source has no image of the index.
        RuleViolationError: The source does not have a requested platform.
    """
    gone = {str(digest) for digest in absent}
    entries = list(enumerate(index.children))
    places = {
        place for place, child in entries if child.digest not in absent and child.annotations.get(ATTESTED) not in gone
    }
    there = {child.image_platform for place, child in entries if place in places} - {None}
    missing = [str(wanted) for wanted in platforms if not any(found and found.satisfies(wanted) for found in there)]
    if missing:
        message = f"the source lists an image for {', '.join(missing)}, but does not have it"
        raise RuleViolationError([f"{message}; without platforms, the images that it has are published"])
    if not places or (not there and any(child.image_platform for child in index.children)):
        named = ", ".join(sorted(_named(child) for _, child in entries)[:_NAMED_MAX])
        message = f"the index {index.digest} lists {len(entries)} manifests, but its source has no image of them"
        msg = f"{message}: {named}"
        raise NotFoundError(msg, operation=OPERATION, hint="write or mirror it again with an image")
    left_out = tuple(dict.fromkeys(_named(child) for place, child in entries if place not in places))
    return only_entries(index, places), left_out


def _named(entry: Descriptor) -> str:
    about = entry.annotations.get(ATTESTED)
    what = f"an attestation of {about}" if about else str(entry.platform or entry.artifact_type or "a manifest")
    return f"{what} ({entry.digest})"
