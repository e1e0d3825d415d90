"""
Real images, small and made on the spot: ``build_image``, ``push_image`` and the like.

The public name of ``testing.images``; what is documented is imported from here.
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
