"""The ECR Public API, and the S3 reads that go with it, over botocore."""

from .objects import S3Objects
from .repository import EcrPublicRepository, open_repository

__all__ = ["EcrPublicRepository", "S3Objects", "open_repository"]
