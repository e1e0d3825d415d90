"""Objects in S3: small ones are read whole, large ones by byte ranges."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.exceptions import ClientError

from ..archive.stored import CHUNK_BYTES
from ..errors import AccessError, ImageError, IntegrityError, UnavailableError
from ..retry import Retry
from .errcode import error_code, translated

_OPERATION = "s3:GetObject"
_CONTENT_RANGE = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,19})")


@dataclass(slots=True, eq=False, repr=False)
class S3Objects:
    """
    Reads objects.

    Attributes:
        client: Creates the S3 client when it is first needed.
    """

    client: Callable[[], Any]
    retry: Retry

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """Read a whole object of at most *limit* bytes."""
        return self.retry.call(
            f"reading s3://{bucket}/{key}", lambda: self._get(bucket, key, limit), retry_access_denied=True
        )

    def open(self, bucket: str, key: str) -> S3Object:
        """Open the current version of an object, to read it by byte ranges."""
        name = f"s3://{bucket}/{key}"
        try:
            return self.retry.call(f"reading {name}", lambda: self._open(bucket, key, name), retry_access_denied=True)
        except AccessError as error:
            hint = f"{error.hint}; without s3:ListBucket, S3 also denies access to objects that do not exist"
            raise AccessError(error.message, operation=error.operation, hint=hint) from error

    def _get(self, bucket: str, key: str, limit: int) -> bytes:
        with translated(_OPERATION):
            body = self.client().get_object(Bucket=bucket, Key=key)["Body"]
            content: bytes = body.read(limit + 1)
            body.close()
        if len(content) > limit:
            message = f"s3://{bucket}/{key} is longer than the {limit} bytes allowed"
            raise IntegrityError(message)
        return content

    def _open(self, bucket: str, key: str, name: str) -> S3Object:
        location = {"Bucket": bucket, "Key": key}
        # GetObject for the first byte returns what HeadObject would, but with explained errors.
        response = _get_range(self.client(), name, 0, 1, location)
        # Reading to the end allows the connection to be reused.
        _read(response["Body"], name)
        total = _CONTENT_RANGE.fullmatch(response.get("ContentRange", ""))
        if total is None or "ETag" not in response:
            message = f"{_OPERATION} returned no ContentRange or no ETag for {name}"
            raise UnavailableError(message, operation=_OPERATION)
        # Every later read requires the same content.
        return S3Object(
            client=self.client(),
            retry=self.retry,
            name=name,
            size=int(total[1]),
            location={**location, "IfMatch": response["ETag"]},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """
    The version of an object at the time it was opened.

    Attributes:
        name: ``s3://bucket/key``
        size: In bytes.
        location: The parameters of GetObject that identify the object and its content.
    """

    client: Any
    retry: Retry
    name: str
    size: int
    location: Mapping[str, str]

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """
        Stream the bytes from *start* up to *stop*, and resume after a lost connection.

        Progress resets the retries, as for blobs of a registry.

        Raises:
            IntegrityError: The object was replaced after it was opened.
            UnavailableError: The connection was lost repeatedly at the same offset.
        """
        position, stop = start, min(stop, self.size)
        attempts = self.retry.start(f"reading {self.name}")
        while position < stop:
            try:
                for chunk in self._stream(position, stop):
                    position += len(chunk)
                    attempts.progressed()
                    yield chunk
                if position < stop:
                    message = f"{self.name} ended after {position} of {self.size} bytes"
                    raise UnavailableError(message, operation=_OPERATION)
            except ImageError as error:
                attempts.pause(error)

    def _stream(self, start: int, stop: int) -> Generator[bytes, None, None]:
        self.retry.deadline.check(f"reading {self.name}")
        body = _get_range(self.client, self.name, start, stop, self.location)["Body"]
        try:
            while chunk := _read(body, self.name):
                yield chunk
                self.retry.deadline.check(f"reading {self.name}")
        finally:
            body.close()


def _get_range(client: Any, name: str, start: int, stop: int, location: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ANN401 - botocore creates clients at run time
    with translated(_OPERATION):
        try:
            response: Mapping[str, Any] = client.get_object(**location, Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if error_code(error) == "PreconditionFailed":
                message = f"{name} was replaced while it was being read"
                raise IntegrityError(message, hint="deploy again") from error
            if error_code(error) == "InvalidRange":
                # The object has no first byte.
                message = f"{name} is empty"
                raise IntegrityError(message) from error
            raise
    return response


def _read(body: Any, name: str) -> bytes:  # noqa: ANN401 - botocore's StreamingBody
    with translated(_OPERATION):
        try:
            chunk: bytes = body.read(CHUNK_BYTES)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # botocore does not wrap all errors, for example those of a corrupt TLS record.
            message = f"{_OPERATION} failed: the connection was lost while reading {name} ({type(error).__name__})"
            raise UnavailableError(message, operation=_OPERATION) from error
    return chunk
