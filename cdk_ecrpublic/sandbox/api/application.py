"""
The control-plane API over HTTP: AWS JSON 1.1, ``POST /`` with ``X-Amz-Target``.

Signatures are not verified here, but their scope is checked: the service must be
``ecr-public``, and the Region that of ECR Public.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .. import errors
from ..authorization import Attempt, needed
from ..exchange import Exchange
from ..faults import Fault
from ..operations import SERVICE, Call
from ..trail import TRAILED, TrailedCall
from ..world import World
from . import images, model, repositories
from .context import ApiContext, Operation, Result

TARGET_PREFIX = "SpencerFrontendService."
JSON = "application/x-amz-json-1.1"

OPERATIONS: Mapping[str, Operation] = {**repositories.OPERATIONS, **images.OPERATIONS}

FAULT_STATUS = {
    "ServerException": HTTPStatus.INTERNAL_SERVER_ERROR,
    "InternalFailure": HTTPStatus.INTERNAL_SERVER_ERROR,
    "ServiceUnavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Codes of scripted faults whose status is not 400."""

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/,\s]+)/[0-9]+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The access key and the scope of a signature."""

    access_key: str
    region: str
    service: str

    @classmethod
    def of(cls, request: Request) -> Signature | None:
        """Parse the ``Authorization`` header (SigV4); return None if there is none."""
        match = _CREDENTIAL.search(request.headers.get("authorization", ""))
        return cls(access_key=match["key"], region=match["region"], service=match["service"]) if match else None


def is_api_request(request: Request) -> bool:
    """Return whether a request is for the control-plane API, by its target or its signature."""
    signature = Signature.of(request)
    is_signed_for_us = signature is not None and signature.service == SERVICE
    return request.headers.get("x-amz-target", "").startswith(TARGET_PREFIX) or is_signed_for_us


@dataclass(frozen=True, slots=True)
class EcrPublicApi:
    """The ASGI application."""

    world: World

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        request = Request(scope, receive)
        target = request.headers.get("x-amz-target", "")
        body = await request.body()
        call = _call(target.removeprefix(TARGET_PREFIX), body)
        exchange = Exchange(world=self.world, call=call, request=request)
        act = self._unknown(target) if call.operation not in OPERATIONS or "." in call.operation else self._act(body)
        await exchange.run(send, act, _refused)

    def _act(self, body: bytes) -> Callable[[Exchange], Awaitable[Response]]:
        async def act(exchange: Exchange) -> Response:
            signature = self._signature(exchange)
            exchange.authentication = "authenticated"
            operation = exchange.call.operation
            data = model.parse(operation, body)
            lag = self.world.settings.read_lag_describe_seconds
            account = self._account(signature.access_key)
            context = ApiContext(
                world=self.world,
                account=account,
                access_key=signature.access_key,
                operation=operation,
                view=exchange.view(lag),
                moves=exchange.moves,
            )
            attempt = Attempt(
                access_key=signature.access_key,
                account=account,
                region=signature.region,
                scope=exchange.request.scope,
                body=body,
                permissions=needed(operation, data, account, self.world.store),
            )
            try:
                with self.world.store.lock:
                    self.world.authorize(attempt)
                    result = OPERATIONS[operation](context, data)
            except errors.ServiceError as error:
                self._emit(exchange.request, context, data, error)
                raise
            answer = model.render(operation, result)
            self._emit(exchange.request, context, data, json.loads(answer))
            return _answer(answer)

        return act

    def _unknown(self, target: str) -> Callable[[Exchange], Awaitable[Response]]:
        async def act(_exchange: Exchange) -> Response:
            raise errors.UNKNOWN_OPERATION.error(operation=target or "(none)")

        return act

    def _signature(self, exchange: Exchange) -> Signature:
        signature = Signature.of(exchange.request)
        if signature is None:
            raise errors.NOT_SIGNED.error()
        if signature.service != SERVICE:
            raise errors.WRONG_SCOPE.error()
        region = self.world.settings.region
        if signature.region != region:
            raise errors.UNSUPPORTED_REGION.error(operation=exchange.call.operation, region=region)
        return signature

    def _emit(
        self, request: Request, context: ApiContext, data: Mapping[str, Any], outcome: Result | errors.ServiceError
    ) -> None:
        """Emit the event of a call, if its operation has events."""
        if context.operation not in TRAILED:
            return
        if isinstance(outcome, errors.ServiceError):
            owner, response, error = context.account, None, (outcome.kind.code, outcome.message)
        else:
            owner, response, error = context.repository(data, is_shared=True).account, outcome, None
        call = TrailedCall.of(
            request,
            context.operation,
            data,
            response,
            account=context.account,
            access_key=context.access_key,
            owner=owner,
            time=context.store.clock(),
            error=error,
        )
        self.world.emit(call)

    def _account(self, access_key: str) -> str:
        if _ACCOUNT.fullmatch(access_key):
            return access_key
        return self.world.account_of(access_key) or self.world.account


def _call(operation: str, body: bytes) -> Call:
    """Describe a request for faults and the journal, as far as it can be parsed."""
    try:
        data: Any = json.loads(body or b"{}")
    except ValueError:
        data = None
    fields = data if isinstance(data, dict) else {}
    reference = fields.get("imageTag") or fields.get("imageDigest") or _first_reference(fields)
    repository = fields.get("repositoryName") or _first(fields, "repositoryNames")
    return Call(face="api", operation=operation, repository=str(repository or ""), reference=str(reference or ""))


def _first(fields: Mapping[str, Any], name: str) -> object:
    values = fields.get(name)
    return values[0] if isinstance(values, list) and values else None


def _first_reference(fields: Mapping[str, Any]) -> str:
    first = _first(fields, "imageIds")
    return str(first.get("imageTag") or first.get("imageDigest") or "") if isinstance(first, dict) else ""


def _refused(error: errors.ServiceError | Fault) -> Response:
    if isinstance(error, errors.ServiceError):
        content = {"__type": error.kind.code, "message": error.message, **error.members}
        return _answer(json.dumps(content).encode(), error.kind.status)
    if error.code is None or error.body is not None:
        return Response(error.body or "", error.status or HTTPStatus.BAD_REQUEST, media_type="text/plain")
    status = error.status or FAULT_STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
    return _answer(json.dumps({"__type": error.code, "message": error.message or error.code}).encode(), status)


def _answer(body: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(body, status, {"x-amzn-RequestId": str(uuid.uuid4())}, media_type=JSON)
