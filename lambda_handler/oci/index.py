"""
Make indexes.

The same entries always make the same bytes, in whatever order they are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping

from ..errors import InvalidManifestError
from . import _write
from .descriptor import Descriptor
from .manifest import Manifest
from .mediatype import ManifestMediaType
from .platform import Platform

ATTESTED = "vnd.docker.reference.digest"
"""The annotation by which BuildKit ties an attestation's entry to the image that it is about."""


def assemble_index(
    entries: Iterable[Descriptor],
    *,
    media_type: ManifestMediaType = ManifestMediaType.OCI_INDEX,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """
    Write an index of *entries*.

    They are sorted by platform, attestations last, then by digest. One image
    may run on several platforms, and has an entry for each. An entry that is
    given twice is written once; where the two differ, the one counts that is
    sorted last, whichever was given first.

    Raises:
        InvalidManifestError: *media_type* is no index, or a Docker list is to
            have what only OCI knows.
    """
    if not media_type.is_index:
        message = f"{media_type.value!r} is not the media type of an index"
        raise InvalidManifestError(message)
    if media_type is ManifestMediaType.DOCKER_LIST and annotations:
        message = "a Docker manifest list has no annotations; leave them out, or make an OCI index"
        raise InvalidManifestError(message)
    unique = {(entry.digest, entry.platform): entry for entry in sorted(entries, key=_order)}
    data: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media_type.value,
        "manifests": [_write.entry(entry) for entry in sorted(unique.values(), key=_order)],
    }
    if annotations:
        data["annotations"] = dict(sorted(annotations.items()))
    return Manifest.parse(_write.dump(data))


def filter_index(index: Manifest, keep: Callable[[Platform], bool]) -> Manifest:
    """
    Write *index* again with only the platforms to *keep*, and the attestations of those.

    Everything else that the index says of itself and of the kept entries
    stays, in its order. An index of which everything is kept is returned as
    it is, to the byte.

    Raises:
        InvalidManifestError: Nothing would be left.
    """
    places = _kept(index, keep)
    if not places:
        has = ", ".join(sorted(str(child.platform) for child in index.children if child.platform)) or "none"
        message = f"the index has none of the platforms asked for; it has: {has}"
        raise InvalidManifestError(message)
    return only_entries(index, places)


def only_entries(index: Manifest, places: Collection[int]) -> Manifest:
    """
    Write *index* again with only the entries at *places*, counted from 0.

    Everything else stays, in its order; an index that keeps all entries is
    returned as it is, to the byte.
    """
    if len(places) == len(index.children):
        return index
    data = json.loads(index.content)
    data["manifests"] = [entry for place, entry in enumerate(data["manifests"]) if place in places]
    return Manifest.parse(_write.dump(data), index.media_type)


def _kept(index: Manifest, keep: Callable[[Platform], bool]) -> set[int]:
    """Return which entries are of a platform to keep, or attest one of those."""
    entries = list(enumerate(index.children))
    places = {place for place, child in entries if _is_kept(child, keep)}
    images = {str(index.children[place].digest) for place in places}
    return places | {place for place, child in entries if child.annotations.get(ATTESTED) in images}


def _is_kept(child: Descriptor, keep: Callable[[Platform], bool]) -> bool:
    """Whether an entry is an image of a platform to keep, or an artifact beside one."""
    return child.platform is not None and not child.platform.is_unknown and keep(child.platform)


def _order(entry: Descriptor) -> tuple[bool, str, str, str]:
    platform = entry.platform
    is_last = platform is None or platform.is_unknown
    return (is_last, str(platform or ""), str(entry.digest), str(_write.entry(entry)))
