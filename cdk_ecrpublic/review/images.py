"""Summaries of images for people: platforms, size, age and origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Descriptor, Digest, Manifest
from .._assets.lambda_handler.publish.content import CONFIG_MAX_BYTES
from .._assets.lambda_handler.publish.ports import Origin
from .kinds import kind_of

CHILDREN_MAX = 32
"""The size of an index with more children is not computed, because each child needs a request."""

_LABEL = "org.opencontainers.image."


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    A summary of an image.

    Attributes:
        kind: The common name of an artifact, such as ``Helm chart``; empty for an image or index.
        platforms: For example ``linux/amd64``. Attestations do not count.
        size: The total size of its blobs in bytes; None if that would take too many requests.
        created: The time that its builder wrote, in RFC 3339.
        version, revision, source: The labels or annotations ``org.opencontainers.image.*`` of these names.
    """

    digest: str
    media_type: str
    kind: str = ""
    platforms: tuple[str, ...] = ()
    size: int | None = None
    created: str = ""
    version: str = ""
    revision: str = ""
    source: str = ""


def summarize(root: Manifest, read: Callable[[Digest], Manifest], origin_of: Callable[[Digest], Origin]) -> Summary:
    """
    Summarize an image. Facts that cannot be read are omitted, so that a summary never fails a command.

    Args:
        read: Reads a manifest below *root*.
        origin_of: Returns the origin of the blobs of a manifest.
    """
    images = list(_images(root, read))
    first = next((image for image in images if image.blobs), None)
    config = _config(first, origin_of(first.digest)) if first else {}
    said = {**_mapping(config.get("config"), "Labels"), **_annotations(first), **_annotations(root)}
    is_whole = not root.is_index or len(images) == len(_children(root))
    return Summary(
        digest=str(root.digest),
        media_type=root.media_type.value,
        kind=kind_of(root),
        platforms=_platforms(root, config),
        size=sum({blob.digest: blob.size for image in images for blob in image.blobs}.values()) if is_whole else None,
        created=said.get(f"{_LABEL}created", "") or str(config.get("created") or ""),
        version=said.get(f"{_LABEL}version", ""),
        revision=said.get(f"{_LABEL}revision", ""),
        source=said.get(f"{_LABEL}source", ""),
    )


def _children(root: Manifest) -> list[Descriptor]:
    return [child for child in root.children if child.platform is None or not child.platform.is_unknown]


def _images(root: Manifest, read: Callable[[Digest], Manifest]) -> Iterator[Manifest]:
    if not root.is_index:
        yield root
        return
    children = _children(root)
    # Age and labels come from the first image only.
    for child in children if len(children) <= CHILDREN_MAX else children[:1]:
        try:
            yield read(child.digest)
        except ImageError:
            continue


def _platforms(root: Manifest, config: Mapping[str, object]) -> tuple[str, ...]:
    if root.is_index:
        return tuple(str(child.platform) for child in _children(root) if child.platform)
    parts = [config.get("os"), config.get("architecture"), config.get("variant")]
    return ("/".join(str(part) for part in parts if part),) if all(parts[:2]) else ()


def _config(image: Manifest, origin: Origin) -> Mapping[str, object]:
    blob = image.blobs[0]
    if blob.size > CONFIG_MAX_BYTES or "json" not in blob.media_type:
        return {}
    try:
        with closing(origin.blob(blob)) as pieces:
            data = json.loads(b"".join(pieces))
    except (ImageError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _annotations(manifest: Manifest | None) -> Mapping[str, str]:
    return _mapping(json.loads(manifest.content), "annotations") if manifest else {}


def _mapping(data: object, name: str) -> dict[str, str]:
    value = data.get(name) if isinstance(data, Mapping) else None
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, Mapping) else {}
