"""AWS beside ECR Public: objects in S3, parameters in Systems Manager, the stack; and botocore's errors as ours."""

from .objects import S3Objects
from .parameters import Parameters
from .stack import StackHistory

__all__ = ["Parameters", "S3Objects", "StackHistory"]
