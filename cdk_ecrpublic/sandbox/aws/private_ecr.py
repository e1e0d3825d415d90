"""
The registry API of private ECR with IAM, because ministack does not authenticate its clients.

A password of GetAuthorizationToken contains its owner. Each request requires the
permissions of the equivalent API call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..authorization import Permission
from ..errors import ServiceError
from ..world import World
from . import iam

ACTIONS: Mapping[tuple[str, str], str] = {
    ("GET", "manifests"): "BatchGetImage",
    ("HEAD", "manifests"): "BatchGetImage",
    ("PUT", "manifests"): "PutImage",
    ("DELETE", "manifests"): "BatchDeleteImage",
    ("GET", "blobs"): "GetDownloadUrlForLayer",
    ("HEAD", "blobs"): "BatchCheckLayerAvailability",
    ("POST", "blobs/uploads"): "InitiateLayerUpload",
    ("PATCH", "blobs/uploads"): "UploadLayerPart",
    ("PUT", "blobs/uploads"): "CompleteLayerUpload",
    ("GET", "tags"): "ListImages",
}
"""The equivalent API action of a request, by its method and the kind of its path."""

_PATH = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>blobs/uploads|manifests|blobs|tags)/.*")


@dataclass(frozen=True, slots=True)
class PrivateEcr:
    """
    The ASGI application, which authorizes requests before it passes them to ministack.

    Attributes:
        behind: ministack.
    """

    world: World
    behind: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self.behind)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        match = _PATH.fullmatch(request.url.path)
        action = ACTIONS.get((request.method, match["kind"])) if match else None
        place = self.world.private_repository(match["name"]) if match else None
        if match is None or action is None or place is None:
            return None
        access_key = self.world.tokens.access_key_of(request.headers.get("authorization", ""))
        if access_key is None:
            challenge = f'Basic realm="{self.world.url}/",service="ecr.amazonaws.com"'
            return PlainTextResponse("Not Authorized\n", HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": challenge})
        account, region = place
        try:
            arn = f"arn:aws:ecr:{region}:{account}:repository/{match['name']}"
            iam.authorize_login(access_key, region, Permission(f"ecr:{action}", arn))
        except ServiceError as error:
            content = {"errors": [{"code": "DENIED", "message": error.message}]}
            return JSONResponse(content, HTTPStatus.FORBIDDEN)
        return None
