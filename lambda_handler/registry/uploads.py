"""
Upload blobs through the registry API, as container tools do.

POST initiates an upload. Then one PUT carries all bytes and commits it, as
containerd does for blobs of any size. If that is throttled, large blobs are
streamed with PATCH before; if it is refused, all are. ECR Public does not
report the progress of an upload, so an interrupted upload is restarted.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from urllib.parse import urlencode, urljoin, urlsplit

from ..errors import (
    AccessError,
    DeadlineError,
    ImageError,
    IntegrityError,
    RejectedError,
    RemoteError,
    ThrottledError,
    UnavailableError,
    UploadLostError,
)
from ..oci import Descriptor, Repository
from ..retry import Attempts, Retry
from .auth import RegistryAuth
from .failures import failure
from .transport import HttpResponse, Transport

BlobOpener = Callable[[], Generator[bytes, None, None]]
"""Opens a stream of the bytes of a blob; called again if the upload is restarted."""

_INITIATE, _STREAM, _COMMIT = "POST upload", "PATCH upload", "PUT upload"

_DONE = frozenset({201, 202, 204})
"""ECR returns 201 where the specification requires 202."""

_LOST = frozenset({404, 416})
"""The upload does not exist, or has another offset."""

RESENT_MAX_BYTES = 16 * 1024 * 1024
"""
The size up to which one PUT carries and commits a blob after another one was throttled.

