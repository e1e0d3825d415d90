"""The ECR Public API, over botocore."""

from .repository import Content, EcrPublicRepository, open_repository

__all__ = ["Content", "EcrPublicRepository", "open_repository"]
