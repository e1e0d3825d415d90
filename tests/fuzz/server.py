"""A server on this machine that can send any bytes, even if they are not HTTP."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Server:
    """
    Responds to each request on a new connection.

    Attributes:
        host: The name and port.
        answer: Returns all bytes of the response to a request with this first line.
    """

    host: str
    answer: Callable[[str], bytes]


def http(status: int, body: bytes, *headers: tuple[str, str]) -> bytes:
    """Return a response that is valid HTTP, if *headers* are valid."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "surrogatepass") + body


@contextmanager
def serve() -> Iterator[Server]:
    """Run one."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                first, *headers = self._head()
                sizes = [line[15:] for line in headers if line.lower().startswith("content-length:")]
                self.rfile.read(int(sizes[0]) if sizes else 0)
                self.wfile.write(server.answer(first))

        def _head(self) -> list[str]:
            lines: list[str] = []
            while not lines or lines[-1]:
                lines.append(self.rfile.readline().decode("latin-1").strip())
            return lines

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as tcp:
        tcp.daemon_threads = True
        server = Server(f"127.0.0.1:{tcp.server_address[1]}", lambda _: http(404, b""))
        threading.Thread(target=tcp.serve_forever, args=[0.01], daemon=True).start()
        yield server
        tcp.shutdown()
