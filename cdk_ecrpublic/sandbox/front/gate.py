"""The gate in front of the sandbox, which refuses requests of web pages."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .bodies import refuse
from .web_pages import Head, refusal

CORS = b"access-control-"

_log = logging.getLogger("cdk_ecrpublic.sandbox")


@dataclass(frozen=True, slots=True)
class Gate:
    """
    An ASGI application that refuses requests of web pages with 403.

    No response has CORS headers, whatever the application sends. So a page cannot
    read a response, and no preflight succeeds.

    Args:
        app: Gets the requests of all other clients.
        port: The port of the sandbox.
    """

    app: ASGIApp
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        sending = _without_cors(send)
        why = refusal(_head(scope, self.port))
        if why is None:
            await self.app(scope, receive, sending)
            return
        _log.warning("%s %.100r: %s", scope.get("method", scope["type"]), scope["path"], why.strip())
        await refuse(HTTPStatus.FORBIDDEN, why, scope, receive, sending)


def _head(scope: Scope, port: int) -> Head:
    target: bytes = b"?".join(filter(None, (scope["raw_path"], scope["query_string"])))
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Head(target=target.decode("latin-1"), fields=fields, port=port)


def _without_cors(send: Send) -> Send:
    """Return a *send* that drops all CORS headers."""

    async def stripped(message: Message) -> None:
        if "headers" in message:
            kept = [(name, value) for name, value in message["headers"] if not name.lower().startswith(CORS)]
            message = {**message, "headers": kept}
        await send(message)

    return stripped
