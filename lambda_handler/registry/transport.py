"""HTTP with limits for the time and the size of every response."""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import urllib3

from ..clock import Deadline
from ..errors import DeadlineError, IntegrityError, RejectedError, RemoteError, UnavailableError, truncated_repr
from .wire import Wire, headers_for, pool_for, target_of

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""The timeout of each read from the socket; the deadline limits their sum."""

SEND_SECONDS = 20.0
"""The timeout for each chunk of a request body, and for the response after the last one."""

ERROR_MAX_BYTES = 64 * 1024
"""How much of an error response is read; the rest is discarded."""

_CHUNK_BYTES = 64 * 1024
_CONTENT = range(200, 300)
_WITHOUT_BODY = frozenset({204, 304})
_PLAIN, _GZIP = frozenset({"", "identity"}), frozenset({"gzip", "x-gzip"})
"""
Encodings of content.

References:
    RFC 9110, 8.4.1.
"""

_GZIP_EXTRA_BYTES = 1024
"""How much longer short content may be with gzip than without."""

_GZIP_FORMAT = 31
"""zlib's ``wbits`` for a gzip header and the largest window."""

_NEW_CONNECTION = urllib3.exceptions.NewConnectionError

_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
"""OpenSSL's reasons for a server that responds in plain text."""

_DIGITS = 20
"""A Content-Length with this many digits is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A response whose body was read completely."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(slots=True, eq=False, repr=False)
class StreamingResponse:
    """
    A response whose body is read chunk by chunk.

    Every chunk checks the deadline, so neither an endless nor a slow body can
    block the function.

    Attributes:
        length: The Content-Length, if there is one. Not all versions of
            urllib3 check whether the body is complete.
        ends_with_deadline: Whether the deadline limits how long a read waits.
    """

    response: urllib3.BaseHTTPResponse
    deadline: Deadline
    doing: str
    length: int | None = None
    ends_with_deadline: bool = False

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with case-insensitive names."""
        return self.response.headers

    def chunks(self, size: int) -> Iterator[bytes]:
        """
        Yield the body in chunks of at most *size* bytes, as they arrive.

        Raises:
            UnavailableError: The connection was lost.
            DeadlineError: The deadline has passed.
        """
        # read() waits until a chunk is full, however slow the server is. Old versions of urllib3 have no read1().
        read, left = getattr(self.response, "read1", self.response.read), self.length
        try:
            while chunk := read(size):
                left = None if left is None else left - len(chunk)
                yield chunk
                self.deadline.check(self.doing)
            if left:
                message = f"{self.doing} failed: the response differs from its Content-Length by {abs(left)} bytes"
                raise UnavailableError(message, operation=self.doing)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self.ends_with_deadline and isinstance(error, urllib3.exceptions.TimeoutError):
                raise self.deadline.error(self.doing) from error
            raise _broken(self.doing, error, self.deadline) from error
        finally:
            self.close()

    def is_encoded(self, size: int | None, start: int = 0) -> bool:
        """
        Whether the body is the gzip of a blob of *size* bytes, requested from offset *start* on.

        If it has the length of the blob, the header describes the layer itself, as many registries send it.
        """
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        lengths = {None} if size is None else {None, size, size - start}
        return size is not None and encoding in _GZIP and self.length not in lengths

    def decoded(self, size: int) -> Iterator[bytes]:
        """
        Yield the body without gzip, in chunks of at most *size* bytes.

        Raises:
            UnavailableError: The body is not gzip, or incomplete; or as in ``chunks``.
        """
        decoder = zlib.decompressobj(_GZIP_FORMAT)
        try:
            for chunk in self.chunks(size):
                plain = decoder.decompress(chunk, size)
                while plain:
                    yield plain
                    plain = decoder.decompress(decoder.unconsumed_tail, size)
                if decoder.eof:
                    # Otherwise zlib keeps everything that follows in memory.
                    return
        except zlib.error as error:
            message = f"{self.doing} failed: the response has the encoding gzip, but is not a gzip file"
            raise UnavailableError(message, operation=self.doing) from error
        finally:
            self.close()

    def error_body(self) -> bytes:
        """Return the beginning of the body of an error, or what can be read of it."""
        content = bytearray()
        with suppress(UnavailableError, DeadlineError):
            for chunk in self.chunks(_CHUNK_BYTES):
                content += chunk
                if len(content) >= ERROR_MAX_BYTES:
                    break
        self.close()
        return bytes(content[:ERROR_MAX_BYTES])

    def close(self) -> None:
        """Close the connection, unless the body was read completely, which returns the connection to the pool."""
        self.response.close()


