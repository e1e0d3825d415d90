"""
The one layer of retries, for API calls and HTTP requests alike.

botocore's and urllib3's own retries are switched off: two layers multiply,
and botocore's standard mode retries ``LimitExceededException``, which no wait
cures.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .clock import Deadline
from .errors import AccessError, ImageError, NotYetVisibleError, ThrottledError, UnavailableError
from .log import Log

T = TypeVar("T")

ATTEMPTS = 6
"""Waits of about 0.4, 0.8, 1.5, 3 and 6 s: some 12 s in all."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0

PATIENCE_SECONDS = 60.0
"""
IAM and ECR Public are eventually consistent: a new policy or image takes effect within a minute.

And so long a rate limit is waited for, however often: others share it, and
some of them are our own requests, side by side. Anonymous readers of ECR
Public have one request a second.
"""

PATIENT_WAIT_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Repeats what may succeed the next time, within a number of attempts and the deadline.

    Attributes:
        deadline: No wait goes beyond it, and no attempt begins after it.
        jitter: A number from 0 to 1; each wait is between half and all of its
            nominal length, so that several functions do not march in step.
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
        started = self.deadline.clock.now()
        attempt, unanswered = 0, False
        while True:
            self.deadline.check(doing)
            attempt += 1
            try:
                return action()
            except ImageError as error:
                unanswered = error.unanswered = unanswered or isinstance(error, UnavailableError)
                self.pause(doing, error, attempt, waited=self.deadline.clock.now() - started, settle=settle)

    def pause(self, doing: str, error: ImageError, attempt: int, *, waited: float = 0.0, settle: bool = False) -> None:
        """
        Wait before attempt number *attempt* + 1, or give up by raising *error* again.

        Args:
            waited: Seconds since the first attempt.

        Raises:
            ImageError: *error*, when another attempt would not help, or not
                be in time.
        """
        wait = self._wait(error, attempt, waited, settle=settle)
        if wait is None or wait >= self.deadline.remaining:
            raise error
        message = f"{doing}: trying again in {wait:.1f} s, because: {error.explain()}"
        self.log.warning(message, attempt=attempt, code=error.code)
        self.deadline.clock.sleep(wait)

    def _wait(self, error: ImageError, attempt: int, waited: float, *, settle: bool) -> float | None:
        if isinstance(error, NotYetVisibleError) or (settle and isinstance(error, AccessError)):
            return self._jittered(PATIENT_WAIT_SECONDS) if waited < PATIENCE_SECONDS else None
        grown = FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
        if isinstance(error, ThrottledError):
            return self._jittered(min(PATIENT_WAIT_SECONDS, grown)) if waited < PATIENCE_SECONDS else None
        if not error.retryable or attempt >= ATTEMPTS:
            return None
        return self._jittered(min(LONGEST_WAIT_SECONDS, grown))

    def _jittered(self, seconds: float) -> float:
        return seconds * (0.5 + self.jitter() / 2)
