"""Deliver CloudFormation's requests to a function, and the responses back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from lambda_handler.cfn.waiting import KNOWN_SECONDS
from tests.protocol.cloudformation import Answer, AnswerAddress, as_sent, check

from .course import INVOCATIONS, LAMBDA_WAITS_SECONDS, Delivery, Properties, short_repr
from .function import Function, Run
from .scheduler import Scheduler

SERVICE_TIMEOUT_SECONDS = 300.0
"""How many seconds CloudFormation waits for a response."""


@dataclass(frozen=True)
class Request:
    """A request of CloudFormation."""

    kind: Literal["Create", "Update", "Delete"]
    stack_id: str
    logical_id: str
    properties: Properties
    physical_id: str | None = None
    old: Properties | None = None


@dataclass(eq=False)
class Transport:
    """
    The connection between CloudFormation and one function.

    Attributes:
        sent: All events that were sent.
    """

    scheduler: Scheduler
    function: Function
    address: AnswerAddress
    log: Callable[[str], None]
    sent: list[Mapping[str, Any]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(self, request: Request, delivery: Delivery) -> Answer | None:
        """Send a request; return the first response that arrives in time."""
        event = self._event(request)
        identity = event["RequestId"]
        self.sent.append(event)
        self.log(
            f"{_short(event)} {request.physical_id or ''} {'' if delivery == Delivery() else short_repr(delivery)}"
        )
        ended: list[Callable[[], bool]] = []
        if delivery.lost != "request":
            ended = self._deliver(event, delivery)
        if delivery.lost == "answer":
            self.address.expired.add(identity)
        if delivery.lost == "confirmation":
            self.address.unconfirmed.add(identity)

        def is_answered() -> bool:
            return identity in self.address.received and (not delivery.twice or all(is_over() for is_over in ended))

        self.scheduler.until(is_answered, SERVICE_TIMEOUT_SECONDS)
        assert self.address.problems == []
        bodies = self.address.received.get(identity)
        answer = check(event, bodies[0]) if bodies else None
        self.log(f"{_short(event)}: {f'{answer.status} {answer.reason}' if answer else 'no response'}")
        return answer

    def repeat(self, event: Mapping[str, Any], *, is_cold: bool) -> None:
        """Deliver an old event again."""
        self.log(f"{_short(event)} is delivered again")
        self.function.invoke(event, Run(), cold=is_cold)

    def clear(self) -> None:
        """Discard all requests and responses."""
        self.sent.clear()
        for holds in (self.address.received, self.address.expired, self.address.unconfirmed, self.address.problems):
            holds.clear()

    def _deliver(self, event: Mapping[str, Any], delivery: Delivery) -> list[Callable[[], bool]]:
        ended = [self.scheduler.begin(lambda: self._invoke(event, delivery), delivery.queued_seconds)]
        if delivery.twice == "at once":
            ended.append(self.scheduler.begin(lambda: self._invoke(event, delivery), delivery.queued_seconds))
        for after in delivery.later:
            self.scheduler.begin(partial(self._repeat, event, delivery, after), after)
        return ended

    def _repeat(self, event: Mapping[str, Any], delivery: Delivery, after: float) -> None:
        # "Not restored": a request that comes to another instance within ten seconds is acted on.
        if after >= KNOWN_SECONDS or self.function.has_responded_to(event):
            self.repeat(event, is_cold=delivery.is_cold)

    def _invoke(self, event: Mapping[str, Any], delivery: Delivery) -> None:
        """Invoke the function as Lambda does, with two more attempts after failures."""
        for number in range(INVOCATIONS):
            if self.function.invoke(event, delivery.run(number)):
                break
            if number < len(LAMBDA_WAITS_SECONDS):
                self.scheduler.sleep(LAMBDA_WAITS_SECONDS[number])
        if delivery.twice == "again":
            self.function.invoke(event, Run())

    def _event(self, request: Request) -> dict[str, Any]:
        number = next(self.numbers)
        identity = f"{number:08x}-0000-4000-8000-123456789abc"
        optional = {
            "PhysicalResourceId": request.physical_id,
            "OldResourceProperties": request.old and as_sent(request.old),
        }
        return {
            "RequestType": request.kind,
            "RequestId": identity,
            "ResponseURL": f"{self.address.url}/{identity}?{_signature(self.scheduler.wall)}",
            "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:handler",
            "StackId": request.stack_id,
            "LogicalResourceId": request.logical_id,
            "ResourceType": "Custom::ECRPublicImage",
            "ResourceProperties": as_sent(request.properties),
            **{key: value for key, value in optional.items() if value is not None},
        }


def _signature(wall: float) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    return (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={stamp}&X-Amz-SignedHeaders=host&X-Amz-Expires=7199"
        "&X-Amz-Credential=AKIAEXAMPLE%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=5ecret51gnature"
    )


def _short(event: Mapping[str, Any]) -> str:
    number = int(event["RequestId"].partition("-")[0], 16)
    return f"[{number}] {event['RequestType']} {event['StackId'].split('/')[1]}.{event['LogicalResourceId']}"
