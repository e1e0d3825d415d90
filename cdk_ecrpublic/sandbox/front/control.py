"""
``/_sandbox/``: the sandbox's own controls over HTTP, for tests in another process.

========================  ==========================================================
``GET    health``         the URL and the default account
``GET    settings``       the settings; ``PUT`` replaces them, omitted ones get their default
``GET    faults``         all faults; ``POST`` adds a list, ``PUT`` replaces, ``DELETE`` clears
``GET    scans``          all scans of private ECR; ``POST`` adds a list, ``PUT`` replaces, ``DELETE`` clears
``GET    requests``       the recorded requests; ``DELETE`` clears
``POST   reset``          empty store, no faults, default settings
========================  ==========================================================
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from ..faults import Fault
from ..scans import ImageScan
from ..settings import Settings
from ..world import World

PREFIX = "/_sandbox"

_Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ControlApi:
    """The ASGI application."""

    world: World

    def router(self) -> Router:
        """Return the application."""
        routes: tuple[tuple[str, str, _Endpoint], ...] = (
            ("GET", "health", self._health),
            ("GET", "settings", self._get_settings),
            ("PUT", "settings", self._put_settings),
            ("GET", "faults", self._get_faults),
            ("POST", "faults", self._add_faults),
            ("PUT", "faults", self._put_faults),
            ("DELETE", "faults", self._clear_faults),
            ("GET", "scans", self._get_scans),
            ("POST", "scans", self._add_scans),
            ("PUT", "scans", self._put_scans),
            ("DELETE", "scans", self._clear_scans),
            ("GET", "requests", self._get_requests),
            ("DELETE", "requests", self._clear_requests),
            ("POST", "reset", self._reset),
        )
        return Router(
            [Route(f"{PREFIX}/{path}", _reporting(endpoint), methods=[method]) for method, path, endpoint in routes]
        )

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "url": self.world.url, "account": self.world.account})

    async def _get_settings(self, _request: Request) -> Response:
        return JSONResponse(asdict(self.world.settings))

    async def _put_settings(self, request: Request) -> Response:
        self.world.settings = Settings.from_json(await request.json())
        return await self._get_settings(request)

    async def _get_faults(self, _request: Request) -> Response:
        return JSONResponse([asdict(fault) for fault in self.world.faults.all()])

    async def _add_faults(self, request: Request) -> Response:
        self.world.faults.add(*await _faults(request))
        return await self._get_faults(request)

    async def _put_faults(self, request: Request) -> Response:
        faults = await _faults(request)
        self.world.faults.clear()
        self.world.faults.add(*faults)
        return await self._get_faults(request)

    async def _clear_faults(self, request: Request) -> Response:
        self.world.faults.clear()
        return await self._get_faults(request)

    async def _get_scans(self, _request: Request) -> Response:
        return JSONResponse([asdict(scan) for scan in self.world.scans.all()])

    async def _add_scans(self, request: Request) -> Response:
        self.world.scans.add(*map(ImageScan.from_json, await _list(request, "scans")))
        return await self._get_scans(request)

    async def _put_scans(self, request: Request) -> Response:
        scans = [ImageScan.from_json(item) for item in await _list(request, "scans")]
        self.world.scans.clear()
        self.world.scans.add(*scans)
        return await self._get_scans(request)

    async def _clear_scans(self, request: Request) -> Response:
        self.world.scans.clear()
        return await self._get_scans(request)

    async def _get_requests(self, _request: Request) -> Response:
        return JSONResponse([asdict(entry) for entry in self.world.requests])

    async def _clear_requests(self, request: Request) -> Response:
        self.world.requests.clear()
        return await self._get_requests(request)

    async def _reset(self, request: Request) -> Response:
        self.world.reset()
        return await self._health(request)


async def _faults(request: Request) -> list[Fault]:
    return [Fault.from_json(item) for item in await _list(request, "faults")]


async def _list(request: Request, what: str) -> list[object]:
    data = await request.json()
    if not isinstance(data, list):
        message = f"{what} are {data!r}; expected a list of objects"
        raise TypeError(message)
    return data


def _reporting(endpoint: _Endpoint) -> _Endpoint:
    async def reporting(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (json.JSONDecodeError, TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    return reporting
