"""Servers on this machine that respond with a function and record their requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Answer = Callable[[BaseHTTPRequestHandler], None]


class Asked(NamedTuple):
    """A request that the server got."""

    method: str
    path: str
    authorization: str | None
    byte_range: str | None
    form: str = ""


@dataclass
class WebServer:
    """Responds to every request with a function, and records it."""

    host: str
    answer: Answer
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def authorizations(self) -> list[str | None]:
        return [each.authorization for each in self.asked]

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.asked]


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", media_type: str = "text/plain", **headers: str
) -> None:
    """Send a response. An underscore in the name of a header stands for a hyphen."""
    request.send_response(status)
    if media_type:
        request.send_header("Content-Type", media_type)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Run a server, which responds with 404 until its function is set."""
    server = WebServer("", lambda request: send(request, 404))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            is_form = "form" in self.headers.get("Content-Type", "")
            form = self.rfile.read(int(self.headers["Content-Length"])).decode() if is_form else ""
            found = Asked(self.command, self.path, self.headers.get("Authorization"), self.headers.get("Range"), form)
            server.asked.append(found)
            server.answer(self)

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - so http.server calls it

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Ignore connections that clients close."""

    http = Server(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.host = f"127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
