"""A clock for tests: time passes only if a test or the code under test moves it."""

from __future__ import annotations

from dataclasses import dataclass, field

EPOCH = 1_790_000_000.0
"""The time at the start of a test: a day in September 2026."""


@dataclass
class SteppingClock:
    """
    A clock whose sleep returns immediately, moves the time, and is recorded.

    Attributes:
        epoch: The wall-clock time when *time* is 0, in seconds since 1970.
    """

    time: float = 0.0
    slept: list[float] = field(default_factory=list)
    epoch: float = EPOCH

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.epoch + self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def pass_by(self, seconds: float) -> None:
        """Move the time, as if other things took that long."""
        self.time += seconds
