"""The listening socket, and the connections that came in through it, so that a fault can drop one."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

LOOPBACK = "127.0.0.1"

NO_TIME = struct.pack("ii", 1, 0)
"""``struct linger``: linger, for no seconds."""

Address = tuple[str, int]


@dataclass(slots=True)
class Connections:
    """Open connections by their client's address."""

    _sockets: WeakValueDictionary[Address, socket.socket] = field(default_factory=WeakValueDictionary)

    def add(self, client: Address, connection: socket.socket) -> None:
        """Remember a connection for as long as it is open."""
        self._sockets[client] = connection

    def reset(self, client: Address) -> None:
        """Break a connection at once: what was not sent is thrown away, and the client gets a reset."""
        if connection := self._sockets.get(client):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_TIME)
            _close(connection)

    def close(self, client: Address) -> None:
        """Close a connection; what was sent arrives."""
        if connection := self._sockets.get(client):
            _close(connection)

    def close_all(self) -> None:
        """Close all."""
        for connection in list(self._sockets.values()):
            _close(connection)


class Listener(socket.socket):
    """
    A listening socket on 127.0.0.1 that remembers whom it accepted.

    An ASGI application cannot break its connection: no message says so. The
    server accepts through this object, which is how we know the sockets.

    Args:
        port: 0 for any free one.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, port: int) -> None:
        # asyncio sends without Nagle's delay of 40 ms only where the protocol is named.
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.connections = Connections()
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.bind((LOOPBACK, port))
        except OSError:
            self.close()
            raise
        self.listen(socket.SOMAXCONN)
        self.setblocking(False)  # noqa: FBT003 - the standard library's signature

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self.getsockname()[1]
        return port

    def accept(self) -> tuple[socket.socket, Address]:
        """Accept a connection."""
        connection, client = super().accept()
        self.connections.add(client, connection)
        return connection, client


def _close(connection: socket.socket) -> None:
    # Its owner, the server, sees the end and frees the socket; closing it here would pull it away under the server.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
