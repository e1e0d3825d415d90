"""
A very fast HTTP server, so that the server does not affect the measurement.

It has one thread, persistent connections, and bodies with a Content-Length, as
botocore and urllib3 send them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

_BACKLOG = 4096
_STOP_SECONDS = 5.0
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request.

    Attributes:
        target: The path and query.
        headers: The headers, by names in lower case.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[Request], tuple[int, bytes]]
"""Returns the status and the body. One thread calls it, so it must not wait."""


class Server:
    """
    Serves on a port of this machine until it is closed.

    Attributes:
        url: ``http://127.0.0.1:40123``
    """

    def __init__(self, answer: Answer) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.WriteTransport] = set()
        serving = self._loop.create_server(lambda: _Connection(answer, self._open), "127.0.0.1", 0, backlog=_BACKLOG)
        self._server = self._loop.run_until_complete(serving)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._hang_up)
        self._thread.join(_STOP_SECONDS)
        self._loop.close()

    def _hang_up(self) -> None:
        self._server.close()
        for transport in self._open:
            transport.abort()
        # A transport ends in the next iteration of the loop, and this runs after it.
        self._loop.call_soon(self._loop.stop)


class _Connection(asyncio.Protocol):
    """A connection of one client, which waits for a response before its next request."""

    def __init__(self, answer: Answer, among: set[asyncio.WriteTransport]) -> None:
        self._answer, self._among = answer, among
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._among.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._among.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(_HEAD_END)) >= 0:
            line, headers = _head(bytes(self._received[:end]))
            stop = end + len(_HEAD_END) + int(headers.get("content-length", "0"))
            if len(self._received) < stop:
                return
            body = bytes(self._received[end + len(_HEAD_END) : stop])
            del self._received[:stop]
            method, target = line.split(" ")[:2]
            self._send(*self._answer(Request(method, target, headers, body)))

    def _send(self, status: int, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 %d \r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


def _head(head: bytes) -> tuple[str, Mapping[str, str]]:
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = (each.partition(":") for each in lines)
    return line, {name.lower(): value.strip() for name, _, value in pairs}
