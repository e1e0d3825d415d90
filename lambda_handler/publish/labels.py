"""The version that an image itself names, in its annotations or in the labels of its config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..oci import Digest, Manifest
from ..oci.bounded_json import parse_config, parse_json
from .content import CONFIG_MAX_BYTES, IMAGE_CONFIGS, read_config
from .ports import Origin

VERSION = "org.opencontainers.image.version"


def version_label(root: Manifest, read: Callable[[Digest], Manifest], origin_of: Callable[[Digest], Origin]) -> str:
    """
    Return the text of ``org.opencontainers.image.version``; empty if the image does not have it.

    An annotation comes before the label of a config. Of an index without an
    annotation, the first image counts.

    Args:
        root: The image.
        read: Reads a manifest that *root* lists.
        origin_of: Returns where the config of a manifest can be read.

    Raises:
        ImageError: A manifest or config cannot be read.
    """
    if text := _annotation(root):
        return text
    image = root
    if root.is_index:
        first = next((child for child in root.children if child.image_platform), None)
        if first is None:
            return ""
        image = read(first.digest)
        if image.is_index or (text := _annotation(image)):
            return text
    config = image.blobs[0]
    if config.media_type not in IMAGE_CONFIGS or config.size > CONFIG_MAX_BYTES:
        return ""
    content = read_config(config, origin_of(image.digest))
    try:
        data: Any = parse_config(content)
        return _text(data["config"]["Labels"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _annotation(manifest: Manifest) -> str:
    data: Any = parse_json(manifest.content)
    return _text(data.get("annotations"))


def _text(names: Any) -> str:  # noqa: ANN401 - JSON
    text = names.get(VERSION) if isinstance(names, dict) else None
    return text if isinstance(text, str) else ""
