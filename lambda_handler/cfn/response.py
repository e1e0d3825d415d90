"""The responses to CloudFormation, of at most 4096 bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .event import Event

RESPONSE_MAX_BYTES = 4096
"""CloudFormation discards a longer response, including its reason."""

REASON_MAX_CHARACTERS = 1500

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
