"""What a run may cost: requests, bytes and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import BudgetError

MIB = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Budget:
    """
    The hard limits of a run. The transport spends it before it sends.

    Attributes:
        requests: The number of requests that are left.
        payload: The number of bytes that are left, in both directions.
        seconds: The time for the whole run.
        clock: Returns the time in seconds.
    """

    requests: int
    payload: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    spent_requests: int = 0
    spent_bytes: int = 0
    _begin: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._begin = self.clock()

    @property
    def spent_seconds(self) -> float:
        """The time since the beginning."""
        return self.clock() - self._begin

    @property
    def seconds_left(self) -> float:
        """The time until nothing may be sent any more."""
        return max(self.seconds - self.spent_seconds, 0.0)

    def spend(self, size: int) -> None:
        """
        Spend one request with a body of *size* bytes.

        Raises:
            BudgetError: Nothing is left.
        """
        with self._lock:
            self._spend(size)

    def check_wait(self, seconds: float) -> None:
        """
        Check that a wait ends in time.

        Raises:
            BudgetError: It does not.
        """
        if seconds > self.seconds_left:
            message = f"the budget of {self.seconds:,.0f} seconds does not allow to wait {seconds:,.0f} more"
            raise BudgetError(message)

    def receive(self, size: int) -> None:
        """Count the bytes of a response. The next request notices an excess."""
        with self._lock:
            self.spent_bytes += size

    def _spend(self, size: int) -> None:
        limits = {
            "requests": (self.spent_requests + 1, self.requests),
            "bytes": (self.spent_bytes + size, self.payload),
            "seconds": (self.spent_seconds, self.seconds),
        }
        for unit, (spent, limit) in limits.items():
            if spent > limit:
                message = f"the budget of {limit:,.0f} {unit} is spent"
                raise BudgetError(message)
        self.spent_requests += 1
        self.spent_bytes += size


def usual() -> Budget:
    """Return the budget of the cases that are run by default."""
    return Budget(requests=1_000, payload=64 * MIB, seconds=10 * 60)


def for_limits() -> Budget:
    """Return the budget of a run that also measures rates and quotas."""
    return Budget(requests=4_000, payload=256 * MIB, seconds=30 * 60)


def for_slow() -> Budget:
    """Return the budget of a run that also waits until something expires."""
    return Budget(requests=6_000, payload=256 * MIB, seconds=140 * 60)


def for_stacks() -> Budget:
    """Return the budget of a run that also deploys stacks, and possibly measures rates."""
    return Budget(requests=5_000, payload=256 * MIB, seconds=50 * 60)


def for_cleanup() -> Budget:
    """Return the budget for removing what a run created."""
    return Budget(requests=1_000, payload=16 * MIB, seconds=15 * 60)
