"""The ECR Public API, over botocore."""

from .place import Place, locate
from .repository import Content, EcrPublicRepository

__all__ = ["Content", "EcrPublicRepository", "Place", "locate"]
