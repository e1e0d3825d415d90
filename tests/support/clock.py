"""A clock for tests: time passes only when somebody lets it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SteppingClock:
    """Sleeping moves the time on at once, and is written down."""

    time: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
