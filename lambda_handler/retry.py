"""
The one layer of retries, for API calls and HTTP requests alike.

botocore's and urllib3's own retries are switched off: two layers multiply,
and botocore's standard mode retries ``LimitExceededException``, which no wait
cures.

How long a failure is waited for depends on its type:

- a rate limit, until the deadline: it passes for certain;
- what was granted or written a moment ago and cannot be seen yet, a minute;
- a server error or a lost connection, six attempts;
- anything else, not at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from .clock import Deadline
from .errors import (
    AccessError,
    CredentialsError,
    DeadlineError,
    ImageError,
    NotYetVisibleError,
    ThrottledError,
    UnavailableError,
)
from .log import Log

T = TypeVar("T")

ATTEMPTS = 6
"""Waits of about 0.4, 0.8, 1.5, 3 and 6 s: some 12 s in all."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0

PATIENCE_SECONDS = 60.0
"""IAM and ECR Public are eventually consistent: a new policy or image takes effect within a minute."""

PATIENT_WAIT_SECONDS = 4.0

THROTTLED_WAIT_SECONDS = 10.0
"""
The longest wait for a rate limit.

Hundreds of functions share 10 PutImage a second. All of a quota is used as
long as enough of them ask in each second, so a shorter wait gains nothing but
requests in vain; a longer one leaves the quota idle when few are left, and
that time is lost at the end: ``tests/unit/test_throttling.py``.
"""

SHORTEST_WAIT_SECONDS = 0.25

THROTTLED_SHARE = 3
"""
No wait for a rate limit takes more than this part of the time that is left.

So the functions with the least time ask most often: those that began first,
and those that point tags back.
"""


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Repeats what may succeed the next time, until it does or the deadline is near.

    Attributes:
        deadline: No wait goes beyond it, and no attempt begins after it.
        jitter: A number from 0 to 1; makes each wait as long as chance has
            it, so that several functions do not march in step.
    """

    deadline: Deadline
    log: Log
    jitter: Callable[[], float] = random.random

    def call(self, doing: str, action: Callable[[], T], *, settle: bool = False) -> T:
        """
        Run *action* until it succeeds, or fails for good.

        Args:
            doing: What it does, for the log and for a DeadlineError.
            action: Raises a retryable ImageError when it may be repeated.
            settle: Also wait, up to a minute, for a permission that was
                granted just now.

        Raises:
            ImageError: The last failure.
        """
        attempts, unanswered = self.start(doing, settle=settle), False
        while True:
            try:
                attempts.deadline.check(doing)
                return action()
            except ImageError as error:
                unanswered = error.unanswered = unanswered or isinstance(error, UnavailableError)
                if isinstance(error, DeadlineError):
                    raise
                attempts.pause(error)

    def start(self, doing: str, *, settle: bool = False) -> Attempts:
        """Begin to count attempts at *doing* something that the caller repeats itself; arguments as for ``call``."""
        return Attempts(doing=doing, deadline=self.deadline, log=self.log, jitter=self.jitter, settle=settle)


@dataclass(slots=True, kw_only=True)
class Attempts:
    """
    The failures of one thing that is tried again and again, and when they began.

    Each kind of failure is counted by itself: a long wait for a rate limit
    leaves a lost connection its six attempts.

    Attributes:
        settle: Whether a permission may have been granted just now.
        most: How many attempts a server error or a lost connection gets.
    """

    doing: str
    deadline: Deadline
    log: Log
    jitter: Callable[[], float]
    settle: bool
    most: int = ATTEMPTS
    _number: int = field(default=0, init=False)
    _throttled: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _unsettled_since: float | None = field(default=None, init=False)

    def progressed(self) -> None:
        """Begin anew: a part of it has succeeded."""
        self._number, self._throttled, self._failed, self._unsettled_since = 0, 0, 0, None

    def pause(self, error: ImageError) -> None:
        """
        Wait before the next attempt, or give up by raising *error* again.

        Raises:
            ImageError: *error*, when another attempt would not help, or not
                be in time.
        """
        self._number += 1
        wait = self._wait(error)
        if wait is None or wait >= self.deadline.remaining:
            raise error
        message = f"{self.doing}: trying again in {wait:.1f} s, because: {error.explain()}"
        self.log.warning(message, attempt=self._number, code=error.code)
        self.deadline.clock.sleep(wait)

    def _wait(self, error: ImageError) -> float | None:
        """Return how long to wait, in seconds; None when waiting does not help."""
        if isinstance(error, ThrottledError):
            return self._until_there_is_room()
        may_settle = self.settle and isinstance(error, AccessError) and not isinstance(error, CredentialsError)
        if may_settle or isinstance(error, NotYetVisibleError):
            return self._until_it_is_seen()
        self._failed += 1
        if not error.retryable or self._failed >= self.most:
            return None
        return self._jittered(min(LONGEST_WAIT_SECONDS, _doubled(self._failed)))

    def _until_there_is_room(self) -> float:
        self._throttled += 1
        longest = min(THROTTLED_WAIT_SECONDS, _doubled(self._throttled), self.deadline.remaining / THROTTLED_SHARE)
        # Anything from nothing to all of it: the requests of many functions spread over the whole time.
        return max(SHORTEST_WAIT_SECONDS, longest * self.jitter())

    def _until_it_is_seen(self) -> float | None:
        now = self.deadline.clock.now()
        if self._unsettled_since is None:
            self._unsettled_since = now
        is_patient = now - self._unsettled_since < PATIENCE_SECONDS
        return self._jittered(PATIENT_WAIT_SECONDS) if is_patient else None

    def _jittered(self, seconds: float) -> float:
        """Return between half and all of a wait."""
        return seconds * (0.5 + self.jitter() / 2)


def _doubled(times: int) -> float:
    """Return the first wait, doubled with each failure; no more often than a number can hold."""
    return FIRST_WAIT_SECONDS * 2.0 ** min(times - 1, 10)
