"""How manifests are written: the same content always as the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from .descriptor import Descriptor
from .platform import Platform


def dump(data: Mapping[str, object]) -> bytes:
    """Write a manifest."""
    return json.dumps(data, indent=2, ensure_ascii=True).encode()


def entry(descriptor: Descriptor) -> dict[str, object]:
    """Return a descriptor as a manifest has it."""
    data: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.platform is not None:
        data["platform"] = _platform(descriptor.platform)
    if descriptor.artifact_type:
        data["artifactType"] = descriptor.artifact_type
    if descriptor.annotations:
        data["annotations"] = dict(sorted(descriptor.annotations.items()))
    return data


def _platform(platform: Platform) -> dict[str, object]:
    data = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    return {key: value for key, value in data.items() if value}
