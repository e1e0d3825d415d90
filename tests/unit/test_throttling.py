"""
Hundreds of functions share a quota: all of it is used, and every one of them gets its turn.

The waits are the handler's own; each function has a clock of its own, and the
one whose clock is behind asks next. So minutes pass in a second, and a seed
decides each length.
"""

from __future__ import annotations

import heapq
import io
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from lambda_handler.clock import Deadline
from lambda_handler.errors import ThrottledError
from lambda_handler.log import Log
from lambda_handler.retry import Attempts, Retry
from tests.support.clock import SteppingClock

CALL_SECONDS = 0.05
BUDGET_SECONDS = 270.0
SEEDS = range(3)


@dataclass
class Quota:
    """A token bucket, as the sandbox has it: it holds what one second allows, and a refusal costs nothing."""

    per_second: float
    level: float = field(init=False)
    filled_at: float = 0.0
    asked: int = 0

    def __post_init__(self) -> None:
        self.level = self.per_second

    def allows(self, now: float) -> bool:
        self.asked += 1
        self.level = min(self.per_second, self.level + (now - self.filled_at) * self.per_second)
        self.filled_at = now
        is_allowed = self.level >= 1
        self.level -= is_allowed
        return is_allowed


@dataclass
class Function:
    """
    A function that makes some calls, one after the other.

    Attributes:
        left: The number of calls that remain.
    """

    left: int
    retry: Retry
    attempts: Attempts

    @property
    def now(self) -> float:
        return self.retry.deadline.clock.now()

    def call(self, quota: Quota) -> None:
        """
        Make one attempt, and wait for the next.

        Raises:
            ThrottledError: There is no time left.
        """
        if not quota.allows(self.now):
            self.attempts.pause(ThrottledError("Rate exceeded", operation="ecr-public:PutImage"))
            return
        self.left -= 1
        self.retry.deadline.clock.sleep(CALL_SECONDS)
        self.attempts = self.retry.start("putting")


@dataclass(frozen=True)
class Outcome:
    """The results of all functions."""

    seconds: float
    failed: int
    asked: int


def run(starts: Sequence[float], calls: int, per_second: float, seed: int) -> Outcome:
    """Run functions that begin at these moments, each with *calls* and the same time for them."""
    chance, quota = random.Random(seed), Quota(per_second)  # noqa: S311 - the same lengths in every run
    functions = list(_functions(starts, calls, chance))
    waiting = [(function.now, number) for number, function in enumerate(functions)]
    heapq.heapify(waiting)
    failed = 0
    while waiting:
        _, number = heapq.heappop(waiting)
        try:
            functions[number].call(quota)
        except ThrottledError:
            failed += 1
            continue
        if functions[number].left:
            heapq.heappush(waiting, (functions[number].now, number))
    return Outcome(max(function.now for function in functions), failed, quota.asked)


def _functions(starts: Sequence[float], calls: int, chance: random.Random) -> Iterator[Function]:
    for start in starts:
        deadline = Deadline.after(BUDGET_SECONDS, SteppingClock(time=start))
        retry = Retry(deadline, Log(stream=io.StringIO()), chance.random)
        yield Function(calls, retry, retry.start("putting"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("functions", "calls", "per_second"),
    [
        pytest.param(1000, 1, 10, id="s3-a thousand images"),
        pytest.param(450, 2, 10, id="s3-two tags each"),
        pytest.param(200, 5, 10, id="s1-five tags each"),
        pytest.param(200, 1, 3, id="s4-parameters"),
        pytest.param(2400, 1, 10, id="all of the time there is"),
    ],
)
def test_s1_all_at_once_take_little_longer_than_the_quota_requires(
    functions: int, calls: int, per_second: float, seed: int
) -> None:
    outcome = run([0.0] * functions, calls, per_second, seed)

    assert outcome.failed == 0
    assert outcome.seconds <= 1.2 * functions * calls / per_second
    # Most requests are throttled, but no function sends more than one every few seconds.
    assert outcome.asked <= functions * (outcome.seconds / 4 + 5 * calls + 5)


@pytest.mark.parametrize("seed", SEEDS)
def test_s1_early_functions_are_not_starved_by_later_ones(seed: int) -> None:
    """1500 functions start at once; then new ones use half of the quota."""
    starts = [*[0.0] * 1500, *[0.2 * number for number in range(1000)]]

    outcome = run(starts, 1, 10, seed)

    assert outcome.failed == 0


@pytest.mark.parametrize("seconds", [2.0, 15.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_s1_a_function_with_little_time_left_retries_often(seconds: float, seed: int) -> None:
    """There are a few seconds to move tags back, and one long wait must not use them up."""
    clock, asked = SteppingClock(), 0
    retry = Retry(Deadline.after(seconds, clock), Log(stream=io.StringIO()), random.Random(seed).random)  # noqa: S311
    attempts = retry.start("putting back")

    with suppress(ThrottledError):
        for asked in range(1000):  # noqa: B007 - looked at below
            attempts.pause(ThrottledError("Rate exceeded", operation="ecr-public:PutImage"))

    assert 5 <= asked <= 40
    assert max(clock.slept) <= seconds / 3
