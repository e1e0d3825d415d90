"""What CloudFormation gets back: at most 4096 bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .event import Event

RESPONSE_MAX_BYTES = 4096
"""CloudFormation drops a longer answer, and with it the reason."""

REASON_MAX_CHARACTERS = 1500

_CUT = " ... (cut here; the function's log has all of it)"


class Status(StrEnum):
    """The two words that CloudFormation knows."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """
    An answer.

    Attributes:
        physical_resource_id: Never empty, at most 1 KB, also on failure:
            without it CloudFormation hides the reason and invents an id.
        data: What ``Fn::GetAtt`` reads: flat, strings only.

    Source:
        CloudFormation user guide, "Custom resource response objects".
    """

    status: Status
    physical_resource_id: str
    reason: str = ""
    data: Mapping[str, str] = field(default_factory=dict)

    def encode(self, event: Event) -> bytes:
        """
        Write the answer to *event*, whatever it takes to keep within 4096 bytes.

        The beginning of the reason is kept, since it names the cause. An
        answer that is too long without any reason fails instead, so that no
        stack goes on without the attributes that it relies on.
        """
        limit = REASON_MAX_CHARACTERS
        while limit:
            body = _body(self, event, _cut(self.reason, limit))
            if len(body) <= RESPONSE_MAX_BYTES:
                return body
            limit //= 2
        why = f"the answer's data does not fit the {RESPONSE_MAX_BYTES} bytes that CloudFormation takes"
        return _body(Response(status=Status.FAILED, physical_resource_id=self.physical_resource_id), event, why)


def _body(response: Response, event: Event, reason: str) -> bytes:
    answer = {
        "Status": response.status.value,
        "Reason": reason,
        "PhysicalResourceId": response.physical_resource_id,
        "StackId": event.stack_id,
        "RequestId": event.request_id,
        "LogicalResourceId": event.logical_resource_id,
        "Data": dict(response.data),
    }
    # Escapes would take up to six bytes for a character. A lone surrogate has no bytes, but an escape in JSON.
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + _CUT
