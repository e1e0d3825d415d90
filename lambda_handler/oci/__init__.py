"""
Value types of the OCI image and distribution specifications.

Pure: no input or output, no clock, no environment. A value that exists is
valid, because every string from outside passes a ``parse``.
"""

from .descriptor import Descriptor
from .digest import Digest
from .host import PrivateEcr, RegistryHost
from .manifest import MANIFEST_MAX_BYTES, Manifest
from .mediatype import ManifestMediaType
from .platform import Platform
from .reference import (
    Reference,
    Repository,
    is_account_id,
    parse_registry_id,
    parse_repository_name,
    parse_tag,
    parse_tag_pattern,
)

__all__ = [
    "MANIFEST_MAX_BYTES",
    "Descriptor",
    "Digest",
    "Manifest",
    "ManifestMediaType",
    "Platform",
    "PrivateEcr",
    "Reference",
    "RegistryHost",
    "Repository",
    "is_account_id",
    "parse_registry_id",
    "parse_repository_name",
    "parse_tag",
    "parse_tag_pattern",
]
