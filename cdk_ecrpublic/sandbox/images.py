"""
Small, real images for tests: ``build_image``, ``push_image`` and others.

This is the public name of ``testing.images``.
"""

from __future__ import annotations

from .testing.images import (
    CONFIG_TYPES,
    INDEX_TYPES,
    LAYER_TYPES,
    HasRegistry,
    Image,
    build_image,
    pull,
    push,
    push_image,
    resolve_tags,
    tags_of,
    write_layout,
)

__all__ = [
    "CONFIG_TYPES",
    "INDEX_TYPES",
    "LAYER_TYPES",
    "HasRegistry",
    "Image",
    "build_image",
    "pull",
    "push",
    "push_image",
    "resolve_tags",
    "tags_of",
    "write_layout",
]
