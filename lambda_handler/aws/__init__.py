"""Adapters for S3, SSM Parameter Store and CloudFormation, and the translation of botocore's errors."""

from .objects import S3Objects
from .parameters import Parameters
from .stack import StackHistory

__all__ = ["Parameters", "S3Objects", "StackHistory"]
