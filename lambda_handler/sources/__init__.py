"""
The sources of images: one module for each kind.

To add a kind, add a module with a class that implements ``Source``, and a line
in ``SOURCES``.
"""

from collections.abc import Mapping

from ..values import Value
from .archive import ArchiveSource
from .base import Source
from .digest import DigestSource
from .image import RegistryImageSource
from .index import IndexSource
from .manifest import ManifestSource
from .tag import TagSource

SOURCES: Mapping[str, type[Source]] = {
    "Digest": DigestSource,
    "Tag": TagSource,
    "Manifest": ManifestSource,
    "Image": RegistryImageSource,
    "Archive": ArchiveSource,
    "Index": IndexSource,
}
"""The keys of the ``Source`` property. A declaration has exactly one of them."""


def decode_source(value: Value) -> Source:
    """
    Decode the ``Source`` property.

    Raises:
        InvalidPropertiesError: Has all problems.
    """
    kinds = value.fields(SOURCES)
    if len(kinds) != 1:
        value.refuse(f"has {len(kinds)} keys; expected exactly one of {', '.join(SOURCES)}")
    ((kind, inner),) = kinds.items()
    return SOURCES[kind].decode(inner)


__all__ = ["SOURCES", "Source", "decode_source"]
