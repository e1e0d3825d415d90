"""
How large a request's body may be, and how a request is refused before its body was read.

Every limit lies above what the service itself allows, so that the answers
about that stay the service's own. It keeps a mistake, or a client that means
harm, from filling this machine's memory.
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
"""ECR Public's API: UploadLayerPart takes 20 MiB, which are 27 in base64."""

REGISTRY_BYTES = 8 * MIB
"""The registry: a manifest has 4 MiB at most."""

LAYER_BYTES = PARTS_MAX * PART_SIZE
"""An upload to the registry: the largest layer of ECR Public. It goes to a file piece by piece."""

CALL_BYTES = 128 * MIB
"""A call of another service: Lambda takes 50 MiB of code, which are 67 in base64. ministack holds it in memory."""

OBJECT_BYTES = 1024 * MIB
"""An object of S3 or a part of one, a layer of private ECR. ministack holds it in memory."""

LINGER_SECONDS = 2.0
"""How long a refused client may go on sending: one whose connection breaks before does not see why."""


class BodyTooLargeError(Exception):
    """A body turned out to be larger than allowed while it was being read."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """
    An ASGI application that gets no body beyond a limit: 413.

    What a request says of its length is believed if that is too much; all
    else is counted while the application reads.

    Args:
        limit: Returns the limit for a request, in bytes.
    """

    app: ASGIApp
    limit: Callable[[Scope], int]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit(scope)
        passing = _Passing(receive, send, left=limit)
        if _length(scope) <= limit:
            with suppress(BodyTooLargeError):
                await self.app(scope, passing.receive, passing.send)
                return
        # Where the answer has begun already, it breaks off here.
        if not passing.has_answered:
            text = (
                f"The sandbox refuses this request: its body is too large; {scope['path'][:100]!r} takes "
                f"{limit // MIB} MiB, so that no request fills this machine's memory. Send it in smaller parts.\n"
            )
            await refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, scope, receive, send)


@dataclass(slots=True)
class _Passing:
    """Passes messages on; counts those that come in, and notes when an answer begins."""

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
    """Return what the registry takes: a layer, or a manifest."""
    return LAYER_BYTES if "/blobs/uploads/" in scope["path"] else REGISTRY_BYTES


def limit_behind(scope: Scope) -> int:
    """Return what ministack takes: objects and layers are put or patched, calls are posted."""
    return OBJECT_BYTES if scope["method"] in ("PUT", "PATCH") else CALL_BYTES


async def refuse(status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a text at once, and throw away what the client has still to send, for a moment."""
    # It repeats what was sent, and no browser may take that for a page.
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
    """Return the length that a request says it has; 0 when it says none."""
    return max((int(value) for name, value in scope["headers"] if name.lower() == b"content-length"), default=0)