@dataclass(slots=True, eq=False, repr=False)
class Transport:
    """
    Sends requests without retries, redirects, cookies or proxies.

    Attributes:
        pool: Reuses connections.
        deadline: The limit for every request.
    """

    pool: urllib3.PoolManager
    deadline: Deadline

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        limit: int,
        doing: str,
        body: Iterable[bytes] | None = None,
    ) -> HttpResponse:
        """
        Send a request and read its response.

        Args:
            headers: The headers, sent to this URL only.
            limit: The maximum size of the content in bytes. The body of an
                error is truncated instead.
            doing: The request, for messages: ``GET manifest``.
            body: The chunks of the body, whose length must be in *headers*.
                An exception that it raises ends the request.

        Raises:
            UnavailableError: There was no response, or an incomplete one.
            IntegrityError: The content is longer than *limit*.
            RejectedError: The content has an encoding other than gzip.
            DeadlineError: The deadline has passed.
        """
        stream = self.open(method, url, headers, doing=doing, body=body)
        is_content = stream.status in _CONTENT
        most = limit if is_content else min(limit, ERROR_MAX_BYTES)
        encoding = stream.headers.get("Content-Encoding", "").strip().lower() if is_content else ""
        received = _first(stream, most + 1 + (_GZIP_EXTRA_BYTES if encoding in _GZIP else 0))
        content = _decoded(received, encoding, most + 1, stream.doing)
        if is_content and len(content) > limit:
            message = f"{doing} failed: the response is longer than the allowed {limit} bytes"
            raise IntegrityError(message)
        return HttpResponse(status=stream.status, headers=stream.headers, body=content[:most])

    def open(
        self, method: str, url: str, headers: Mapping[str, str], *, doing: str, body: Iterable[bytes] | None = None
    ) -> StreamingResponse:
        """
        Send a request, and return its response before the body is read.

        Raises:
            UnavailableError: There was no response.
            DeadlineError: The deadline has passed.
        """
        where = f"{doing} from {urlsplit(url).netloc}"
        # It is read once: urllib3 refuses a timeout of 0.
        left = self.deadline.remaining
        if left <= 0:
            raise self.deadline.error(where)
        # urllib3 uses the connect timeout for sending too.
        connect, read = (CONNECT_SECONDS, READ_SECONDS) if body is None else (SEND_SECONDS, SEND_SECONDS)
        try:
            pool = pool_for(self.pool, url)
            target = target_of(url)
            wire = Wire(target, lambda: self.deadline.check(where))
            response = pool.urlopen(
                method,
                target,
                body=body if body is None else iter(body),
                headers={**headers, **headers_for(wire)},
                timeout=urllib3.Timeout(connect=min(connect, left), read=min(read, left)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if left < read and isinstance(error, urllib3.exceptions.TimeoutError):
                raise self.deadline.error(where) from error
            raise _broken(where, error, self.deadline) from error
        return StreamingResponse(response, self.deadline, where, _length(method, response), left < read)


def _length(method: str, response: urllib3.BaseHTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    has_body = method != "HEAD" and response.status not in _WITHOUT_BODY
    is_plain = "Transfer-Encoding" not in response.headers
    return int(text) if has_body and is_plain and text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def _first(stream: StreamingResponse, size: int) -> bytes:
    """Return at most the first *size* bytes of a body; the rest is not read."""
    content = bytearray()
    for chunk in stream.chunks(_CHUNK_BYTES):
        content += chunk
        if len(content) >= size:
            stream.close()
            break
    return bytes(content[:size])


def _decoded(content: bytes, encoding: str, size: int, doing: str) -> bytes:
    """
    Return at most the first *size* bytes of a content without its encoding.

    Requests accept no encoding, but static file servers send what they have.
    Blobs are decoded only if their length shows that they are encoded; see ``StreamingResponse.is_encoded``.
    """
    if encoding in _PLAIN or not content:
        return content
    if encoding not in _GZIP:
        message = f"{doing} failed: the response has the encoding {truncated_repr(encoding)}, which was not requested"
        raise RejectedError(message, operation=doing)
    decoder = zlib.decompressobj(_GZIP_FORMAT)
    with suppress(zlib.error):
        plain = decoder.decompress(content, size)
        if decoder.eof or len(plain) == size:
            return plain
    message = f"{doing} failed: the response has the encoding gzip, but is not a complete gzip file"
    raise UnavailableError(message, operation=doing)


def _broken(doing: str, error: Exception, deadline: Deadline) -> RemoteError:
    """Return the error for a connection that failed, with its cause. No other text of urllib3: it has whole URLs."""
    # No read waits beyond the deadline. If it has passed, the deadline is the cause, not the server.
    deadline.check(doing)
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        message = f"{doing} failed: its certificate is not trusted: {cause.verify_message}"
        hint = "the function trusts public certificate authorities; copy the image to a registry that has such one"
        return RejectedError(message, operation=doing, hint=hint)
    if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
        message = f"{doing} failed: it does not use TLS"
        return RejectedError(message, operation=doing, hint="check the port; only loopback hosts may use plain HTTP")
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError) and not isinstance(error, _NEW_CONNECTION):
        message = f"{doing} failed: no connection within {CONNECT_SECONDS:.0f} s"
        return UnavailableError(message, operation=doing, hint="check whether the function can reach this host")
    if isinstance(error, _NEW_CONNECTION):
        is_unknown = "resolve" in str(error) or isinstance(error.__cause__ or error.__context__, socket.gaierror)
        what = "its host name cannot be resolved" if is_unknown else "it refuses connections"
        return UnavailableError(f"{doing} failed: {what}", operation=doing, hint="check the host and the port")
    return UnavailableError(f"{doing} failed: incomplete response ({type(error).__name__})", operation=doing)
