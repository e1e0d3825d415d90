"""The events that the function gets from CloudFormation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.protocol.cloudformation import as_sent

from .stacks import Declared, Kind, Policy
from .world import REPOSITORY, digest, sample_images

SERVICE_TIMEOUT = 300
"""How many seconds CloudFormation waits for a response."""

SOURCE_TAG = "build"
"""The tag of a mutable source."""

_TYPES = {
    Kind.CREATE: "Create",
    Kind.UPDATE: "Update",
    Kind.UNDO_UPDATE: "Update",
    Kind.DELETE: "Delete",
    Kind.UNDO_CREATE: "Delete",
}


def event(
    kind: Kind,
    stack_id: str,
    logical_id: str,
    *,
    number: int,
    time: float,
    physical_id: str,
    new: Declared | None,
    old: Declared | None,
) -> dict[str, Any]:
    """Return an event that is sent at *time*, which is in its signed URL."""
    stack_name, region = stack_id.split("/")[1], stack_id.split(":")[3]
    properties = _properties(new or old, stack_name, logical_id)
    date = to_datetime(time).strftime("%Y%m%dT%H%M%SZ")
    request_id = f"request-{number}"
    bucket = f"https://cloudformation-custom-resource-response-{region.replace('-', '')}.s3.{region}.amazonaws.com"
    signed = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires=7200&X-Amz-Signature=5ecret51gnature"
    optional = {
        "PhysicalResourceId": physical_id,
        "OldResourceProperties": _properties(old, stack_name, logical_id) if old and new else None,
    }
    return {
        "RequestType": _TYPES[kind],
        "RequestId": request_id,
        "ResponseURL": f"{bucket}/{request_id}?{signed}",
        "ServiceToken": f"arn:aws:lambda:{region}:123456789012:function:handler",
        "StackId": stack_id,
        "LogicalResourceId": logical_id,
        "ResourceType": "Custom::ECRPublicImage",
        "ResourceProperties": properties,
        **{name: value for name, value in optional.items() if value},
    }


def _properties(declared: Declared | None, stack_name: str, logical_id: str) -> dict[str, Any]:
    assert declared is not None
    sources: Mapping[str, Mapping[str, Any]] = {
        "digest": {"Digest": digest(declared.image)},
        "manifest": {"Manifest": {"Body": sample_images()[declared.image].manifest.decode()}},
        "tag": {"Tag": SOURCE_TAG},
    }
    properties: dict[str, Any] = {
        "ServiceTimeout": SERVICE_TIMEOUT,
        "RepositoryName": REPOSITORY,
        "ImageTags": list(declared.tags),
        "Source": sources[declared.source],
    }
    if declared.policy is Policy.UNTAG:
        properties["OnTagRemoved"] = "Untag"
    if declared.policy is Policy.DESTROY:
        properties["OnDelete"] = "Delete"
    if declared.has_parameter_name:
        properties["StateParameterName"] = f"/cdk-ecrpublic/{REPOSITORY}/{stack_name}.{logical_id}"
    return as_sent(properties)


def to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
