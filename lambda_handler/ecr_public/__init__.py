"""The ECR Public API, over botocore."""

from .repository import EcrPublicRepository, open_repository

__all__ = ["EcrPublicRepository", "open_repository"]
