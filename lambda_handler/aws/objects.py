"""Objects in S3, read whole and bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import IntegrityError
from ..retry import Retry
from .errcode import translated


@dataclass(frozen=True, slots=True)
class S3Objects:
    """
    Reads objects.

    Attributes:
        client: Makes the S3 client; only a declaration that needs it pays for it.
    """

    client: Callable[[], Any]
    retry: Retry

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """
        Read a whole object of at most *limit* bytes.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: It is longer.
        """
        return self.retry.call(f"reading s3://{bucket}/{key}", lambda: self._get(bucket, key, limit), settle=True)

    def _get(self, bucket: str, key: str, limit: int) -> bytes:
        with translated("s3:GetObject"):
            body = self.client().get_object(Bucket=bucket, Key=key)["Body"]
            content: bytes = body.read(limit + 1)
            body.close()
        if len(content) > limit:
            message = f"s3://{bucket}/{key} is longer than the {limit} bytes allowed"
            raise IntegrityError(message)
        return content
