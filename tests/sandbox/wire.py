"""Requests on the wire with exactly the given headers, and stand-ins for the services behind a sandbox."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.front.gateway import Behind

Fields = Iterable[tuple[str, str]]

CORS = {
    "Access-Control-Allow-Origin": "*",
    "access-control-allow-methods": "GET, PUT, POST",
    "Access-Control-Allow-Private-Network": "true",
}
"""What ministack answers to everything, and more of the kind."""


@dataclass(frozen=True)
class Answer:
    """The response."""

    status: int
    text: str
    headers: http.client.HTTPMessage

    @property
    def cors(self) -> list[str]:
        return [name for name in self.headers if name.lower().startswith("access-control-")]


def send(port: int, method: str, target: str, fields: Fields, body: bytes = b"") -> Answer:
    """Send exactly these headers, and the length if there is a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in fields:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return _answer(connection.getresponse())
    finally:
        connection.close()


def send_raw(port: int, data: bytes) -> Answer:
    """Send bytes as they are."""
    with raw(port, data) as connection:
        return read(connection)


@contextmanager
def raw(port: int, data: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        yield connection


def read(connection: socket.socket) -> Answer:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return _answer(response)


def _answer(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, response.read().decode(), response.headers)


@dataclass
class Others:
    """Stands in for other services: it answers everything, lets every site read, and records requests."""

    reached: list[str] = field(default_factory=list)
    received: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return
        self.reached.append(f"{scope.get('method', scope['type'])} {scope['path']}")
        headers = [(name.encode(), value.encode()) for name, value in {**CORS, "X-Kept": "yes"}.items()]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": headers})
            return
        await self._drain(receive)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"secret"})

    async def _drain(self, receive: Receive) -> None:
        while True:
            message = await receive()
            self.received += len(message.get("body", b""))
            if not message.get("more_body"):
                return


@dataclass(frozen=True)
class Served:
    """A sandbox with other services behind it."""

    sandbox: Sandbox
    others: Others

    @property
    def port(self) -> int:
        return self.sandbox.world.port

    @property
    def host(self) -> tuple[str, str]:
        """The header that every client sends."""
        return ("Host", self.sandbox.registry_host)

    def send(self, method: str, target: str, *fields: tuple[str, str], body: bytes = b"") -> Answer:
        """Send a request with the right Host and these headers."""
        return send(self.port, method, target, [self.host, *fields], body)


@contextmanager
def serve() -> Iterator[Served]:
    others = Others()
    with Sandbox(behind=lambda _world: Behind(others, lambda: None)) as sandbox:
        yield Served(sandbox, others)
