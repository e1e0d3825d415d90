"""Whether CloudFormation still waits for the response to a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..clock import wall_time
from ..errors import ImageError, TooLateError
from ..retry import Retry
from .event import Event, RequestType

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

    def has_changed_since(self, logical_resource_id: str, sent: float, *, is_deletion: bool) -> bool:
        """Whether the status of a resource is no longer that of the request for it, which was sent at that time."""


@dataclass(slots=True, eq=False, repr=False)
class Waiting:
    """
    Whether CloudFormation still waits for the response to a request.

    It does not wait for a Create or Update that is running when another
    resource fails: it sends the request that undoes it at once.

    Attributes:
        retry: Has the clock, and retries questions.
        history: Returns what CloudFormation reports of the stack of the request; each question needs it anew.
        _known: When CloudFormation was last known to wait, in seconds since the epoch.
        _late: Why it does not wait any more, if it was asked.
    """

    request: Event
    retry: Retry
    history: Callable[[Retry], History]
    _known: float = field(init=False)
    _late: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._known = self.request.sent

    def check(self, known_seconds: float = KNOWN_SECONDS) -> None:
        """
        Ask CloudFormation, unless the last answer is not older. Without an answer, CloudFormation is taken to wait.

        Raises:
            TooLateError: CloudFormation does not wait any more.
        """
        now = wall_time(self.retry.deadline.clock)
        waited = now - self.request.sent
        if waited >= self.request.service_timeout:
            self._late = f", but CloudFormation waits only {self.request.service_timeout} s"
        elif not self._late and now - self._known >= known_seconds:
            self._known = now
            self._late = self._ask()
        if self._late:
            message = f"the request is too late: it was sent {waited:.0f} s ago{self._late}"
            raise TooLateError(message)

    def _ask(self) -> str:
        request, retry = self.request, replace(self.retry, deadline=self.retry.deadline.sooner(ASK_SECONDS))
        is_deletion, history = request.request_type is RequestType.DELETE, self.history(retry)
        try:
            if history.is_idle:
                return "; the stack has no operation in progress any more"
            if history.has_changed_since(request.logical_resource_id, request.sent, is_deletion=is_deletion):
                return "; the status of the resource has changed since"
        except ImageError as error:
            # Each tag would wait for an answer otherwise.
            self._known = wall_time(retry.deadline.clock)
            retry.log.warning(f"cannot tell whether CloudFormation still waits for the request: {error.explain()}")
        return ""
