"""The ECR Public API, over botocore."""

from .location import RepositoryLocation, find_repository
from .repository import Content, EcrPublicRepository

__all__ = ["Content", "EcrPublicRepository", "RepositoryLocation", "find_repository"]
