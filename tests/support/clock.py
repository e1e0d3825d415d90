"""A clock for tests: time passes only when a test or the code under test lets it."""

from __future__ import annotations

from dataclasses import dataclass, field

EPOCH = 1_790_000_000.0
"""What time it is when a test begins: a day in September 2026."""


@dataclass
class SteppingClock:
    """
    Sleeping moves the time on at once, and is written down.

    Attributes:
        epoch: The wall's time, in seconds since 1970, when *time* is 0.
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
        """Let time pass that the code under test did not ask for."""
        self.time += seconds