If the commit is throttled, all bytes have to be sent again. For a larger blob,
that costs more than the round trip that PATCH takes.
"""

_RESPONSE_MAX_BYTES = 64 * 1024
"""The maximum length of a registry's message: enough for IAM's message with two ARNs."""

_ACTIONS = {_INITIATE: "InitiateLayerUpload", _STREAM: "UploadLayerPart", _COMMIT: "CompleteLayerUpload"}
"""The IAM actions."""


@dataclass(slots=True, eq=False, repr=False)
class Uploads:
    """
    Uploads blobs to one repository of ECR Public, for one invocation.

    Attributes:
        auth: Outlives the invocation, so that a warm function reuses tokens.
        repository: The address of the repository.
        one_put_max: The size in bytes up to which one PUT carries and commits a
            blob. The first blob that is throttled or refused changes it.
    """

    transport: Transport
    auth: RegistryAuth
    repository: Repository
    retry: Retry
    one_put_max: float = math.inf

    def upload(self, blob: Descriptor, content: BlobOpener) -> None:
        """
        Upload a blob chunk by chunk.

        Args:
            blob: Its size and digest are checked during the upload.

        Raises:
            IntegrityError: The content does not match *blob*; nothing is stored.
            RejectedError: The blob is empty, which ECR Public does not support.
            UploadLostError: The upload was interrupted repeatedly.
            AccessError: The registry denies the upload.
        """
        if blob.size == 0:
            message = f"the blob {blob.digest} is empty, and ECR Public does not store empty blobs"
            raise RejectedError(message, operation=_INITIATE)
        attempts = self.retry.start(f"uploading {blob.digest}", retry_access_denied=True)
        in_one_put = blob.size <= self.one_put_max
        while True:
            try:
                error = self._attempt(blob, content, attempts, in_one_put=in_one_put)
            except DeadlineError as out_of_time:
                # This error names only the next step. ``pause`` adds why the attempt before failed, and raises it.
                error = out_of_time
            if error is None:
                return
            if isinstance(error, RejectedError):
                # The registry may need PATCH.
                self.one_put_max = 0
            else:
                attempts.pause(error)
            if isinstance(error, ThrottledError):
                self.one_put_max = min(self.one_put_max, RESENT_MAX_BYTES)
            in_one_put = False

    def _attempt(
        self, blob: Descriptor, content: BlobOpener, attempts: Attempts, *, in_one_put: bool
    ) -> ImageError | None:
        """Upload a blob from its first byte; return an error that another attempt may overcome."""
        with closing(content()) as chunks:
            source = _Source(blob, chunks)
            location = self._open(source)
            try:
                if in_one_put:
                    return self._commit(location, blob, source)
                location = self._stream(location, source)
            except (UnavailableError, ThrottledError, AccessError) as error:
                # The source has retried already.
                if error is source.error:
                    raise
                return _lost(error) if isinstance(error, UnavailableError) else error
            except RejectedError as error:
                if error is source.error or not in_one_put:
                    raise
                return error
        return attempts.call(lambda: self._commit(location, blob))

    def _open(self, source: _Source) -> str:
        """Open the source and initiate the upload at the same time; return the URL of the upload."""
        with ThreadPoolExecutor(1) as pool:
            location = pool.submit(self.retry.call, "initiating an upload", self._initiate, retry_access_denied=True)
            source.open()
            return location.result()

    def _initiate(self) -> str:
        url = f"{self.repository.url}/blobs/uploads/"

        def send(header: Mapping[str, str]) -> HttpResponse:
            return self.transport.send("POST", url, header, limit=_RESPONSE_MAX_BYTES, doing=_INITIATE)

        return self._next_location(self.auth.request(self.transport, send, writes=True), url, _INITIATE)

    def _stream(self, location: str, source: _Source) -> str:
        response = self._send("PATCH", location, _STREAM, source)
        return self._next_location(response, location, _STREAM)

    def _commit(self, location: str, blob: Descriptor, source: _Source | None = None) -> UploadLostError | None:
        """
        Commit an upload. If a response was lost, the upload may be committed already and no longer exist.

        Args:
            source: The content, if it has not been streamed before.
        """
        url = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': str(blob.digest)})}"
        response = self._send("PUT", url, _COMMIT, source)
        if response.status in _LOST:
            return _lost(self._failure(response, _COMMIT))
        if response.status not in _DONE:
            raise self._failure(response, _COMMIT)
        return None

    def _send(self, method: str, url: str, operation: str, source: _Source | None) -> HttpResponse:
        headers, body = dict(self.auth.header()), None
        if source is not None:
            headers |= {"Content-Length": str(source.blob.size), "Content-Type": "application/octet-stream"}
            body = source.checked()
        return self.transport.send(method, url, headers, limit=_RESPONSE_MAX_BYTES, doing=operation, body=body)

    def _next_location(self, response: HttpResponse, url: str, operation: str) -> str:
        """Return the next URL of an upload, which must be on the same host, because it receives credentials."""
        if response.status not in _DONE:
            error = self._failure(response, operation)
            raise _lost(error) if operation == _STREAM and response.status in _LOST else error
        with suppress(ValueError):  # for example an unclosed bracket
            target = urljoin(url, response.headers.get("Location", url))
            if urlsplit(target)[:2] == urlsplit(url)[:2]:
                return target
        message = (
            f"{operation} failed: registry {self.repository.host} redirected the upload to another host; refusing to "
            "send credentials there"
        )
        raise RejectedError(message, operation=operation)

    def _failure(self, response: HttpResponse, operation: str) -> RemoteError:
        hint = (
            f"allow ecr-public:{_ACTIONS[operation]} on the repository in the role of the handler function and, if the "
            "repository is in another account, in its policy"
        )
        return failure(operation, self.repository.host, response.status, hint=hint, said=self.auth.said(response.body))


@dataclass(slots=True)
class _Source:
    """
    The content of a blob.

    Attributes:
        error: The error that reading the content raised.
    """

    blob: Descriptor
    chunks: Iterator[bytes]
    error: ImageError | None = field(default=None, init=False)

    def open(self) -> None:
        """Read the first chunk, which opens the source."""
        self.chunks = chain([next(self.chunks, b"")], self.chunks)

    def checked(self) -> Iterator[bytes]:
        """Yield the content, and refuse it before its end if it does not match the descriptor."""
        try:
            yield from verified(self.blob, self.chunks)
        except ImageError as error:
            self.error = error
            raise


def verified(blob: Descriptor, content: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield *content*, and refuse it before its last chunk if it does not match *blob*.

    Raises:
        IntegrityError: The content has another size or digest.
    """
    hasher, size, last = hashlib.sha256(), 0, b""
    for chunk in content:
        hasher.update(chunk)
        size += len(chunk)
        if size > blob.size:
            message = f"the blob {blob.digest} is longer than the {blob.size} bytes in its descriptor"
            raise IntegrityError(message)
        if size < blob.size:
            yield chunk
        else:
            last += chunk
    found = f"sha256:{hasher.hexdigest()}"
    if (size, found) != (blob.size, str(blob.digest)):
        message = f"the blob {blob.digest} of {blob.size} bytes was received as {found} of {size} bytes"
        raise IntegrityError(message)
    yield last


def _lost(error: RemoteError) -> UploadLostError:
    return UploadLostError(error.message, operation=error.operation, hint=error.hint)
