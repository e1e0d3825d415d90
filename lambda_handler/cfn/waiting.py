"""Whether CloudFormation still waits for the response to a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..clock import wall_time
from ..errors import ImageError, TooLateError
from ..retry import Retry
from .event import Event

KNOWN_SECONDS = 10.0
"""
How long CloudFormation is taken to wait after it sent the request, or was asked.

A cold start takes two or three seconds, so an older request was queued, was
repeated, or is slow.
"""

ASK_SECONDS = 30.0
"""How long to retry each question. Hundreds of requests may ask at once, and use up the quota of CloudFormation."""


class History(Protocol):
    """What CloudFormation reports of a stack now."""

    @property
    def is_idle(self) -> bool:
        """Whether no operation is in progress."""

    def has_changed_since(self, logical_resource_id: str, sent: float) -> bool:
        """Whether the status of a resource has changed since."""


@dataclass(slots=True, eq=False, repr=False)
class Waiting:
    """
    Whether CloudFormation still waits for the response to a request.

    It does not wait for a Create or Update that is running when another
    resource fails: it sends the request that undoes it at once.

    Attributes:
        retry: Has the clock, and retries questions.
        history: Returns what CloudFormation reports of the stack of the request; each question needs it anew.
    """

    request: Event
    retry: Retry
    history: Callable[[Retry], History]
    _known: float = field(init=False)

    def __post_init__(self) -> None:
        self._known = self.request.sent

    def check(self) -> None:
        """
        Ask CloudFormation, unless it is known. Without an answer, CloudFormation is taken to wait.

        Raises:
            TooLateError: CloudFormation does not wait any more.
        """
        now = wall_time(self.retry.deadline.clock)
        waited = now - self.request.sent
        why = ""
        if waited >= self.request.service_timeout:
            why = f", but CloudFormation waits only {self.request.service_timeout} s"
        elif now - self._known >= KNOWN_SECONDS:
            why = self._ask()
            self._known = wall_time(self.retry.deadline.clock)
        if why:
            message = f"the request is too late: it was sent {waited:.0f} s ago{why}"
            raise TooLateError(message)

    def _ask(self) -> str:
        retry = replace(self.retry, deadline=self.retry.deadline.sooner(ASK_SECONDS))
        history = self.history(retry)
        try:
            if history.is_idle:
                return "; the stack has no operation in progress any more"
            if history.has_changed_since(self.request.logical_resource_id, self.request.sent):
                return "; the status of the resource has changed since"
        except ImageError as error:
            retry.log.warning(f"cannot tell whether CloudFormation still waits for the request: {error.explain()}")
        return ""
