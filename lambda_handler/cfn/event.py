"""The requests of CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from ..errors import ProtocolError

SERVICE_TIMEOUT_SECONDS = 3600
"""How long CloudFormation waits for a response by default."""

SIGNED_SECONDS = 7200.0
"""How long a ResponseURL with a version 2 signature is valid; it has only an expiry time."""

ID_MAX_BYTES = 512
"""The limit for an id, as JSON; the limit for the physical id is four times as long. A response has 4096 bytes."""


class RequestType(StrEnum):
    """What happens to the resource. A rollback is an Update with the old and new properties swapped."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    A request for a custom resource.

    Attributes:
        response_url: A secret, because it allows anyone to send the response;
            never logged, and not part of the ``repr``.
        sent: When CloudFormation sent the request, in seconds since the epoch.
        properties: As declared, with every scalar as a string; not checked here.

    References:
        CloudFormation user guide, "Custom resource request objects".
    """

    request_type: RequestType
    response_url: str = field(repr=False)
    stack_id: str
    request_id: str
    logical_resource_id: str
    resource_type: str
    physical_resource_id: str = ""
    sent: float = 0.0
    properties: Mapping[str, object] = field(default_factory=dict, repr=False)
    old_properties: Mapping[str, object] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, data: Mapping[str, object], received: float) -> Event:
        """
        Parse an event.

        Args:
            received: The current time in seconds since the epoch, which is
                used as *sent* if the ResponseURL has no signing time.

        Raises:
            ProtocolError: A field is missing or has the wrong type. Without a
                ResponseURL no response can be sent.
        """
        response_url = _string(data, "ResponseURL")
        return cls(
            response_url=response_url,
            sent=min(received, _signed(response_url) or received),
            request_type=_request_type(data),
            stack_id=_id(data, "StackId"),
            request_id=_id(data, "RequestId"),
            logical_resource_id=_id(data, "LogicalResourceId"),
            resource_type=_string(data, "ResourceType"),
            physical_resource_id=_physical_id(data),
            properties=_object(data, "ResourceProperties"),
            old_properties=_object(data, "OldResourceProperties"),
        )

    @property
    def service_timeout(self) -> float:
        """How many seconds CloudFormation waits for the response, from 1 to 3600."""
        value = self.properties.get("ServiceTimeout")
        text = str(value) if isinstance(value, str | int) else ""
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else SERVICE_TIMEOUT_SECONDS  # noqa: PLR2004 - at most 3600
        return min(max(seconds, 1), SERVICE_TIMEOUT_SECONDS)


def _signed(response_url: str) -> float | None:
    """
    Return when a URL was signed, in seconds since the epoch; None if it does not say.

    >>> _signed("https://bucket.s3.amazonaws.com/id?X-Amz-Date=20261128T130000Z&X-Amz-Expires=7200")
    1795870800.0
    >>> _signed("https://bucket.s3.amazonaws.com/id?Expires=1795878000&Signature=abc")
    1795870800.0
    """
    try:
        query = parse_qs(urlsplit(response_url).query)
        if signed := query.get("X-Amz-Date"):
            return datetime.strptime(signed[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        expires = query.get("Expires")
        return float(int(expires[0])) - SIGNED_SECONDS if expires else None
    except (ValueError, OverflowError):
        return None


def _request_type(data: Mapping[str, object]) -> RequestType:
    text = _string(data, "RequestType")
    try:
        return RequestType(text)
    except ValueError:
        message = f"RequestType is {text[:40]!r}; expected {', '.join(RequestType)}"
        raise ProtocolError(message) from None


def _string(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        message = f"the event has no {key}; this function only handles custom resource requests of CloudFormation"
        raise ProtocolError(message)
    return value


def _id(data: Mapping[str, object], key: str, limit: int = ID_MAX_BYTES) -> str:
    """Read an id, which the response must repeat."""
    text = _string(data, key)
    if len(json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace")) > limit:
        message = f"{key} is longer than {limit} bytes, so the response would be too long"
        raise ProtocolError(message)
    return text


def _physical_id(data: Mapping[str, object]) -> str:
    # A Create has no physical id yet.
    return _id(data, "PhysicalResourceId", 4 * ID_MAX_BYTES) if data.get("PhysicalResourceId") else ""


def _object(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = data.get(key) or {}
    if not isinstance(value, Mapping):
        message = f"{key} is a {type(value).__name__}; expected an object"
        raise ProtocolError(message)
    return value
