"""Events of CloudTrail: only those of the run are kept, without anything that identifies a person or an account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from .errors import LiveCheckError

if TYPE_CHECKING:
    from .session import Session

SHOWN = (
    "awsRegion",
    "errorCode",
    "errorMessage",
    "eventCategory",
    "eventName",
    "eventSource",
    "eventType",
    "eventVersion",
    "managementEvent",
    "readOnly",
    "requestParameters",
    "resources",
    "responseElements",
)
"""The fields whose values are kept. Of the others, such as who called and from where, only the names are."""

WAIT_SECONDS = 20 * 60.0
POLL_SECONDS = 60.0

CLOCKS_DIFFER = timedelta(minutes=5)


def own_events(data: Any, prefix: str) -> Any:  # noqa: ANN401 - JSON
    """
    Return a response of LookupEvents with the events about repositories that begin with *prefix*, and nothing else.

    Events of others must not be published. So they do not even reach the trace.
    """
    if not isinstance(data, Mapping) or "Events" not in data:
        return data
    records = [json.loads(event["CloudTrailEvent"]) for event in data["Events"] if event.get("CloudTrailEvent")]
    own = [_shape(record) for record in records if _repository(record).startswith(prefix)]
    return {"Events": own, **({"NextToken": data["NextToken"]} if data.get("NextToken") else {})}


def _repository(record: Mapping[str, Any]) -> str:
    """Return the repository of an event, from its request or its resources."""
    named = (record.get("requestParameters") or {}).get("repositoryName")
    arns = [str(resource.get("ARN", "")) for resource in record.get("resources") or ()]
    return str(named or next((arn.partition(":repository/")[2] for arn in arns), ""))


def _shape(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are shown, and the names of all fields, also of those within the caller's identity."""
    shown = {name: _without_manifests(record[name]) for name in SHOWN if name in record}
    identity = record.get("userIdentity") or {}
    return {**shown, "fields": sorted(record), "fields of userIdentity": sorted(identity)}


def _without_manifests(value: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
    """Replace manifests by their digests, because not a byte of them may differ."""
    if isinstance(value, Mapping):
        return {name: _without_manifests(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_manifests(item) for item in value]
    return str(Digest.of(value.encode())) if key == "imageManifest" and isinstance(value, str) else value


@dataclass(slots=True)
class Events:
    """
    The events of a run, from now on.

    Attributes:
        begin: When the first event can have happened.
    """

    session: Session
    begin: datetime = field(default_factory=lambda: datetime.now(UTC) - CLOCKS_DIFFER)

    def wait(self, repository: str, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
        """
        Wait until a number of events of each operation about a repository can be found, but not for ever.

        Raises:
            LiveCheckError: They cannot be looked up.
        """
        waited, found = 0.0, list[dict[str, Any]]()
        while True:
            found = [event for name in numbers for event in self._find(name) if _repository(event) == repository]
            if len(found) >= sum(numbers.values()) or waited >= WAIT_SECONDS:
                return found
            self.session.transport.wait(POLL_SECONDS)
            waited += POLL_SECONDS

    def _find(self, operation: str) -> Iterator[dict[str, Any]]:
        """Yield the events of an operation. Only one attribute may be given."""
        attributes = [{"AttributeKey": "EventName", "AttributeValue": operation}]
        given: dict[str, Any] = {"LookupAttributes": attributes, "StartTime": self.begin}
        send = self.session.transport.other
        while True:
            response = send("cloudtrail", "LookupEvents", **given)
            if response.code:
                message = f"LookupEvents failed: {response.code}: {response.message}"
                raise LiveCheckError(message)
            yield from response.data["Events"]
            if not response.data.get("NextToken"):
                return
            given["NextToken"] = response.data["NextToken"]
