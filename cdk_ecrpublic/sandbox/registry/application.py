"""
The registry API: ``/v2/`` and ``/token/``.

Its unusual behavior is that of the service: a challenge with the scope ``aws``; 400 for
an invalid token; no ``Docker-Content-Digest`` when a manifest is read; 201 for a chunk;
layers on another host. ``docs/explanation/sandbox-fidelity.md`` lists the evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from .. import errors
from ..exchange import Exchange
from ..faults import Fault
from ..operations import Call
from ..world import World
from . import blobs, manifests
from .context import Handler, RegistryContext

VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
JSON = "application/json; charset=utf-8"

FAULT_STATUS = {
    "UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
    "DENIED": HTTPStatus.FORBIDDEN,
    "NAME_UNKNOWN": HTTPStatus.NOT_FOUND,
    "MANIFEST_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BLOB_UNKNOWN": HTTPStatus.NOT_FOUND,
    "BLOB_UPLOAD_UNKNOWN": HTTPStatus.NOT_FOUND,
    "UNSUPPORTED": HTTPStatus.METHOD_NOT_ALLOWED,
    "TOOMANYREQUESTS": HTTPStatus.TOO_MANY_REQUESTS,
}
"""Codes of scripted faults whose status is not 400."""

_REPOSITORY = "/v2/{alias}/{name:path}"


async def ping(_context: RegistryContext) -> Response:
    """Confirm that this is a registry, if the client has a token."""
    return Response(b"{}", media_type=JSON)


async def unsupported(context: RegistryContext) -> Response:
    """Refuse an unsupported operation."""
    request = context.request
    raise errors.UNSUPPORTED.error(reason=f"ECR Public does not support {request.method} {request.url.path}")


async def not_found(_context: RegistryContext) -> Response:
    """Refuse an unknown path."""
    raise errors.NO_ROUTE.error()


async def catalog(_context: RegistryContext) -> Response:
    """Respond that the repositories of a registry cannot be listed."""
    return _error(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "there is no catalog of repositories")


ROUTES: tuple[tuple[str, str, str, Handler], ...] = (
    ("GET", "/v2/", "Ping", ping),
    ("GET", "/v2/_catalog", "Catalog", catalog),
    ("HEAD", f"{_REPOSITORY}/manifests/{{reference}}", "HeadManifest", manifests.head_manifest),
    ("GET", f"{_REPOSITORY}/manifests/{{reference}}", "GetManifest", manifests.get_manifest),
    ("PUT", f"{_REPOSITORY}/manifests/{{reference}}", "PutManifest", manifests.put_manifest),
    ("DELETE", f"{_REPOSITORY}/manifests/{{reference}}", "DeleteManifest", unsupported),
    ("GET", f"{_REPOSITORY}/tags/list", "ListTags", manifests.list_tags),
    ("GET", f"{_REPOSITORY}/referrers/{{reference}}", "ListReferrers", manifests.list_referrers),
    ("POST", f"{_REPOSITORY}/blobs/uploads/", "StartUpload", blobs.start_upload),
    ("GET", f"{_REPOSITORY}/blobs/uploads/{{upload}}", "GetUpload", blobs.get_upload),
    ("PATCH", f"{_REPOSITORY}/blobs/uploads/{{upload}}", "UploadChunk", blobs.upload_chunk),
    ("PUT", f"{_REPOSITORY}/blobs/uploads/{{upload}}", "CompleteUpload", blobs.complete_upload),
    ("HEAD", f"{_REPOSITORY}/blobs/{{reference}}", "HeadBlob", blobs.head_blob),
    ("GET", f"{_REPOSITORY}/blobs/{{reference}}", "GetBlob", blobs.get_blob),
)
"""Method, path, operation and function. Other methods are unsupported, other paths are not found."""


@dataclass(frozen=True, slots=True)
class RegistryApi:
    """The ASGI application for everything below ``/v2/``, ``/token`` and ``/_blob/``."""

    world: World

    def router(self) -> Router:
        """Return the application."""
        paths = [path for _, path, _, _ in ROUTES]
        routes = [
            Route(path, self._endpoint(operation, handler), methods=[method])
            for method, path, operation, handler in ROUTES
        ]
        return Router(
            [
                Route("/token", _add_slash, methods=["GET"]),
                Route("/token/", _Endpoint(self.world, "Token", blobs.token), methods=["GET"]),
                Route("/_blob/{reference}/{signed}", _Endpoint(self.world, "DownloadBlob", blobs.download_blob)),
                *routes,
                *(Route(path, self._endpoint("Unsupported", unsupported)) for path in dict.fromkeys(paths)),
                Route("/{rest:path}", self._endpoint("NotFound", not_found)),
            ],
            redirect_slashes=False,
        )

    def _endpoint(self, operation: str, handler: Handler) -> _Endpoint:
        async def authenticated(context: RegistryContext) -> Response:
            context.authenticate()
            return await handler(context)

        return _Endpoint(self.world, operation, authenticated)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One row of the table as an ASGI application."""

    world: World
    operation: str
    handler: Handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        parameters: Mapping[str, str] = request.path_params
        call = Call(
            face="http",
            operation=self.operation,
            repository=parameters.get("name", ""),
            reference=parameters.get("reference", ""),
        )
        exchange = Exchange(world=self.world, call=call, request=request)
        await exchange.run(send, self._act, lambda error: _refused(self.world, error))

    async def _act(self, exchange: Exchange) -> Response:
        context = RegistryContext(world=self.world, exchange=exchange)
        response = await self.handler(context)
        response.headers.update(VERSION)
        return response


def _refused(world: World, error: errors.ServiceError | Fault) -> Response:
    if isinstance(error, errors.ServiceError):
        response = _error(*error.kind.oci, error.message)
        if error.kind is errors.NOT_AUTHORIZED:
            host = world.registry_host
            response.headers["WWW-Authenticate"] = f'Bearer realm="{world.url}/token/",service="{host}",scope="aws"'
        return response
    if error.code is None or error.body is not None:
        return Response(error.body or "", error.status or HTTPStatus.BAD_REQUEST, media_type="text/plain")
    status = error.status or FAULT_STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
    return _error(status, error.code, error.message or error.code)


def _error(status: int, code: str, message: str) -> Response:
    body = json.dumps({"errors": [{"code": code, "message": message}]}) + "\n"
    return Response(body, status, VERSION, media_type=JSON)


async def _add_slash(request: Request) -> Response:
    return RedirectResponse(f"{request.url.path}/", HTTPStatus.MOVED_PERMANENTLY)
