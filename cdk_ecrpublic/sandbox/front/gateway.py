"""
One application on one port: ECR Public first, ministack for everything else.

========================================  =================================================
request                                   goes to
========================================  =================================================
``/_sandbox/gallery/…``                   the gallery: web pages of what is in the sandbox
``/_sandbox/…`` otherwise                 the sandbox's controls
``/token``, ``/token/``, ``/_blob/…``     ECR Public
target ``SpencerFrontendService.…``, or   ECR Public's control-plane API
a signature for ``ecr-public``
``/v2/`` with basic authentication        private ECR, which logs in that way; without
                                          ministack ECR Public
``/v2/`` otherwise                        ECR Public, whose challenge leads to ``/token/``
``/v2/<alias>/…``, the alias known        ECR Public
``/v2/<name>/…``, a private repository    private ECR
``/v2/…`` of that form otherwise          private ECR with basic authentication, else ECR
                                          Public: NAME_UNKNOWN, or the challenge
``GET /`` that accepts HTML, without      the gallery
query and signature, for ``127.0.0.1``,
``localhost`` or ``[::1]``
everything else                           ministack; this includes S3's ListBuckets, which is
                                          ``GET /``, too
========================================  =================================================

For a container tool, both registries are one host with one login. The tool finds
bearer authentication, exchanges its login at ``/token/``, and sends the token to both.
ministack's private ECR does not check it. ``/token/`` also accepts the password of
private ECR, which gives no access to ECR Public.

Before that, ``gate`` refuses requests of web pages, and ``bodies`` refuses bodies that
are too large.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..api.application import EcrPublicApi, is_api_request
from ..gallery.addresses import PREFIX as GALLERY_PREFIX
from ..gallery.application import Gallery, asks_for_page
from ..registry.application import RegistryApi
from ..world import World
from . import bodies
from .bodies import Bounded
from .control import PREFIX, ControlApi
from .gate import Gate

REGISTRY_PATHS = ("/token", "/token/")
BLOB_PREFIX = "/_blob/"

_REGISTRY_PATH = re.compile(r"/v2/(?P<repository>.+?)/(?:(?:manifests|blobs|referrers)/.+|tags/list)")


@dataclass(frozen=True, slots=True)
class Behind:
    """
    The application for everything except ECR Public.

    Attributes:
        app: The ASGI application.
        stop: Called when the server stops.
    """

    app: ASGIApp
    stop: Callable[[], None]


class Gateway:
    """
    The ASGI application.

    Args:
        world: The sandbox.
        behind: ministack; None for ECR Public only.
    """

    def __init__(self, world: World, behind: Behind | None = None) -> None:
        self._world = world
        self._behind = behind
        self._control = Bounded(ControlApi(world).router(), bodies.constant(bodies.CONTROL_BYTES))
        self._gallery = Bounded(Gallery(world).router(), bodies.constant(bodies.CONTROL_BYTES))
        self._api = Bounded(EcrPublicApi(world), bodies.constant(bodies.API_BYTES))
        self._registry = Bounded(RegistryApi(world).router(), bodies.limit_of_registry)
        self._others = Bounded(behind.app if behind else _no_aws, bodies.limit_behind)
        self._gate = Gate(self._pass_on, world.port)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application that serves it."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if task := asyncio.current_task():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await self._gate(scope, receive, send)

    def cancel(self) -> None:
        """Cancel the requests in progress. Since Python 3.12, a server waits for all of them before it stops."""
        for task in self._tasks:
            task.cancel()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._choose(Request(scope)) if scope["type"] == "http" else self._others
        await app(scope, receive, send)

    def _choose(self, request: Request) -> ASGIApp:
        path, authorization = request.url.path, request.headers.get("authorization", "")
        if path == GALLERY_PREFIX or path.startswith(f"{GALLERY_PREFIX}/") or asks_for_page(request):
            return self._gallery
        if path.startswith(f"{PREFIX}/"):
            return self._control
        if is_api_request(request):
            return self._api
        if authorization.startswith("AWS4-"):
            return self._others
        is_registry = path in REGISTRY_PATHS or path.startswith(BLOB_PREFIX) or self._is_public(path, authorization)
        return self._registry if is_registry else self._others

    def _is_public(self, path: str, authorization: str) -> bool:
        """Choose the application for ``/v2/``, as in the table."""
        is_basic = authorization.lower().startswith("basic ")
        if path in ("/v2/", "/v2", "/v2/_catalog"):
            return self._behind is None or not is_basic
        match = _REGISTRY_PATH.fullmatch(path)
        if match is None:
            return self._behind is None and path.startswith("/v2/")
        alias = match["repository"].partition("/")[0]
        if self._world.store.registry_by_alias(alias):
            return True
        is_private = is_basic or self._world.private_repository(match["repository"]) is not None
        return self._behind is None or not is_private

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the startup, but not the shutdown; ``Behind.stop`` releases the resources of ministack."""
        started = await receive()
        if self._behind is None:
            await send({"type": f"{started['type']}.complete"})
            await receive()
        else:
            inbox: asyncio.Queue[Message] = asyncio.Queue()
            await inbox.put(started)
            task = asyncio.create_task(_run(self._behind.app, scope, inbox.get, send))
            await receive()
            task.cancel()
            await asyncio.to_thread(self._behind.stop)
        await send({"type": "lifespan.shutdown.complete"})


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _no_aws(scope: Scope, receive: Receive, send: Send) -> None:
    what = f"{scope.get('method', scope['type'])} {scope['path']}"
    message = f"nothing serves {what}: this sandbox has ECR Public only; start it with ministack for the rest of AWS"
    await JSONResponse({"message": message}, HTTPStatus.NOT_IMPLEMENTED)(scope, receive, send)
