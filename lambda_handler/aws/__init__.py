"""Adapters for S3, private ECR, Parameter Store, CloudFormation and KMS, and the translation of botocore's errors."""

from .objects import S3Objects
from .parameters import Parameters
from .scans import ImageScans
from .signing import Signing
from .stack import StackHistory

__all__ = ["ImageScans", "Parameters", "S3Objects", "Signing", "StackHistory"]
