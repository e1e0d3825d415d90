"""
The only layer of retries, for AWS API calls and HTTP requests.

The retries of botocore and urllib3 are disabled: two layers would multiply,
and botocore's standard mode retries ``LimitExceededException``, which never
succeeds.

The type of the error decides how long to retry:

- throttling: until the deadline;
- a permission or content that may not be visible yet: a minute;
- a server error or a lost connection: six attempts;
- anything else: not retried.
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
"""With waits of about 0.4, 0.8, 1.5, 3 and 6 s: about 12 s in total."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 8.0

CONSISTENCY_TIMEOUT_SECONDS = 60.0
"""IAM and ECR Public are eventually consistent: a new policy or image is visible within a minute."""

CONSISTENCY_WAIT_SECONDS = 4.0

THROTTLED_WAIT_SECONDS = 10.0
"""
The longest wait after throttling.

Hundreds of functions share a quota of 10 PutImage per second. The quota is
fully used as long as enough functions send a request in each second, so a
shorter wait only adds requests that fail. A longer wait leaves the quota idle
when only a few functions are left: see ``tests/unit/test_throttling.py``.
"""

SHORTEST_WAIT_SECONDS = 0.25

THROTTLED_SHARE = 3
"""
No wait after throttling takes more than a third of the remaining time.

So the functions with the least time left retry most often: those that started
first, and those that move tags back.
"""


@dataclass(slots=True, eq=False, repr=False)
class Retry:
    """
    Repeats an action that may succeed the next time, up to the deadline.

    Attributes:
        deadline: No wait ends and no attempt starts after it.
        jitter: Returns a random number from 0 to 1 that varies each wait, so
            that several functions do not retry at the same time.
        permissions_may_be_new: Whether a denied call is retried at all.
    """

    deadline: Deadline
    log: Log
    jitter: Callable[[], float] = random.random
    permissions_may_be_new: bool = True

    def call(self, doing: str, action: Callable[[], T], *, retry_access_denied: bool = False) -> T:
        """
        Run *action* until it succeeds or fails permanently.

        Args:
            doing: What the action does, for the log and for a DeadlineError.
            action: Raises a retryable ImageError if it may be repeated.
            retry_access_denied: Whether to retry AccessError for a minute,
                because a new permission may not be effective yet.

        Raises:
            ImageError: The last error.
        """
        return self.start(doing, retry_access_denied=retry_access_denied).call(action)

    def start(self, doing: str, *, retry_access_denied: bool = False) -> Attempts:
        """Count the attempts at *doing* something that the caller repeats itself; arguments as in ``call``."""
        return Attempts(
            doing=doing,
            deadline=self.deadline,
            log=self.log,
            jitter=self.jitter,
            retry_access_denied=retry_access_denied and self.permissions_may_be_new,
        )


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Attempts:
    """
    The failed attempts at one action.

    Each kind of failure is counted separately: throttling does not use up the
    six attempts of a lost connection.

    Attributes:
        retry_access_denied: Whether to retry AccessError for a minute.
        most: The number of attempts after server errors and lost connections.
    """

    doing: str
    deadline: Deadline
    log: Log
    jitter: Callable[[], float]
    retry_access_denied: bool
    most: int = ATTEMPTS
    _number: int = field(default=0, init=False)
    _throttled: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _inconsistent_since: float | None = field(default=None, init=False)
    _last: str = field(default="", init=False)

    def call(self, action: Callable[[], T]) -> T:
        """
        Run *action* until it succeeds or fails permanently.

        Raises:
            ImageError: The last error. If time runs out, a DeadlineError that has the error before it.
        """
        outcome_unknown = False
        while True:
            try:
                self.deadline.check(self.doing)
                return action()
            except ImageError as error:
                outcome_unknown = error.outcome_unknown = outcome_unknown or isinstance(error, UnavailableError)
                self.pause(error)

    def progressed(self) -> None:
        """Reset all counts, because a part of the work has succeeded."""
        self._number, self._throttled, self._failed, self._inconsistent_since = 0, 0, 0, None

    def pause(self, error: ImageError) -> None:
        """
        Wait before the next attempt, or raise *error* again.

        Raises:
            ImageError: *error*, if another attempt would not help or would be
                too late. A DeadlineError gets the error before it as context.
        """
        if isinstance(error, DeadlineError):
            raise error.add_context(self._last)
        self._number += 1
        wait = self._wait(error)
        if wait is None or wait >= self.deadline.remaining:
            raise error
        message = f"{self.doing}: retrying in {wait:.1f} s: {error.explain()}"
        self.log.warning(message, attempt=self._number, code=error.code)
        self._last = error.explain()
        self.deadline.clock.sleep(wait)

    def _wait(self, error: ImageError) -> float | None:
        """Return the seconds to wait; None if the error is not retried."""
        if isinstance(error, ThrottledError):
            return self._throttled_wait()
        is_eventual = (
            self.retry_access_denied and isinstance(error, AccessError) and not isinstance(error, CredentialsError)
        )
        if is_eventual or isinstance(error, NotYetVisibleError):
            return self._consistency_wait()
        self._failed += 1
        if not error.retryable or self._failed >= self.most:
            return None
        return self._jittered(min(LONGEST_WAIT_SECONDS, _doubled(self._failed)))

    def _throttled_wait(self) -> float:
        self._throttled += 1
        longest = min(THROTTLED_WAIT_SECONDS, _doubled(self._throttled), self.deadline.remaining / THROTTLED_SHARE)
        # Full jitter spreads the requests of many functions over the whole interval.
        return max(SHORTEST_WAIT_SECONDS, longest * self.jitter())

    def _consistency_wait(self) -> float | None:
        now = self.deadline.clock.now()
        if self._inconsistent_since is None:
            self._inconsistent_since = now
        keep_waiting = now - self._inconsistent_since < CONSISTENCY_TIMEOUT_SECONDS
        return self._jittered(CONSISTENCY_WAIT_SECONDS) if keep_waiting else None

    def _jittered(self, seconds: float) -> float:
        """Return between half and all of *seconds*."""
        return seconds * (0.5 + self.jitter() / 2)


def _doubled(times: int) -> float:
    """Return the first wait, doubled with each failure, ten times at most."""
    return FIRST_WAIT_SECONDS * 2.0 ** min(times - 1, 10)
