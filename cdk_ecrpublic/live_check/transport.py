"""The only module that sends requests: guarded, counted and traced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import urllib3
from botocore import xform_name
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from .budget import Budget
from .endpoint import Endpoint
from .errors import LiveCheckError
from .events import own_events
from .guard import REGION, Guard
from .trace import Trace

MAX_RESPONSE_BYTES = 12 * 1024 * 1024
TIMEOUT_SECONDS = 60.0

_SHOWN_HEADERS = ("accept", "content-range", "content-type", "range", "x-amz-target")
"""The headers of a request that are traced. Others may contain credentials."""

THROTTLED = ("ThrottlingException", "TOOMANYREQUESTS", "RequestLimitExceeded", "Throttling")
SERVER_ERROR = 500

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)

SERVICE = "ecr-public"
TARGET = "SpencerFrontendService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """
    What a service sent, as it is. Never written to a report.

    Attributes:
        status: The HTTP status.
        code: The error code; empty if there is none.
        message: The message of the error.
        headers: Its headers, with names in lower case.
        data: Parsed JSON, or the bytes of anything else.
        content: The bytes of a response of the registry API.
    """

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    data: Any = field(default=None, repr=False)
    content: bytes = field(default=b"", repr=False)


@dataclass(slots=True, kw_only=True)
class Transport:
    """Sends requests to one endpoint."""

    endpoint: Endpoint
    guard: Guard
    budget: Budget
    trace: Trace
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def api(self, operation: str, parameters: Mapping[str, Any], region: str = REGION) -> Response:
        """Call an operation of ECR Public."""
        self.guard.check_api(operation, parameters)
        self._begin("api", _size(parameters))
        response = _call(self._client(SERVICE, region), operation, parameters)
        return self._finish(f"{operation} {region}", parameters, response, _size(response.data))

    def raw_api(self, target: str, body: Mapping[str, Any], *, signed_for: str = SERVICE) -> Response:
        """Send a body of JSON that botocore would not send. *signed_for* is a service, or empty for no signature."""
        self.guard.check_api(target.rpartition(".")[2], body)
        client = self._client(SERVICE, REGION)
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest("POST", f"{client.meta.endpoint_url}/", headers, json.dumps(body).encode())
        if signed_for:
            SigV4Auth(client._get_credentials(), signed_for, REGION).add_auth(request)  # noqa: SLF001
        prepared = request.prepare()
        content = prepared.body if isinstance(prepared.body, bytes) else b""
        return self._send("api", "POST", prepared.url, dict(prepared.headers), content, describe=target)

    def http(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", kind: str = "http"
    ) -> Response:
        """Send a request to the registry API. Redirects are not followed."""
        self.guard.check_http(method, url, has_login="Authorization" in headers)
        return self._send(kind, method, url, headers, body)

    def private_http(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Send a request to the registry API of private ECR. Redirects are not followed."""
        self.guard.check_private_http(method, url)
        return self._send("http", method, url, headers, body)

    def other(self, service: str, operation: str, **parameters: Any) -> Response:  # noqa: ANN401
        """Call another service than ECR Public, which is only a means. A request that fails there is sent again."""
        self.guard.check_other(service, operation, parameters)
        response = self._patiently(self._client(service, REGION), operation, parameters)
        size = _size(response.data)
        if service == "cloudtrail":
            response = replace(response, data=own_events(response.data, self.guard.prefix))
        return self._finish(f"{service} {operation}", {}, response, size)

    def _send(
        self, kind: str, method: str, url: str, headers: Mapping[str, str], body: bytes, *, describe: str = ""
    ) -> Response:
        self._begin(kind, len(body))
        timeout = urllib3.Timeout(TIMEOUT_SECONDS)
        # A server that refuses a request without reading its body closes the connection, and the next one would fail.
        headers = {**headers, "Connection": "close"} if body else headers
        answer = self._pool.request(
            method, url, headers=headers, body=body or None, redirect=False, timeout=timeout, preload_content=False
        )
        content = answer.read(MAX_RESPONSE_BYTES, decode_content=True)
        answer.release_conn()
        response = _of_http(answer, content)
        shown = {name: value for name, value in headers.items() if name.lower() in _SHOWN_HEADERS}
        return self._finish(describe or f"{method} {url}", shown, response, len(content))

    def wait(self, seconds: float) -> None:
        """
        Wait.

        Raises:
            BudgetError: The time of the run would end before.
        """
        if not self.endpoint.has_virtual_time:
            self.budget.check_wait(seconds)
        self.endpoint.wait(seconds)

    def _patiently(self, client: Any, operation: str, parameters: Mapping[str, Any]) -> Response:  # noqa: ANN401
        for pause in PAUSES_SECONDS:
            self._begin("api", _size(parameters))
            with suppress(HTTPClientError, EndpointConnectionError, ConnectTimeoutError):
                response = _call(client, operation, parameters)
                if response.status < SERVER_ERROR and response.code not in THROTTLED:
                    return response
            self.wait(pause)
        self._begin("api", _size(parameters))
        return _call(client, operation, parameters)

    def _begin(self, kind: str, size: int) -> None:
        pause = dict(self.endpoint.pauses).get(kind, 0.0)
        if pause:
            self.wait(pause)
        self.budget.spend(size)

    def _finish(self, request: str, details: Mapping[str, Any], response: Response, size: int) -> Response:
        self.budget.receive(size)
        self.trace.add(request, details, response)
        return response

    def _client(self, service: str, region: str) -> Any:  # noqa: ANN401 - a boto3 client
        key = (service, region)
        if key not in self._clients:
            self._clients[key] = self.endpoint.client(service, region)
        return self._clients[key]


def _size(data: Any) -> int:  # noqa: ANN401 - JSON
    """Estimate the bytes of JSON on the wire."""
    if isinstance(data, Mapping):
        return sum(_size(value) for value in data.values())
    return len(data) if isinstance(data, bytes | str) else len(str(data))


def _call(client: Any, operation: str, parameters: Mapping[str, Any]) -> Response:  # noqa: ANN401 - a boto3 client
    """
    Call an operation, and return its result or its error.

    Raises:
        LiveCheckError: The response is not of this service.
    """
    try:
        return _of_api(getattr(client, xform_name(operation))(**parameters))
    except ClientError as error:
        return _of_api(error.response)
    except ResponseParserError as error:
        message = f"the response to {operation} cannot be read"
        raise LiveCheckError(message) from error


def _of_api(answer: Mapping[str, Any]) -> Response:
    meta, error = answer["ResponseMetadata"], answer.get("Error", {})
    data = {key: value for key, value in answer.items() if key not in ("ResponseMetadata", "Error", "message")}
    return Response(
        status=meta["HTTPStatusCode"],
        code=error.get("Code", ""),
        message=error.get("Message", ""),
        headers={name.lower(): value for name, value in meta.get("HTTPHeaders", {}).items()},
        data=data,
    )


def _of_http(answer: urllib3.BaseHTTPResponse, content: bytes) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    is_json = headers.get("content-type", "").partition(";")[0].endswith("json")
    data = _parsed(content) if is_json else content
    code, message = _error(data) if isinstance(data, Mapping) else ("", "")
    return Response(status=answer.status, code=code, message=message, headers=headers, data=data, content=content)


def _parsed(content: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(content)
    except ValueError:
        return content


def _error(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the code and message of an error of either API."""
    if isinstance(errors := data.get("errors"), list) and errors:
        return str(errors[0].get("code", "")), str(errors[0].get("message", ""))
    code = str(data.get("__type", "")).rpartition("#")[2]
    return code, str(data.get("message", data.get("Message", ""))) if code else ""
