"""
Make indexes.

The same entries always make the same bytes, in whatever order they are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

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

    They are sorted by platform, attestations last, then by digest; an entry
    that is given twice is written once. Where the two differ, the one counts
    that is sorted last, whichever was given first.

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
    unique = {entry.digest: entry for entry in sorted(entries, key=_order)}
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
    kept = {child.digest for child in index.children if _is_kept(child, keep)}
    kept |= {
        child.digest for child in index.children if child.annotations.get(ATTESTED) in {str(digest) for digest in kept}
    }
    if not kept:
        has = ", ".join(sorted(str(child.platform) for child in index.children if child.platform)) or "none"
        message = f"the index has none of the platforms asked for; it has: {has}"
        raise InvalidManifestError(message)
    if len(kept) == len({child.digest for child in index.children}):
        return index
    data = json.loads(index.content)
    data["manifests"] = [entry for entry in data["manifests"] if entry["digest"] in {str(digest) for digest in kept}]
    return Manifest.parse(_write.dump(data), index.media_type)


def _is_kept(child: Descriptor, keep: Callable[[Platform], bool]) -> bool:
    return child.platform is not None and not child.platform.is_unknown and keep(child.platform)


def _order(entry: Descriptor) -> tuple[bool, str, str, str]:
    platform = entry.platform
    is_last = platform is None or platform.is_unknown
    return (is_last, str(platform or ""), str(entry.digest), str(_write.entry(entry)))
