"""
Assemble image manifests and indexes.

The same content always produces the same bytes, and so the same digest. A
manifest that was received is never written again; see ``manifest``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping

from ..errors import InvalidManifestError
from .descriptor import Descriptor, ManifestMediaType
from .manifest import Manifest
from .platform import Platform

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""
Media type of an uncompressed layer; compressed layers append ``+gzip`` or ``+zstd``.

References:
    OCI image-spec v1.1, media-types.md.
"""

ATTESTED = "vnd.docker.reference.digest"
"""The annotation with which BuildKit ties an attestation to the image that it describes."""


def assemble_image(config: Descriptor, layers: Iterable[Descriptor]) -> Manifest:
    """Assemble the OCI manifest of an image."""
    return Manifest.parse(
        _dump(
            {
                "schemaVersion": 2,
                "mediaType": ManifestMediaType.OCI_MANIFEST.value,
                "config": _to_json(config),
                "layers": [_to_json(layer) for layer in layers],
            }
        )
    )


def assemble_index(
    entries: Iterable[Descriptor],
    *,
    media_type: ManifestMediaType = ManifestMediaType.OCI_INDEX,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """
    Assemble an index of *entries*, given in any order.

    Entries are sorted by platform, then by digest; attestations come last. An
    image that runs on several platforms has one entry for each. Duplicate
    entries are written once; if two of them differ in their annotations, the
    one that sorts last is kept, so the order of the arguments does not matter.

    Raises:
        InvalidManifestError: *media_type* is not an index, or a Docker
            manifest list was given annotations, which only OCI defines.
    """
    if not media_type.is_index:
        message = f"{media_type.value!r} is not the media type of an index"
        raise InvalidManifestError(message)
    if media_type is ManifestMediaType.DOCKER_LIST and annotations:
        message = "a Docker manifest list cannot have annotations; remove them, or use an OCI index"
        raise InvalidManifestError(message)
    unique = {(entry.digest, entry.platform): entry for entry in sorted(entries, key=_order)}
    data: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media_type.value,
        "manifests": [_to_json(entry) for entry in sorted(unique.values(), key=_order)],
    }
    if annotations:
        data["annotations"] = dict(sorted(annotations.items()))
    return Manifest.parse(_dump(data))


def filter_index(index: Manifest, keep: Callable[[Platform], bool]) -> Manifest:
    """
    Reduce *index* to the platforms to *keep* and their attestations.

    All other fields of the index and of the kept entries stay, in their
    order. If every entry is kept, the index is returned byte for byte.

    Raises:
        InvalidManifestError: No entry would be left.
    """
    positions = _kept(index, keep)
    if not positions:
        has = ", ".join(sorted(str(child.platform) for child in index.children if child.platform)) or "none"
        message = f"the index has none of the requested platforms; it has: {has}"
        raise InvalidManifestError(message)
    return only_entries(index, positions)


def only_entries(index: Manifest, positions: Collection[int]) -> Manifest:
    """
    Reduce *index* to the entries at *positions*, counted from 0.

    All other fields stay, in their order. If every entry is kept, the index
    is returned byte for byte.
    """
    if len(positions) == len(index.children):
        return index
    data = json.loads(index.content)
    data["manifests"] = [entry for position, entry in enumerate(data["manifests"]) if position in positions]
    return Manifest.parse(_dump(data), index.media_type)


def _kept(index: Manifest, keep: Callable[[Platform], bool]) -> set[int]:
    """Return the positions of the entries for a platform to keep, and of their attestations."""
    entries = list(enumerate(index.children))
    positions = {position for position, child in entries if _is_kept(child, keep)}
    images = {str(index.children[position].digest) for position in positions}
    return positions | {position for position, child in entries if child.annotations.get(ATTESTED) in images}


def _is_kept(child: Descriptor, keep: Callable[[Platform], bool]) -> bool:
    """Whether an entry is an image for a platform to keep, or an artifact beside such an image."""
    return child.platform is not None and not child.platform.is_unknown and keep(child.platform)


def _order(entry: Descriptor) -> tuple[bool, str, str, str]:
    platform = entry.platform
    is_last = platform is None or platform.is_unknown
    return (is_last, str(platform or ""), str(entry.digest), str(_to_json(entry)))


def _dump(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, indent=2, ensure_ascii=True).encode()


def _to_json(descriptor: Descriptor) -> dict[str, object]:
    """Return the JSON object of a descriptor, with its keys in a fixed order."""
    optional = {
        "platform": descriptor.platform and _platform(descriptor.platform),
        "artifactType": descriptor.artifact_type,
        "annotations": dict(sorted(descriptor.annotations.items())),
    }
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
        **{key: value for key, value in optional.items() if value},
    }


def _platform(platform: Platform) -> dict[str, object]:
    data = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    return {key: value for key, value in data.items() if value}
