"""
The sources of images: one module for each kind.

To add a kind, add a module with a class that implements ``Source``, and a line
in ``SOURCES``.
"""

from collections.abc import Mapping

from ..on_demand import load
from ..values import Value
from .base import Source

SOURCES: Mapping[str, str] = {
    "Digest": "digest.DigestSource",
    "Tag": "tag.TagSource",
    "Manifest": "manifest.ManifestSource",
    "Image": "image.RegistryImageSource",
    "Archive": "archive.ArchiveSource",
    "Index": "index.IndexSource",
}
"""The keys of the ``Source`` property, each with its module and class. A declaration has exactly one of them."""


def source_class(kind: str) -> type[Source]:
    """Return the class of a kind of source."""
    found: type[Source] = load(__name__, SOURCES[kind])
    return found


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
    return source_class(kind).decode(inner)


__all__ = ["SOURCES", "Source", "decode_source", "source_class"]
