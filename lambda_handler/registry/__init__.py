"""The registry API (OCI distribution) of any registry, over urllib3."""

from .client import RegistryClient
from .remote import RegistryRepository
from .transport import Transport

__all__ = ["RegistryClient", "RegistryRepository", "Transport"]
