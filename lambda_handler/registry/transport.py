"""HTTP with everything bounded: the time, the size of an answer, where it may lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import urllib3

from ..clock import Deadline
from ..errors import IntegrityError, UnavailableError
from .wire import Wire, headers_for, pool_for

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""For each read from the socket; the deadline bounds their sum."""

SEND_SECONDS = 20.0
"""For each chunk of a body that is sent, and for the answer after the last of them."""

ERROR_MAX_BYTES = 64 * 1024
"""How much is read of a response that is not the content asked for; the rest is dropped."""

_CHUNK_BYTES = 64 * 1024
_CONTENT = range(200, 300)
_WITHOUT_BODY = frozenset({204, 304})
_DIGITS = 20
"""A length has fewer: what is longer is none that anybody could send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """An answer, its body read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamingResponse:
    """
    An answer whose body is read chunk by chunk, none of it held longer than that.

    Neither an endless nor a dripping body goes on for ever: every chunk
    checks the deadline.

    Attributes:
        length: Of the body, in bytes, where the response says it; not all
            versions of urllib3 look whether it is all there.
    """

    response: urllib3.BaseHTTPResponse
    deadline: Deadline
    doing: str
    length: int | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, whose names are the same in any case."""
        return self.response.headers

    def chunks(self, size: int) -> Iterator[bytes]:
        """
        Give the body in chunks of at most *size* bytes, as they come.

        Raises:
            UnavailableError: The connection broke off.
            DeadlineError: There is no time left.
        """
        # read() waits until a chunk is full, however slowly it comes. Old versions of urllib3 have nothing else.
        read, left = getattr(self.response, "read1", self.response.read), self.length
        try:
            while chunk := read(size):
                left = None if left is None else left - len(chunk)
                yield chunk
                self.deadline.check(self.doing)
            if left:
                message = f"{self.doing} failed: the response is {abs(left)} bytes shorter or longer than it says"
                raise UnavailableError(message, operation=self.doing)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _broken(self.doing, error, self.deadline) from error
        finally:
            self.close()

    def refused(self) -> HttpResponse:
        """Return status and headers as an answer, whose body nobody wants."""
        self.close()
        return HttpResponse(status=self.status, headers=self.headers, body=b"")

    def close(self) -> None:
        """Drop the connection, unless the body was read to its end: then it went back to the pool by itself."""
        self.response.close()


@dataclass(frozen=True, slots=True)
class Transport:
    """
    Sends requests, one attempt each: no retries, no redirects, no cookies, no proxies.

    Attributes:
        pool: Keeps connections from one request to the next.
        deadline: No request outlives it.
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
        Send a request and read its answer.

        Args:
            url: May carry nothing secret: it is not logged, but others may.
            headers: Sent to this address only.
            limit: The longest content to accept, in bytes. What an error
                says is cut instead: it is for people.
            doing: For messages: ``GET manifest``.
            body: Sent chunk by chunk; *headers* say its length. What it raises ends the request.

        Raises:
            UnavailableError: No answer, or one that broke off.
            IntegrityError: The answer is longer than *limit*.
            DeadlineError: There is no time left.
        """
        stream = self.open(method, url, headers, doing=doing, body=body)
        is_content = stream.status in _CONTENT
        most = limit if is_content else min(limit, ERROR_MAX_BYTES)
        content = _first(stream, most + 1)
        if is_content and len(content) > limit:
            message = f"{doing} failed: the answer is longer than the {limit} bytes allowed"
            raise IntegrityError(message)
        return HttpResponse(status=stream.status, headers=stream.headers, body=content[:most])

    def open(
        self, method: str, url: str, headers: Mapping[str, str], *, doing: str, body: Iterable[bytes] | None = None
    ) -> StreamingResponse:
        """
        Send a request, and leave its answer to be read.

        Raises:
            UnavailableError: No answer.
            DeadlineError: There is no time left.
        """
        where = f"{doing} from {urlsplit(url).netloc}"
        self.deadline.check(where)
        left = self.deadline.remaining
        # urllib3 takes the time to connect for the time to send, too.
        connect, read = (CONNECT_SECONDS, READ_SECONDS) if body is None else (SEND_SECONDS, SEND_SECONDS)
        try:
            pool = pool_for(self.pool, url)
            target = _target(url)
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
        return StreamingResponse(response, self.deadline, where, _length(method, response))


def _target(url: str) -> str:
    """Return path and query of an address, to the byte."""
    _, _, rest = url.partition("://")
    start = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    target = rest[start:].partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _length(method: str, response: urllib3.BaseHTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    has_body = method != "HEAD" and response.status not in _WITHOUT_BODY
    is_plain = "Transfer-Encoding" not in response.headers
    return int(text) if has_body and is_plain and text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def _first(stream: StreamingResponse, size: int) -> bytes:
    """Return the first bytes of a body, or all of it where it is shorter; what follows is not read."""
    content = bytearray()
    for chunk in stream.chunks(_CHUNK_BYTES):
        content += chunk
        if len(content) >= size:
            stream.close()
            break
    return bytes(content[:size])


def _broken(doing: str, error: Exception, deadline: Deadline) -> UnavailableError:
    # No read waits beyond the deadline: then time is what was missing, and not the other side.
    deadline.check(doing)
    # The text of urllib3's own errors holds whole addresses, which may be signed; host and kind say enough.
    return UnavailableError(f"{doing} failed: no complete answer ({type(error).__name__})", operation=doing)
