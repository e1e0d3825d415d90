"""The listening socket and its connections, so that a fault can drop one."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

LOOPBACK = "127.0.0.1"

NO_TIME = struct.pack("ii", 1, 0)
"""``struct linger``: linger for zero seconds."""

Address = tuple[str, int]


@dataclass(slots=True)
class Connections:
    """Open connections by the address of the client."""

    _sockets: WeakValueDictionary[Address, socket.socket] = field(default_factory=WeakValueDictionary)

    def add(self, client: Address, connection: socket.socket) -> None:
        """Register a connection while it is open."""
        self._sockets[client] = connection

    def reset(self, client: Address) -> None:
        """Reset a connection; data that was not sent is discarded."""
        if connection := self._sockets.get(client):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_TIME)
            _close(connection)

    def close(self, client: Address) -> None:
        """Close a connection; data that was sent arrives."""
        if connection := self._sockets.get(client):
            _close(connection)

    def close_all(self) -> None:
        """Close all."""
        for connection in list(self._sockets.values()):
            _close(connection)


class Listener(socket.socket):
    """
    A listening socket on 127.0.0.1 that registers its connections.

    ASGI has no message to reset a connection. The server accepts connections
    through this object, so their sockets are known.

    Args:
        port: The port, or 0 for any free port.

    Raises:
        OSError: The port is in use.
    """

    def __init__(self, port: int) -> None:
        # asyncio disables Nagle's algorithm, a delay of 40 ms, only if the protocol is given.
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
        """The port of the socket."""
        port: int = self.getsockname()[1]
        return port

    def accept(self) -> tuple[socket.socket, Address]:
        """Accept a connection."""
        connection, client = super().accept()
        self.connections.add(client, connection)
        return connection, client


def _close(connection: socket.socket) -> None:
    # The server sees the end of the connection and closes the socket, so do not close it here.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
