"""
Limits for request bodies, and refusals before a body is read.

Every limit is above the limit of the service, so the service's own errors do not
change. The limits keep a mistake or a malicious client from filling the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..settings import MIB
from ..store.layers import PART_SIZE, PARTS_MAX

CONTROL_BYTES = 1 * MIB
"""The sandbox's controls: settings, and lists of faults."""

API_BYTES = 32 * MIB
"""The control-plane API: UploadLayerPart takes 20 MiB, which are 27 MiB in base64."""

REGISTRY_BYTES = 8 * MIB
"""The registry API: a manifest has at most 4 MiB."""

LAYER_BYTES = PARTS_MAX * PART_SIZE
"""An upload: the largest layer of ECR Public. It is written to a file piece by piece."""

CALL_BYTES = 128 * MIB
"""A call of another service: Lambda takes 50 MiB of code, which are 67 MiB in base64. ministack holds it in memory."""

OBJECT_BYTES = 1024 * MIB
"""An S3 object or a part of one, or a layer of private ECR. ministack holds it in memory."""

LINGER_SECONDS = 2.0
"""How long a refused client may continue to send. If its connection broke earlier, it would not see the reason."""


class BodyTooLargeError(Exception):
    """A body exceeded its limit while it was read."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """
    An ASGI application that refuses bodies beyond a limit with 413.

    If the ``Content-Length`` exceeds the limit, the request is refused at once.
    Otherwise the bytes are counted while the application reads them.

    Args:
        limit: Returns the limit of a request in bytes.
    """

    app: ASGIApp
    limit: Callable[[Scope], int]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit(scope)
        passing = _Passing(receive, send, left=limit)
        if _length(scope) <= limit:
            with suppress(BodyTooLargeError):
                await self.app(scope, passing.receive, passing.send)
                return
        # If the response has already started, it is cut off here.
        if not passing.has_answered:
            text = (
                f"The sandbox refuses this request: its body is too large; the limit of {scope['path'][:100]!r} "
                f"is {limit // MIB} MiB, so that no request fills the memory of this machine. Send smaller parts.\n"
            )
            await refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, scope, receive, send)


@dataclass(slots=True)
class _Passing:
    """Passes messages on, counts the received bytes, and records when a response starts."""

    inner_receive: Receive
    inner_send: Send
    left: int
    has_answered: bool = False

    async def receive(self) -> Message:
        message = await self.inner_receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            raise BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        self.has_answered = True
        await self.inner_send(message)


def constant(limit: int) -> Callable[[Scope], int]:
    """Return the same limit for every request."""
    return lambda _scope: limit


def limit_of_registry(scope: Scope) -> int:
    """Return the limit of the registry API: that of a layer, or of a manifest."""
    return LAYER_BYTES if "/blobs/uploads/" in scope["path"] else REGISTRY_BYTES


def limit_behind(scope: Scope) -> int:
    """Return the limit of ministack: objects and layers are sent with PUT or PATCH, calls with POST."""
    return OBJECT_BYTES if scope["method"] in ("PUT", "PATCH") else CALL_BYTES


async def refuse(status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with a string at once, and discard what the client still sends for a moment."""
    # The text repeats parts of the request, so a browser must not render it as a page.
    response = PlainTextResponse(text, status, {"X-Content-Type-Options": "nosniff"})
    if scope["type"] != "http":
        await response(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})


def _length(scope: Scope) -> int:
    """Return the ``Content-Length`` of a request; 0 if it has none."""
    return max((int(value) for name, value in scope["headers"] if name.lower() == b"content-length"), default=0)
