"""
``/_sandbox/gallery/``: read-only web pages of what is in the sandbox.

============================================  ========================================
``GET /_sandbox/gallery/``, and ``GET /``     all repositories
``GET …/journal``                             the recorded requests
``GET …/<alias>/<name>``                      a repository
``GET …/<alias>/<name>@<digest>``             an image
``GET …/<alias>/<name>@<digest>/manifest``    the bytes of its manifest
============================================  ========================================

A page is a snapshot: it is described while the store is locked, and rendered afterwards.
Nothing here is recorded in the journal, counted against a limit, or changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from cdk_ecrpublic._assets.lambda_handler.errors import InvalidInputError
from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from ..store.state import Repository, StoredImage
from ..world import World
from .addresses import PREFIX
from .formats import moment
from .image import image_page
from .overview import overview, registries_of
from .rendering import render
from .repository import repository_page
from .requests import journal_page

STATIC = Path(__file__).parent / "static"

HEADERS = {
    # The manifests and labels are untrusted, so the pages have no scripts, and none can be added.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

HTML = "text/html; charset=utf-8"

HOSTS = ("127.0.0.1", "localhost", "::1")
"""The names with which a person opens the sandbox."""

_Endpoint = Callable[[Request], Awaitable[Response]]


class _MissingError(Exception):
    """The sandbox does not have what the address names."""


def asks_for_page(request: Request) -> bool:
    """
    Return whether ``GET /`` is from a person with a browser.

    S3 lists the buckets at the same address. Its clients sign the request in a header
    or in the query, or do not accept HTML; and another host name can be that of a bucket.
    """
    accepts_html = "text/html" in request.headers.get("accept", "").lower()
    is_plain = not request.url.query and "authorization" not in request.headers
    is_read = request.method in ("GET", "HEAD") and request.url.path == "/"
    return is_read and is_plain and accepts_html and request.url.hostname in HOSTS


@dataclass(frozen=True, slots=True)
class Gallery:
    """The ASGI application."""

    world: World

    def router(self) -> Router:
        """Return the application."""
        image = "/{alias}/{name:path}@{digest}"
        endpoints: tuple[tuple[str, _Endpoint], ...] = (
            ("", self._overview),
            ("/", self._overview),
            ("/journal", self._journal),
            ("/style.css", self._style),
            ("/icon.svg", self._icon),
            (f"{image}/manifest", self._manifest),
            (image, self._image),
            ("/{alias}/{name:path}", self._repository),
            ("/{rest:path}", self._missing),
        )
        pages = [Route(f"{PREFIX}{path}", self._finding(endpoint), methods=["GET"]) for path, endpoint in endpoints]
        return Router([Route("/", self._overview, methods=["GET"]), *pages], redirect_slashes=False)

    async def _overview(self, request: Request) -> Response:
        with self.world.store.lock:
            view = overview(self.world, request.query_params, self._now)
        return self._page(request, "overview.html", view)

    async def _journal(self, request: Request) -> Response:
        with self.world.store.lock:
            view = journal_page(self.world, request.query_params, self._now)
        return self._page(request, "journal.html", view)

    async def _repository(self, request: Request) -> Response:
        alias, host = request.path_params["alias"], self.world.registry_host
        with self.world.store.lock:
            repository = self._find_repository(request)
            view = repository_page(repository, alias, host, request.query_params, self._now)
        return self._page(request, "repository.html", view)

    async def _image(self, request: Request) -> Response:
        alias, host = request.path_params["alias"], self.world.registry_host
        with self.world.store.lock:
            repository, image = self._find_image(request)
            view = image_page(repository, image, alias, host, self._now)
        return self._page(request, "image.html", view)

    async def _manifest(self, request: Request) -> Response:
        with self.world.store.lock:
            _, image = self._find_image(request)
        return _respond(request, image.content, "application/json")

    async def _style(self, request: Request) -> Response:
        return _respond(request, (STATIC / "style.css").read_bytes(), "text/css; charset=utf-8")

    async def _icon(self, request: Request) -> Response:
        return _respond(request, (STATIC / "icon.svg").read_bytes(), "image/svg+xml")

    async def _missing(self, _request: Request) -> Response:
        raise _MissingError

    def _finding(self, endpoint: _Endpoint) -> _Endpoint:
        async def finding(request: Request) -> Response:
            try:
                return await endpoint(request)
            except _MissingError:
                return self._page(request, "missing.html", request.url.path, HTTPStatus.NOT_FOUND)

        return finding

    def _find_repository(self, request: Request) -> Repository:
        alias, name = request.path_params["alias"], request.path_params["name"]
        registry = next((each for each in registries_of(self.world) if alias in each.aliases), None)
        repository = registry.repositories.get(name) if registry else None
        if repository is None:
            raise _MissingError
        return repository

    def _find_image(self, request: Request) -> tuple[Repository, StoredImage]:
        repository = self._find_repository(request)
        try:
            image = repository.image(Digest.parse(request.path_params["digest"]))
        except InvalidInputError:
            image = None
        if image is None:
            raise _MissingError
        return repository, image

    @property
    def _now(self) -> float:
        return self.world.store.clock()

    def _page(self, request: Request, template: str, view: object, status: int = HTTPStatus.OK) -> Response:
        now = moment(self._now, self._now)
        content = render(template, view, host=self.world.registry_host, now=now)
        return _respond(request, content, HTML, status)


def _respond(request: Request, content: bytes, media_type: str, status: int = HTTPStatus.OK) -> Response:
    """Respond; to HEAD without the body, but with its length."""
    headers = {**HEADERS, "Content-Length": str(len(content))}
    return Response(b"" if request.method == "HEAD" else content, status, headers, media_type=media_type)
