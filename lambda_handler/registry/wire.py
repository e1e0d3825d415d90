"""
Connections that send a URL unchanged and limit the head of a response.

urllib3 normalizes a URL before sending it: ``%2f`` becomes ``%2F``, and dot
segments are removed. That breaks presigned URLs. http.client reads any number
of interim responses (``100 Continue``), and its timeout applies to each byte of
a header separately. It also takes other interim responses (``103 Early Hints``)
for the final response, so the next request on the connection would get the
response to this one.
"""

from __future__ import annotations

import functools
import http.client
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

LINES_MAX_BYTES = 256 * 1024
"""How many bytes of status lines, headers and trailers a server may send between content."""

LINE_MAX_BYTES = 64 * 1024
"""The longest line; the limit of http.client for a header."""

_INTERIM = range(100, 200)
_SWITCHING = 101

_EXACT = re.compile(r"/[\x21-\x7e]*")
_WIRE = "cdk-ecrpublic-wire"
"""The header that passes a ``Wire`` to the connection, which removes it before sending."""


@dataclass(slots=True, eq=False, repr=False)
class Wire:
    """
    Options that a request passes to its connection.

    Attributes:
        target: The path and query to send unchanged; empty to use those of urllib3.
        check: Raises if the deadline has passed.
    """

    target: str
    check: Callable[[], None]


class _Lines(io.BufferedReader):
    """Reads from a socket, with limits for the length and time of lines."""

    check: Callable[[], None] = staticmethod(lambda: None)
    _in_lines: int = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line chunk by chunk; each chunk checks the deadline."""
        limit = LINE_MAX_BYTES + 1 if size is None or size < 0 else size
        line = bytearray()
        while len(line) < limit and not line.endswith(b"\n"):
            self.check()
            waiting = self.peek(1)[: limit - len(line)]
            if not waiting:
                break
            line += super().read(waiting.find(b"\n") + 1 or len(waiting))
        self._count(len(line))
        return bytes(line)

    def _count(self, size: int) -> None:
        self._in_lines += size
        if self._in_lines > LINES_MAX_BYTES or size > LINE_MAX_BYTES + 1:
            message = f"more than {LINES_MAX_BYTES} bytes of headers"
            raise http.client.HTTPException(message)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read content."""
        self._in_lines = 0
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Read the content that is available."""
        self._in_lines = 0
        return super().read1(size)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - as in the base class
        """Read content into a buffer."""
        self._in_lines = 0
        return super().readinto(buffer)


class _Response(http.client.HTTPResponse):
    """A response with a limited head."""

    def __init__(self, sock: Any, *more: Any, check: Callable[[], None], **options: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *more, **options)
        lines = _Lines(self.fp.detach())
        lines.check = check
        self.fp = lines

    def _read_status(self) -> tuple[str, int, str]:
        """Read a status line, and skip all interim responses before it; their lines count toward the limit."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status not in _INTERIM:
                return version, status, reason
            if status == _SWITCHING:
                # Requests never ask for another protocol, and the data after this status is not HTTP.
                raise http.client.UnknownProtocol(reason)
            http.client.parse_headers(self.fp)


class _Exact:
    """A mixin for connections that sends the target of a ``Wire``."""

    response_class: Any

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:  # noqa: ANN401
        """Send a request, and set the class of its response."""
        wire: Wire | None = headers.pop(_WIRE, None)
        check = wire.check if wire else _Lines.check
        self.response_class = functools.partial(_Response, check=check)
        target = wire.target if wire and wire.target else url
        super().request(method, target, body=body, headers=headers, **options)  # type: ignore[misc]


class _ExactHTTPConnection(_Exact, HTTPConnection):
    pass


class _ExactHTTPSConnection(_Exact, HTTPSConnection):
    pass


class _ExactHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _ExactHTTPConnection


class _ExactHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _ExactHTTPSConnection


_POOLS = {"http": _ExactHTTPPool, "https": _ExactHTTPSPool}


def pool_for(manager: urllib3.PoolManager, url: str) -> urllib3.HTTPConnectionPool:
    """
    Return the connection pool for the host of *url*, with the connections of this module.

    Raises:
        urllib3.exceptions.LocationParseError: *url* is invalid.
    """
    if manager.pool_classes_by_scheme is not _POOLS:
        # Its existing pools have connections of other classes.
        manager.clear()
        manager.pool_classes_by_scheme = _POOLS
    return manager.connection_from_url(url)


def headers_for(wire: Wire) -> dict[str, Any]:
    """
    Return the headers that pass *wire* to the connection.

    A target with characters that are not allowed in a request is left to
    urllib3, which percent-encodes them.
    """
    exact = bool(_EXACT.fullmatch(wire.target))
    return {_WIRE: wire if exact else Wire("", wire.check)}


def target_of(url: str) -> str:
    """Return the path and query of a URL, byte for byte."""
    _, _, rest = url.partition("://")
    start = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    target = rest[start:].partition("#")[0]
    return target if target.startswith("/") else f"/{target}"
