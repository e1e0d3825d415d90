"""Objects in S3: small ones read whole, large ones by ranges."""

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
        return self.retry.call(
            f"reading s3://{bucket}/{key}", lambda: self._get(bucket, key, limit), retry_access_denied=True
        )

    def open(self, bucket: str, key: str) -> S3Object:
        """
        Open an object to be read by ranges, as it is now.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: It is empty.
        """
        name = f"s3://{bucket}/{key}"
        try:
            return self.retry.call(f"reading {name}", lambda: self._open(bucket, key, name), retry_access_denied=True)
        except AccessError as error:
            hint = f"{error.hint}; to who may not list the bucket, S3 says the same of an object that does not exist"
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
        place = {"Bucket": bucket, "Key": key}
        # With a range of its first byte, GetObject says what HeadObject would, and explains its errors.
        answer = _get_range(self.client(), name, 0, 1, place)
        # Read to its end, so that the connection can be used again.
        _read(answer["Body"], name)
        total = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        if total is None or "ETag" not in answer:
            message = f"{_OPERATION} answered for {name} without saying how long it is, or which"
            raise UnavailableError(message, operation=_OPERATION)
        # Every later read asks for this very content.
        return S3Object(
            client=self.client(),
            retry=self.retry,
            name=name,
            size=int(total[1]),
            place={**place, "IfMatch": answer["ETag"]},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """
    An object as it was when it was opened.

    Attributes:
        name: ``s3://bucket/key``
        size: In bytes.
        place: Parameters that name it and its content.
    """

    client: Any
    retry: Retry
    name: str
    size: int
    place: Mapping[str, str]

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """
        Stream its bytes from *start* up to *stop*, and go on where a connection is lost.

        Progress renews the patience, as with blobs of a registry.

        Raises:
            IntegrityError: The object was replaced since it was opened.
            UnavailableError: It broke off again and again at the same place.
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
        body = _get_range(self.client, self.name, start, stop, self.place)["Body"]
        try:
            while chunk := _read(body, self.name):
                yield chunk
                self.retry.deadline.check(f"reading {self.name}")
        finally:
            body.close()


def _get_range(client: Any, name: str, start: int, stop: int, place: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ANN401 - botocore's clients are made at run time
    with translated(_OPERATION):
        try:
            answer: Mapping[str, Any] = client.get_object(**place, Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if error_code(error) == "PreconditionFailed":
                message = f"{name} was replaced while it was read"
                raise IntegrityError(message, hint="deploy again") from error
            if error_code(error) == "InvalidRange":
                # S3 finds no byte to begin with: the object has none.
                message = f"{name} is empty"
                raise IntegrityError(message) from error
            raise
    return answer


def _read(body: Any, name: str) -> bytes:  # noqa: ANN401 - botocore's StreamingBody
    with translated(_OPERATION):
        try:
            chunk: bytes = body.read(CHUNK_BYTES)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # botocore passes some of them on as they are: a TLS record that is broken, say.
            message = f"{_OPERATION} failed: {name} broke off ({type(error).__name__})"
            raise UnavailableError(message, operation=_OPERATION) from error
    return chunk
