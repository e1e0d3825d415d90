"""The responses to CloudFormation: of at most 4096 bytes, each sent with one PUT to a presigned URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

import urllib3

from ..errors import DeadlineError, DeliveryError, UnavailableError
from ..oci import RegistryHost
from ..retry import Retry
from .event import Event

RESPONSE_MAX_BYTES = 4096
"""CloudFormation discards a longer response, including its reason."""

REASON_MAX_CHARACTERS = 1500

_OPERATION = "PUT response"
_SECONDS = 10.0
_ERROR_MAX_BYTES = 4096

_TRUNCATED = " ... (truncated; see the function's log)"


class Status(StrEnum):
    """The two possible statuses."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """
    A response to a request.

    Attributes:
        physical_resource_id: At most 1 KB and never empty, also for a failure:
            without it CloudFormation hides the reason and generates an id.
        data: The attributes for ``Fn::GetAtt``: a flat object of strings.

    References:
        CloudFormation user guide, "Custom resource response objects".
    """

    physical_resource_id: str
    status: Status = Status.SUCCESS
    reason: str = ""
    data: Mapping[str, str] = field(default_factory=dict)

    def encode(self, event: Event) -> bytes:
        """
        Encode the response to *event* in at most 4096 bytes.

        A long reason is truncated at the end, because its beginning names the
        cause. If the response is too long even without a reason, it is
        replaced by a failure, so that no stack continues without attributes
        that it needs.
        """
        limit = REASON_MAX_CHARACTERS
        while limit:
            body = _body(self, event, _truncate(self.reason, limit))
            if len(body) <= RESPONSE_MAX_BYTES:
                return body
            limit //= 2
        why = f"the data of the response exceeds the {RESPONSE_MAX_BYTES} bytes that CloudFormation accepts"
        return _body(Response(status=Status.FAILED, physical_resource_id=self.physical_resource_id), event, why)


def _body(response: Response, event: Event, reason: str) -> bytes:
    body = {
        "Status": response.status.value,
        "Reason": reason,
        "PhysicalResourceId": response.physical_resource_id,
        "StackId": event.stack_id,
        "RequestId": event.request_id,
        "LogicalResourceId": event.logical_resource_id,
        "Data": dict(response.data),
    }
    # ASCII escapes would take up to six bytes per character. Lone surrogates must be escaped, because UTF-8 has none.
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _truncate(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + _TRUNCATED


def deliver(url: str, body: bytes, pool: urllib3.PoolManager, retry: Retry) -> None:
    """
    Send *body*. A failure is raised, so that Lambda invokes the function again.

    Args:
        url: The ResponseURL. It is presigned. urllib3 sends it unchanged, since its
            escapes are in upper case and it has no dot segments.
        body: At most 4096 bytes.

    Raises:
        DeliveryError: CloudFormation did not accept the response. The message
            has no part of the URL.
    """
    _check(url)
    try:
        # One attempt is always made, however little time is left.
        _put(url, body, pool)
    except UnavailableError:
        try:
            retry.call("responding to CloudFormation", lambda: _put(url, body, pool))
        except (UnavailableError, DeadlineError) as error:
            raise DeliveryError(error.message) from error


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and RegistryHost.parse(parts.netloc).is_loopback)
    except ValueError:
        # urlsplit raises it too, for example for an unclosed bracket.
        is_safe = False
    if not is_safe:
        message = "the ResponseURL is not an https URL; no response was sent"
        raise DeliveryError(message)


def _put(url: str, body: bytes, pool: urllib3.PoolManager) -> None:
    try:
        response = pool.request(
            "PUT",
            url,
            body=body,
            # S3 refuses any other content type, because the URL is signed for an empty one.
            headers={"Content-Type": ""},
            timeout=urllib3.Timeout(total=_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        response.read(_ERROR_MAX_BYTES)
        response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        message = f"the ResponseURL cannot be reached ({type(error).__name__})"
        # The message of the cause contains the URL, whose signature is a secret.
        raise UnavailableError(message, operation=_OPERATION) from None
    if response.status >= 500:  # noqa: PLR2004 - server errors are transient
        message = f"the ResponseURL returned status {response.status}"
        raise UnavailableError(message, operation=_OPERATION)
    if response.status >= 300:  # noqa: PLR2004 - anything but success
        message = f"the ResponseURL refused the response with status {response.status}"
        raise DeliveryError(message)
