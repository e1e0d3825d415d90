"""Time as an argument, so that tests control it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from .errors import DeadlineError


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Return seconds on a monotonic clock."""

    def sleep(self, seconds: float) -> None:
        """Wait *seconds*."""


def wall_time(clock: Clock) -> float:
    """Return seconds since the epoch, from ``clock.wall()`` if it exists, otherwise from the system."""
    wall = getattr(clock, "wall", time.time)
    return float(wall())


class SystemClock:
    """The system clock."""

    def now(self) -> float:
        """Return seconds on the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time at which work must stop so that a response can still be sent."""

    clock: Clock
    expires: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """Return a deadline *seconds* from now."""
        return cls(clock, clock.now() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.expires - self.clock.now())

    def sooner(self, seconds: float) -> Deadline:
        """Return a deadline *seconds* from now, or this one if it is earlier."""
        return Deadline(self.clock, min(self.expires, self.clock.now() + seconds))

    def check(self, doing: str) -> None:
        """
        Refuse to start *doing* something after the deadline.

        Raises:
            DeadlineError: The deadline has passed.
        """
        if self.remaining <= 0:
            raise self.error(doing)

    def check_room(self, seconds: float, doing: str) -> None:
        """
        Refuse to start *doing* something that may take *seconds*.

        Raises:
            DeadlineError: Less time is left.
        """
        if self.remaining < seconds:
            raise self.error(doing)

    @staticmethod
    def error(doing: str) -> DeadlineError:
        """Return the error for *doing* something after the deadline."""
        message = f"ran out of time before {doing}"
        return DeadlineError(message, hint="deploy again; completed work is not repeated")
