"""
Connections that send an address to the byte, and read no endless head of a response.

urllib3 writes an address anew before it sends it: ``%2f`` becomes ``%2F``, and
dots go. Whoever signed it signed other bytes. http.client reads as many
interim responses (``100 Continue``) as a server sends, and waits for each byte
of a header as long as for the first.
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
"""How much a server may send in lines without any content between them: status, headers, trailers."""

LINE_MAX_BYTES = 64 * 1024
"""Of one line; http.client allows a header as much."""

_EXACT = re.compile(r"/[\x21-\x7e]*")
_WIRE = "cdk-ecrpublic-wire"
"""The key by which a request finds its ``Wire`` among the headers; it is taken out before they are sent."""


@dataclass(frozen=True, slots=True)
class Wire:
    """
    What a request tells the connection that sends it.

    Attributes:
        target: Path and query, sent as they are; empty: urllib3 writes them.
        check: Raises when the time is up.
    """

    target: str
    check: Callable[[], None]


class _Lines(io.BufferedReader):
    """Reads from a socket; what it reads in lines is bounded, in length and in time."""

    check: Callable[[], None] = staticmethod(lambda: None)
    _in_lines: int = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, one chunk of it at a time; each chunk checks the time."""
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
        """Read content, as much as is there."""
        self._in_lines = 0
        return super().read1(size)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - as in the class that this is
        """Read content into a buffer."""
        self._in_lines = 0
        return super().readinto(buffer)


class _Response(http.client.HTTPResponse):
    """A response whose head is bounded."""

    def __init__(self, sock: Any, *more: Any, check: Callable[[], None], **options: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *more, **options)
        lines = _Lines(self.fp.detach())
        lines.check = check
        self.fp = lines


class _Exact:
    """Mixed into a connection: sends the target of a ``Wire`` instead of what it is told."""

    response_class: Any

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:  # noqa: ANN401
        """Send a request, and choose what reads its response."""
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
    Return the pool of connections to the host of *url*, of the kind of this module.

    Raises:
        urllib3.exceptions.LocationParseError: Not an address.
    """
    if manager.pool_classes_by_scheme is not _POOLS:
        # What it made before has another kind of connection.
        manager.clear()
        manager.pool_classes_by_scheme = _POOLS
    return manager.connection_from_url(url)


def headers_for(wire: Wire) -> dict[str, Any]:
    """
    Return what to add to the headers of a request, for its connection alone.

    An address with characters that no request may have is left to urllib3,
    which writes them as percent-encodings.
    """
    exact = bool(_EXACT.fullmatch(wire.target))
    return {_WIRE: wire if exact else Wire("", wire.check)}
