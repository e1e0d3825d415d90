"""The ECR Public API, over botocore."""

from .repository import Content, EcrPublicRepository, Place, locate

__all__ = ["Content", "EcrPublicRepository", "Place", "locate"]
