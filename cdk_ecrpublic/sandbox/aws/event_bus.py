"""Emits events of CloudTrail on ministack's event bus, as its own services do."""

from __future__ import annotations

import json
from contextvars import copy_context

from ministack.core import iam_evaluator, responses
from ministack.services import eventbridge

from ..trail import EVENT_MAX_BYTES, TrailedCall

KEPT_EVENTS = 100
"""ministack would keep all events, with their manifests."""

_TYPES = {"root": "Root", "user": "IAMUser", "assumed-role": "AssumedRole"}


def emit(call: TrailedCall) -> None:
    """Emit the event of a call on the default bus of the account that owns the repository."""
    copy_context().run(_emit, call)


def _emit(call: TrailedCall) -> None:
    responses.set_request_region("us-east-1")
    responses.set_request_account_id(call.account)
    identity = _identity(call)
    responses.set_request_account_id(call.owner)
    detail = json.dumps(call.record(identity))
    if len(detail.encode()) > EVENT_MAX_BYTES:
        detail = json.dumps(call.record(identity, with_manifest=False))
    entry = {"Source": "aws.ecr-public", "DetailType": "AWS API Call via CloudTrail", "Detail": detail}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)  # noqa: SLF001
    del eventbridge._events_log_list()[:-KEPT_EVENTS]  # noqa: SLF001


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
