"""
Upload blobs over a registry's HTTP face, as every container tool does.

One request opens an upload, one carries all bytes, and one closes it. ECR
Public does not tell how much of an upload it has, so one that breaks off is
begun again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

from ..errors import (
    AccessError,
    ImageError,
    IntegrityError,
    RejectedError,
    RemoteError,
    ThrottledError,
    UnavailableError,
    UploadLostError,
    truncated_repr,
)
from ..oci import Descriptor, Repository
from ..retry import Retry
from .auth import RegistryAuth
from .failures import failure
from .transport import HttpResponse, Transport

Content = Callable[[], Generator[bytes, None, None]]
"""Opens the bytes of a blob, in chunks of any length; asked again when its upload begins again."""

_BEGIN, _SEND, _COMPLETE = "POST upload", "PATCH upload", "PUT upload"

_DONE = frozenset({201, 202, 204})
"""ECR answers 201 where the specification has 202."""

_LOST = frozenset({404, 416})
"""The upload is not known, or its next byte is another than ours."""

_ANSWER_MAX_BYTES = 64 * 1024
_SAID_CHARACTERS = 400
"""Of what a registry says: IAM's sentence with two ARNs in it."""

_ACTIONS = {_BEGIN: "InitiateLayerUpload", _SEND: "UploadLayerPart", _COMPLETE: "CompleteLayerUpload"}
"""What IAM calls them."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """
    Stores blobs in one repository of ECR Public, for one invocation.

    Attributes:
        tokens: Outlive the invocation; a warm function need not ask again.
        repository: Its address.
    """

    transport: Transport
    auth: RegistryAuth
    repository: Repository
    retry: Retry

    def upload(self, blob: Descriptor, content: Content) -> None:
        """
        Store a blob, none of which is held longer than a chunk.

        Args:
            blob: Size and digest are checked on the way.

        Raises:
            IntegrityError: The bytes are not what *blob* says; nothing is stored.
            RejectedError: A blob of no bytes, which ECR Public cannot store.
            UploadLostError: It broke off again and again.
            AccessError: The registry does not let us write.
        """
        if blob.size == 0:
            message = f"the blob {blob.digest} is empty, and ECR Public stores no empty blobs"
            raise RejectedError(message, operation=_BEGIN)
        attempts = self.retry.start(f"uploading {blob.digest}", retry_access_denied=True)
        while (error := self._try(blob, content)) is not None:
            attempts.pause(error)

    def _try(self, blob: Descriptor, content: Content) -> ImageError | None:
        """Upload a blob from its first byte on; return what another try may overcome."""
        location = self.retry.call("beginning an upload", self._begin, retry_access_denied=True)
        with closing(content()) as chunks:
            source = _Source(blob, chunks)
            try:
                location = self._send(location, blob, source)
            except (UnavailableError, ThrottledError, AccessError) as error:
                # The source has been patient itself.
                if error is source.error:
                    raise
                return _lost(error) if isinstance(error, UnavailableError) else error
        return self.retry.call(
            f"completing {blob.digest}", lambda: self._complete(location, blob), retry_access_denied=True
        )

    def _begin(self) -> str:
        url = f"{self.repository.url}/blobs/uploads/"

        def send(header: Mapping[str, str]) -> HttpResponse:
            return self.transport.send("POST", url, header, limit=_ANSWER_MAX_BYTES, doing=_BEGIN)

        return self._next(self.auth.request(self.transport, send, writes=True), url, _BEGIN)

    def _send(self, location: str, blob: Descriptor, source: _Source) -> str:
        headers = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream", **self.auth.header()}
        response = self.transport.send(
            "PATCH", location, headers, limit=_ANSWER_MAX_BYTES, doing=_SEND, body=source.checked()
        )
        return self._next(response, location, _SEND)

    def _complete(self, location: str, blob: Descriptor) -> UploadLostError | None:
        """Close an upload. Where an answer was lost, it may be closed already, and is not known any more."""
        url = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': str(blob.digest)})}"
        response = self.transport.send("PUT", url, self.auth.header(), limit=_ANSWER_MAX_BYTES, doing=_COMPLETE)
        if response.status in _LOST:
            return _lost(self._failure(response, _COMPLETE))
        if response.status not in _DONE:
            raise self._failure(response, _COMPLETE)
        return None

    def _next(self, response: HttpResponse, url: str, operation: str) -> str:
        """Return where an upload goes on: at the same registry, since our credentials go there."""
        if response.status not in _DONE:
            error = self._failure(response, operation)
            raise _lost(error) if operation == _SEND and response.status in _LOST else error
        with suppress(ValueError):  # a bracket that is not closed, say
            target = urljoin(url, response.headers.get("Location", url))
            if urlsplit(target)[:2] == urlsplit(url)[:2]:
                return target
        message = f"{operation} failed: registry {self.repository.host} sends us elsewhere with our credentials"
        raise RejectedError(message, operation=operation)

    def _failure(self, response: HttpResponse, operation: str) -> RemoteError:
        hint = (
            f"allow ecr-public:{_ACTIONS[operation]} on the repository in the role of the handler's function, "
            "and in the repository's own policy where it is another account's"
        )
        return failure(operation, self.repository.host, response.status, hint=hint, said=_said(response))


@dataclass(slots=True)
class _Source:
    """
    The bytes of a blob.

    Attributes:
        error: What ended them, if it was their own doing.
    """

    blob: Descriptor
    chunks: Iterable[bytes]
    error: ImageError | None = field(default=None, init=False)

    def checked(self) -> Iterator[bytes]:
        """Pass them on, and refuse them before their end is told if they are not what the descriptor says."""
        try:
            yield from verified(self.blob, self.chunks)
        except ImageError as error:
            self.error = error
            raise


def verified(blob: Descriptor, content: Iterable[bytes]) -> Iterator[bytes]:
    """
    Pass *content* on, and refuse it before its last chunk is taken if it is not what *blob* says.

    Raises:
        IntegrityError: Another size or digest.
    """
    hasher, size, last = hashlib.sha256(), 0, b""
    for chunk in content:
        hasher.update(chunk)
        size += len(chunk)
        if size > blob.size:
            message = f"the blob {blob.digest} is longer than the {blob.size} bytes that its manifest says"
            raise IntegrityError(message)
        if size < blob.size:
            yield chunk
        else:
            last += chunk
    found = f"sha256:{hasher.hexdigest()}"
    if (size, found) != (blob.size, str(blob.digest)):
        message = f"the blob {blob.digest} of {blob.size} bytes came as {found} of {size} bytes"
        raise IntegrityError(message)
    yield last


def _lost(error: RemoteError) -> UploadLostError:
    return UploadLostError(error.message, operation=error.operation, hint=error.hint)


def _said(response: HttpResponse) -> str:
    """
    Return the text of the first error that an answer tells.

    Source:
        OCI distribution-spec v1.1, "Error Codes".
    """
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        text = json.loads(response.body)["errors"][0]["message"]
        return str(text)[:_SAID_CHARACTERS] if str(text).isprintable() else truncated_repr(text)
    return ""
