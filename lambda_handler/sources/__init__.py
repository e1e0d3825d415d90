"""
Where an image comes from: one module for each kind of source.

A new kind is a new module with a class of the shape of ``Source``, and its
line in ``SOURCES``.
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
"""The keys of the ``Source`` property, exactly one of which a declaration has."""


def decode_source(value: Value) -> Source:
    """
    Read a source of any kind from its property.

    Raises:
        InvalidPropertiesError: All that is wrong with it.
    """
    kinds = value.fields(SOURCES)
    if len(kinds) != 1:
        value.refuse(f"has {len(kinds)} keys; expected exactly one of {', '.join(SOURCES)}")
    ((kind, inner),) = kinds.items()
    return SOURCES[kind].decode(inner)


__all__ = ["SOURCES", "Source", "decode_source"]
