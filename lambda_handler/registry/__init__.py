"""An OCI registry's HTTP face, over urllib3."""

from .client import RegistryClient
from .transport import Transport

__all__ = ["RegistryClient", "Transport"]
