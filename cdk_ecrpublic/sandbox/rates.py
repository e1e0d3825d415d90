"""Rate limits, as token buckets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Rates:
    """
    One bucket for each name. A bucket holds the requests of one second, and at least one request.

    Attributes:
        clock: Returns the time in seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def allows(self, name: str, per_second: float | None) -> bool:
        """Count a request, and return whether it is within the limit; None means no limit."""
        if per_second is None:
            return True
        now = self.clock()
        size = max(per_second, 1.0)
        level, filled_at = self._buckets.get(name, (size, now))
        level = min(size, level + (now - filled_at) * per_second)
        self._buckets[name] = (level - 1 if level >= 1 else level, now)
        return level >= 1
