"""CloudFormation's requests on their way to a function, and the answers on theirs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.protocol.cloudformation import Answer, AnswerAddress, as_sent, check

from .course import INVOCATIONS, LAMBDA_WAITS_SECONDS, Delivery, Properties, shortly
from .function import Function, Run
from .stage import Stage

SERVICE_TIMEOUT_SECONDS = 300.0
"""How long CloudFormation waits for an answer."""


@dataclass(frozen=True)
class Request:
    """What CloudFormation asks for."""

    kind: Literal["Create", "Update", "Delete"]
    stack_id: str
    logical_id: str
    properties: Properties
    physical_id: str | None = None
    old: Properties | None = None


@dataclass(eq=False)
class Mail:
    """
    The way between CloudFormation and one function.

    Attributes:
        sent: All events that ever were on the way.
    """

    stage: Stage
    function: Function
    address: AnswerAddress
    tell: Callable[[str], None]
    sent: list[Mapping[str, Any]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(self, request: Request, delivery: Delivery) -> Answer | None:
        """Send a request; return the first answer that comes in time."""
        event = self._event(request)
        identity = event["RequestId"]
        self.sent.append(event)
        self.tell(f"{_short(event)} {request.physical_id or ''} {'' if delivery == Delivery() else shortly(delivery)}")
        ended: list[Callable[[], bool]] = []
        if delivery.lost != "request":
            ended = self._deliver(event, delivery)
        if delivery.lost == "answer":
            self.address.expired.add(identity)
        if delivery.lost == "confirmation":
            self.address.unconfirmed.add(identity)

        def is_answered() -> bool:
            return identity in self.address.received and (not delivery.twice or all(is_over() for is_over in ended))

        self.stage.until(is_answered, SERVICE_TIMEOUT_SECONDS)
        assert self.address.problems == []
        bodies = self.address.received.get(identity)
        answer = check(event, bodies[0]) if bodies else None
        self.tell(f"{_short(event)} was answered {f'{answer.status} {answer.reason}' if answer else 'by nobody'}")
        return answer

    def repeat(self, event: Mapping[str, Any], *, is_cold: bool) -> None:
        """Deliver an event of long ago once more."""
        self.tell(f"{_short(event)} is delivered again")
        self.function.invoke(event, Run(), cold=is_cold)

    def clear(self) -> None:
        """Forget all requests and answers."""
        self.sent.clear()
        for holds in (self.address.received, self.address.expired, self.address.unconfirmed, self.address.problems):
            holds.clear()

    def _deliver(self, event: Mapping[str, Any], delivery: Delivery) -> list[Callable[[], bool]]:
        ended = [self.stage.begin(lambda: self._invoke(event, delivery), delivery.queued_seconds)]
        if delivery.twice == "at once":
            ended.append(self.stage.begin(lambda: self._invoke(event, delivery), delivery.queued_seconds))
        for after in delivery.later:
            self.stage.begin(lambda: self.repeat(event, is_cold=delivery.is_cold), after)
        return ended

    def _invoke(self, event: Mapping[str, Any], delivery: Delivery) -> None:
        """Invoke the function as Lambda does, again and again until it succeeds."""
        for number in range(INVOCATIONS):
            if self.function.invoke(event, delivery.run(number)):
                break
            if number < len(LAMBDA_WAITS_SECONDS):
                self.stage.sleep(LAMBDA_WAITS_SECONDS[number])
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
            "ResponseURL": f"{self.address.url}/{identity}?{_signature(self.stage.wall)}",
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
