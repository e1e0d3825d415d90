"""Time as an argument, so that a test decides how it passes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from .errors import DeadlineError


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""


def wall_time(clock: Clock) -> float:
    """Return seconds since the epoch: by *clock*, if it has a ``wall()``, else by the machine."""
    wall = getattr(clock, "wall", time.time)
    return float(wall())


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which work must have stopped, so that an answer can still be sent."""

    clock: Clock
    expires: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """Let a deadline of *seconds* begin now."""
        return cls(clock, clock.now() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.expires - self.clock.now())

    def sooner(self, seconds: float) -> Deadline:
        """Return a deadline of *seconds* from now, or this one where that is earlier."""
        return Deadline(self.clock, min(self.expires, self.clock.now() + seconds))

    def check(self, doing: str) -> None:
        """
        Refuse to begin *doing* something when the time is up.

        Raises:
            DeadlineError: The deadline has passed.
        """
        if self.remaining <= 0:
            raise self.error(doing)

    def check_room(self, seconds: float, doing: str) -> None:
        """
        Refuse to begin *doing* something that has to end in time.

        Raises:
            DeadlineError: There are fewer *seconds* left.
        """
        if self.remaining < seconds:
            raise self.error(doing)

    @staticmethod
    def error(doing: str) -> DeadlineError:
        """Say that there was no time for *doing* something."""
        message = f"ran out of time before {doing}"
        return DeadlineError(message, hint="deploy again; what is done already is not done twice")
