"""
Events of calls that change images, in the shape of CloudTrail.

References: Amazon ECR Public user guide, "Logging Amazon ECR Public actions with
AWS CloudTrail", which shows PutImage. The fields of BatchDeleteImage are assumed
to be those of the API. A refused call has an error and no response (CloudTrail
user guide, "CloudTrail record contents").
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from .operations import SERVICE

TRAILED = frozenset({"BatchDeleteImage", "PutImage"})
"""The operations with events."""

EVENT_MAX_BYTES = 256 * 1024
"""The limit of an event. In a longer one, the manifests are left out (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailedCall:
    """
    A call.

    Attributes:
        account: The account of the caller.
        owner: The account of the repository; of a refused call that of the caller.
        parameters: The request.
        response: The response; None if the call was refused.
        error: The code and the message of the error of a refused call.
        time: In seconds since the epoch.
    """

    operation: str
    account: str
    access_key: str
    owner: str
    repository: str
    parameters: Mapping[str, object]
    response: Mapping[str, object] | None
    source_ip: str
    user_agent: str
    time: float
    error: tuple[str, str] | None = None

    @classmethod
    def of(
        cls, request: Request, operation: str, parameters: Mapping[str, object],
        response: Mapping[str, object] | None = None,
        *, account: str, access_key: str, owner: str, time: float, error: tuple[str, str] | None = None,
    ) -> TrailedCall:  # fmt: skip
        """Describe a call that was made with *request*."""
        return cls(
            operation=operation,
            account=account,
            access_key=access_key,
            owner=owner,
            repository=str(parameters["repositoryName"]),
            parameters=parameters,
            response=response,
            source_ip=request.client.host if request.client else "",
            user_agent=request.headers.get("user-agent", ""),
            time=time,
            error=error,
        )

    def record(self, identity: Mapping[str, object], *, with_manifest: bool = True) -> dict[str, object]:
        """Return the record of CloudTrail, which is the ``detail`` of the event."""
        arn = f"arn:aws:{SERVICE}::{self.owner}:repository/{self.repository}"
        shown = (lambda data: data) if with_manifest else _without_manifest
        error = {"errorCode": self.error[0], "errorMessage": self.error[1]} if self.error else {}
        return {
            "eventVersion": "1.08",
            "userIdentity": dict(identity),
            "eventTime": datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{SERVICE}.amazonaws.com",
            "eventName": self.operation,
            "awsRegion": "us-east-1",
            "sourceIPAddress": self.source_ip,
            "userAgent": self.user_agent,
            **error,
            "requestParameters": shown(self.parameters),
            "responseElements": None if self.response is None else shown(self.response),
            "requestID": str(uuid.uuid4()),
            "eventID": str(uuid.uuid4()),
            "readOnly": False,
            "resources": [{"accountId": self.owner, "ARN": arn}],
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "eventCategory": "Management",
            "recipientAccountId": self.owner,
        }


Emit = Callable[[TrailedCall], None]


def emit_nothing(_call: TrailedCall) -> None:
    """Emit no event: there is no event bus."""


def _without_manifest(data: Mapping[str, object]) -> dict[str, object]:
    return {
        name: _without_manifest(value) if isinstance(value, Mapping) else value
        for name, value in data.items()
        if name != "imageManifest"
    }
