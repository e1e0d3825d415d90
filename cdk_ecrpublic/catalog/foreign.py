"""Recognize files of other tools, and explain what to do with them."""

from __future__ import annotations

import difflib

from .._assets.lambda_handler.errors import truncated_repr
from .nodes import Items, Mapping, Node, Scalar

KEYS = ("repositories", "registries", "images", "registry", "defaults")
"""The top-level keys of the supported formats."""

EXPECTED = "a mapping with repositories, one with registries and images, or a list of images"

PAGE = "the page 'Migrate from regsync, image-syncer or the image promoter' of the documentation shows how"

_SKOPEO_KEYS = {"images", "images-by-tag-regex", "images-by-semver", "tls-verify", "credentials", "cert-dir"}


def explain(node: Node) -> str | None:
    """Return which other tool a document is for, and what to do with it; None if it may be a catalog."""
    top = _keys(node)
    if tool := _sync_tool(top):
        return f"this is a file of {tool}, which copies what tags point to now; a catalog has digests: {PAGE}"
    if "filestores" in top:
        return f"this is a manifest of the promoter for files, not for images; expected {EXPECTED}"
    if "registries" in top and "images" not in top:
        return "this promoter file has no images; pass the file with the images as path, and this file as registries="
    return None


def _sync_tool(top: dict[str, Node]) -> str | None:
    has_table_of_images = isinstance(top.get("images"), Mapping) and "registries" not in top
    return next(
        (
            tool
            for tool, is_it in (
                ("regsync", isinstance(top.get("sync"), Items)),
                ("dregsy", {"relay", "tasks"} <= top.keys()),
                # References mapped to references, at the top level or below "images".
                ("image-syncer", "auth" in top or has_table_of_images or _is_table_of_references(top)),
                ("skopeo sync", all(_keys(value).keys() & _SKOPEO_KEYS for value in top.values())),
            )
            if top and is_it
        ),
        None,
    )


def _is_table_of_references(top: dict[str, Node]) -> bool:
    """Whether a table maps references to references, of which those of Docker Hub may be short: ``alpine:3``."""
    targets = [target for value in top.values() for target in (value.value if isinstance(value, Items) else [value])]
    has_targets = all(isinstance(target, Scalar) and "/" in target.value for target in targets)
    return all("/" in key for key in top) or (bool(targets) and has_targets)


def unknown(node: Node) -> str:
    """Return the message for a document that is not a catalog, with the closest known key."""
    for key in _keys(node):
        if key in KEYS:
            return f"this is not a catalog: it has {key!r}, but no 'repositories'; expected {EXPECTED}"
        if close := difflib.get_close_matches(key, KEYS, n=1):
            unknown_key = f"{truncated_repr(key)} is an unknown key; did you mean {close[0]!r}?"
            return f"this is not a catalog: {unknown_key} Expected {EXPECTED}"
    keys = ", ".join(truncated_repr(key) for key in list(_keys(node))[:5])
    return f"this is not a catalog{f': it has the keys {keys}' if keys else ''}; expected {EXPECTED}"


def _keys(node: Node) -> dict[str, Node]:
    return {key.value: value for key, value in node.value} if isinstance(node, Mapping) else {}
