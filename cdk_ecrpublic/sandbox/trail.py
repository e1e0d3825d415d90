"""
Events of calls that change images, in the shape of CloudTrail.

References: Amazon ECR Public user guide, "Logging Amazon ECR Public actions with
AWS CloudTrail", which shows PutImage. The fields of BatchDeleteImage are assumed
to be those of the API.
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
    A successful call.

    Attributes:
        account: The account of the caller.
        owner: The account of the repository.
        parameters: The request.
        response: The response.
        time: In seconds since the epoch.
    """

    operation: str
    account: str
    access_key: str
    owner: str
    repository: str
    parameters: Mapping[str, object]
    response: Mapping[str, object]
    source_ip: str
    user_agent: str
    time: float

    @classmethod
    def of(
        cls, request: Request, operation: str, parameters: Mapping[str, object], response: Mapping[str, object],
        *, account: str, access_key: str, owner: str, time: float,
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
        )

    def record(self, identity: Mapping[str, object], *, with_manifest: bool = True) -> dict[str, object]:
        """Return the record of CloudTrail, which is the ``detail`` of the event."""
        arn = f"arn:aws:{SERVICE}::{self.owner}:repository/{self.repository}"
        return {
            "eventVersion": "1.08",
            "userIdentity": dict(identity),
            "eventTime": datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{SERVICE}.amazonaws.com",
            "eventName": self.operation,
            "awsRegion": "us-east-1",
            "sourceIPAddress": self.source_ip,
            "userAgent": self.user_agent,
            "requestParameters": self.parameters if with_manifest else _without_manifest(self.parameters),
            "responseElements": self.response if with_manifest else _without_manifest(self.response),
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
