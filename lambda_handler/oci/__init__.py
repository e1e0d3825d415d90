"""
Value types of the OCI image and distribution specifications.

Pure: no I/O, no clock, no environment. Every value is valid, because each
type parses and checks the strings that it is created from.
"""

from .descriptor import Descriptor, ManifestMediaType
from .digest import Digest
from .host import PrivateEcr, RegistryHost
from .manifest import MANIFEST_MAX_BYTES, Manifest
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
