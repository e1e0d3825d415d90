"""
Where an image comes from: one module for each kind of source.

A new kind is a new module with a class of the shape of ``Source``, and its
line in ``SOURCES``.
"""

from collections.abc import Mapping

from .base import Source
from .digest import DigestSource
from .manifest import ManifestSource
from .tag import TagSource

SOURCES: Mapping[str, type[Source]] = {
    "Digest": DigestSource,
    "Tag": TagSource,
    "Manifest": ManifestSource,
}
"""The keys of the ``Source`` property, exactly one of which a declaration has."""

PLANNED_SOURCES = ("Image", "Archive", "Index")
"""Keys that the contract names and this version refuses."""

__all__ = ["PLANNED_SOURCES", "SOURCES", "DigestSource", "ManifestSource", "Source", "TagSource"]
