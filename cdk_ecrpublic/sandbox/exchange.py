"""One request and its response: applies faults, and writes the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Send

from .errors import ServiceError
from .faults import Fault
from .operations import Authentication, Call
from .store.state import TagMove
from .store.timeline import View
from .world import World

DRIP_PIECES = 20
DROPPED = "ConnectionDropped"
"""The status in the journal for a request without a response."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """
    One request to either API.

    Attributes:
        authentication: Set by the API when it is known.
        moves: The tags that the request has moved; filled by the store.
        began: When it arrived, on the clock of ``time.perf_counter``.
    """

    world: World
    call: Call
    request: Request
    authentication: Authentication = "none"
    fault: Fault | None = None
    moves: list[TagMove] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def view(self, lag_seconds: float) -> View:
        """Return the read lag of this request."""
        is_stale = self.fault is not None and self.fault.stale
        return View(now=self.world.store.clock(), lag_seconds=lag_seconds, is_stale=is_stale)

    async def run(
        self,
        send: Send,
        act: Callable[[Exchange], Awaitable[Response]],
        refuse: Callable[[ServiceError | Fault], Response],
    ) -> None:
        """
        Execute the request and send the response, or apply a fault.

        Args:
            act: Executes the request.
            refuse: Renders an error for the API.
        """
        fault = self.fault = self.world.faults.take(self.call)
        await asyncio.sleep(fault.delay_seconds if fault else 0)
        if fault and fault.drop == "before":
            self._break_off()
            return
        try:
            response, error = await self._answer(act, refuse)
        except ClientDisconnect:
            self._record(0, DROPPED)
            return
        if fault and fault.drop == "after":
            self._break_off()
            return
        # Written before the response is sent, so a client that has the response finds the entry.
        self._record(response.status_code, error)
        await response(self.request.scope, self.request.receive, self._shaped(send, fault) if fault else send)

    async def _answer(
        self,
        act: Callable[[Exchange], Awaitable[Response]],
        refuse: Callable[[ServiceError | Fault], Response],
    ) -> tuple[Response, str]:
        if self.fault and self.fault.is_answer:
            # A client that is still sending would not see an early response.
            async for _ in self.request.stream():
                pass
            return refuse(self.fault), self.fault.code or ""
        try:
            return await act(self), ""
        except ServiceError as error:
            return refuse(error), error.kind.oci[1] if self.call.face == "http" else error.kind.code

    def _break_off(self) -> None:
        self._record(0, DROPPED)
        self.world.connections.reset(self._client)

    @property
    def _client(self) -> tuple[str, int]:
        client = self.request.client
        return (client.host, client.port) if client else ("", 0)

    def _record(self, status: int, error: str) -> None:
        self.world.requests.record(
            self.call,
            time=self.world.store.clock(),
            status=status,
            error=error,
            authentication=self.authentication,
            moves=self.moves,
            seconds=time.perf_counter() - self.began,
        )

    def _shaped(self, send: Send, fault: Fault) -> Send:
        """Return a *send* that truncates or drips the body."""
        left = fault.truncate_bytes

        async def shaped(message: Message) -> None:
            nonlocal left
            body: bytes = message.get("body", b"")
            if message["type"] != "http.response.body":
                await send(message)
                return
            is_cut = left is not None and len(body) >= left
            kept = body[:left] if is_cut else body
            await _drip(send, kept, fault.drip_seconds)
            if is_cut:
                self.world.connections.close(self._client)
                return
            left = None if left is None else left - len(body)
            await send({**message, "body": b""})

        return shaped


async def _drip(send: Send, body: bytes, pause_seconds: float) -> None:
    size = max(1, -(-len(body) // DRIP_PIECES)) if pause_seconds else max(1, len(body))
    for start in range(0, len(body), size):
        await asyncio.sleep(pause_seconds if start else 0)
        await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
