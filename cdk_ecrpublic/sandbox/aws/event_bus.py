"""Emits events of CloudTrail on ministack's event bus, as its own services do, and keeps them for LookupEvents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import copy_context

from ministack.core import iam_evaluator, responses
from ministack.services import cloudtrail, eventbridge

from ..trail import EVENT_MAX_BYTES, TrailedCall

KEPT_EVENTS = 100
"""ministack would keep all events, with their manifests."""

KEPT_FOR_LOOKUP = 1_000
"""The number of events that LookupEvents finds."""

_TYPES = {"root": "Root", "user": "IAMUser", "assumed-role": "AssumedRole"}


def emit(call: TrailedCall) -> None:
    """Emit the event of a call on the default bus of the account that owns the repository."""
    copy_context().run(_emit, call)


def _emit(call: TrailedCall) -> None:
    responses.set_request_region("us-east-1")
    responses.set_request_account_id(call.account)
    identity = _identity(call)
    responses.set_request_account_id(call.owner)
    record = call.record(identity)
    if len(json.dumps(record).encode()) > EVENT_MAX_BYTES:
        record = call.record(identity, with_manifest=False)
    detail = json.dumps(record)
    entry = {"Source": "aws.ecr-public", "DetailType": "AWS API Call via CloudTrail", "Detail": detail}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)  # noqa: SLF001
    del eventbridge._events_log_list()[:-KEPT_EVENTS]  # noqa: SLF001
    _keep(call, record, str(identity.get("userName", "root")))


def _keep(call: TrailedCall, record: Mapping[str, object], user: str) -> None:
    """Keep an event as LookupEvents returns it."""
    events = cloudtrail._get_event_queue()  # noqa: SLF001
    events.append(
        {
            "EventId": record["eventID"],
            "EventName": call.operation,
            "EventSource": record["eventSource"],
            "EventTime": call.time,
            "Username": user,
            "AccessKeyId": call.access_key,
            "ReadOnly": "false",
            "Resources": [],
            "CloudTrailEvent": json.dumps(record),
        }
    )
    while len(events) > KEPT_FOR_LOOKUP:
        events.popleft()


def _identity(call: TrailedCall) -> dict[str, object]:
    """Return who called, in the form of CloudTrail."""
    found = iam_evaluator.resolve_caller_identity(call.access_key)
    arn = str(found["userArn"]) if found else f"arn:aws:iam::{call.account}:root"
    kind, _, name = arn.split(":")[5].partition("/")
    return {
        "type": _TYPES.get(kind, "Unknown"),
        "principalId": str(found["userId"]) if found else call.account,
        "arn": arn,
        "accountId": call.account,
        "accessKeyId": call.access_key,
        **({"userName": name.rpartition("/")[2]} if kind == "user" else {}),
    }
