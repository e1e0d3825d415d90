"""The control-plane API of ECR Public, over botocore."""

from .location import RepositoryLocation, find_repository
from .repository import EcrPublicRepository

__all__ = ["EcrPublicRepository", "RepositoryLocation", "find_repository"]
