"""The only layer of retries: what is retried, for how long, and what is never retried."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.clock import Deadline
from lambda_handler.errors import (
    AccessError,
    ConflictError,
    DeadlineError,
    ImageError,
    IntegrityError,
    NotFoundError,
    NotYetVisibleError,
    QuotaExceededError,
    RejectedError,
    ThrottledError,
    UnavailableError,
)
from lambda_handler.log import Log
from lambda_handler.retry import ATTEMPTS, CONSISTENCY_TIMEOUT_SECONDS, SHORTEST_WAIT_SECONDS, Retry
from tests.support.clock import SteppingClock

THROTTLED = ThrottledError("too fast", operation="x")
UNAVAILABLE = UnavailableError("gone", operation="x")
DENIED = AccessError("denied", operation="x")
LAGGING = NotYetVisibleError("soon", operation="x")


class Caller:
    """Raises the given errors, then succeeds, and counts its calls."""

    def __init__(self, *failures: ImageError, jitter: float = 1.0, seconds: float = 600.0) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.clock = SteppingClock()
        self.stream = io.StringIO()
        self.retry = Retry(Deadline.after(seconds, self.clock), Log(stream=self.stream), lambda: jitter)

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    def run(self, *, retry_access_denied: bool = False) -> str:
        return self.retry.call("doing it", self, retry_access_denied=retry_access_denied)


def always(error: ImageError) -> Caller:
    return Caller(*[error] * 1000)


def test_does_not_repeat_a_success() -> None:
    caller = Caller()

    assert (caller.run(), caller.calls, caller.clock.slept) == ("done", 1, [])


def test_waits_double_up_to_a_limit() -> None:
    caller = always(UNAVAILABLE)

    with pytest.raises(UnavailableError):
        caller.run()

    assert caller.clock.slept == [0.5, 1, 2, 4, 8]
    assert caller.calls == ATTEMPTS


@pytest.mark.parametrize("failures", range(ATTEMPTS))
@pytest.mark.parametrize("error", [THROTTLED, UNAVAILABLE])
def test_retries_transient_errors_until_success(error: ImageError, failures: int) -> None:
    assert Caller(*[error] * failures).run() == "done"


@pytest.mark.parametrize("seconds", [5.0, 60.0, 265.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_retries_throttling_until_the_deadline(seconds: float, jitter: float) -> None:
    caller = Caller(*[THROTTLED] * 10_000, seconds=seconds, jitter=jitter)

    with pytest.raises(ThrottledError):
        caller.run()

    assert seconds - 2 * SHORTEST_WAIT_SECONDS <= caller.clock.time < seconds


def test_throttling_waits_grow_to_a_limit_and_shrink_before_the_deadline() -> None:
    caller = always(THROTTLED)

    with pytest.raises(ThrottledError):
        caller.run()

    assert caller.clock.slept[:6] == [0.5, 1, 2, 4, 8, 10]
    last = [seconds for seconds in caller.clock.slept if seconds < 10][5:]
    assert last == sorted(last, reverse=True)
    assert last[-1] == SHORTEST_WAIT_SECONDS


@given(jitter=st.floats(0, 1))
def test_throttling_waits_have_full_jitter(jitter: float) -> None:
    caller = Caller(THROTTLED, THROTTLED, jitter=jitter)

    caller.run()

    assert caller.clock.slept == [max(SHORTEST_WAIT_SECONDS, 0.5 * jitter), max(SHORTEST_WAIT_SECONDS, jitter)]


def test_throttling_does_not_use_up_the_attempts_of_other_failures() -> None:
    caller = Caller(*[THROTTLED] * 20, *[UNAVAILABLE] * (ATTEMPTS - 1), *[THROTTLED] * 20)

    assert caller.run() == "done"


def test_throttling_does_not_use_up_the_minute_for_a_new_permission() -> None:
    caller = Caller(*[THROTTLED] * 20, DENIED, DENIED)

    assert caller.run(retry_access_denied=True) == "done"
    assert caller.clock.time > 2 * CONSISTENCY_TIMEOUT_SECONDS


@pytest.mark.parametrize(("error", "limit"), [(UNAVAILABLE, 20.0), (DENIED, 70.0), (LAGGING, 70.0)])
def test_limits_also_apply_to_callers_with_their_own_loop(error: ImageError, limit: float) -> None:
    caller = Caller()
    attempts = caller.retry.start("reading", retry_access_denied=True)

    failures = 0
    with suppress(ImageError):
        for failures in range(1000):  # noqa: B007 - looked at below
            attempts.pause(error)

    assert failures < 1000 - 1
    assert caller.clock.time < limit


def test_progress_resets_the_limits() -> None:
    caller = Caller()
    attempts = caller.retry.start("reading")

    for _ in range(100):
        attempts.pause(UNAVAILABLE)
        attempts.progressed()

    assert caller.clock.slept == [0.5] * 100


@pytest.mark.parametrize("retry_access_denied", [True, False])
@pytest.mark.parametrize("kind", [NotFoundError, ConflictError, QuotaExceededError, RejectedError])
def test_does_not_retry_permanent_errors(kind: type[RejectedError], retry_access_denied: bool) -> None:  # noqa: FBT001 - a table
    caller = always(kind("no", operation="x"))

    with pytest.raises(kind):
        caller.run(retry_access_denied=retry_access_denied)

    assert caller.calls == 1


def test_does_not_request_wrong_bytes_again() -> None:
    caller = always(IntegrityError("other bytes"))

    with pytest.raises(IntegrityError):
        caller.run()

    assert caller.calls == 1


def test_retries_access_denied_for_a_minute_if_a_permission_may_be_new() -> None:
    caller = always(DENIED)

    with pytest.raises(AccessError):
        caller.run(retry_access_denied=True)

    assert CONSISTENCY_TIMEOUT_SECONDS <= caller.clock.time < CONSISTENCY_TIMEOUT_SECONDS + 4.1


def test_does_not_retry_access_denied_otherwise() -> None:
    caller = always(DENIED)

    with pytest.raises(AccessError):
        caller.run()

    assert (caller.calls, caller.clock.slept) == (1, [])


def test_retries_stale_reads_for_a_minute() -> None:
    caller = always(LAGGING)

    with pytest.raises(NotYetVisibleError):
        caller.run()

    assert CONSISTENCY_TIMEOUT_SECONDS <= caller.clock.time < CONSISTENCY_TIMEOUT_SECONDS + 4.1


@given(jitter=st.floats(0, 1))
def test_waits_have_a_jitter_of_up_to_half_their_length(jitter: float) -> None:
    caller = Caller(UNAVAILABLE, UNAVAILABLE, jitter=jitter)

    caller.run()

    first, second = caller.clock.slept
    assert 0.25 <= first <= 0.5
    assert 0.5 <= second <= 1


@given(
    failures=st.lists(st.sampled_from([THROTTLED, UNAVAILABLE, DENIED, LAGGING]), max_size=40),
    seconds=st.floats(0, 100),
    retry_access_denied=st.booleans(),
)
def test_no_wait_exceeds_the_deadline(
    failures: list[ImageError],
    seconds: float,
    retry_access_denied: bool,  # noqa: FBT001 - a table
) -> None:
    caller = Caller(*failures, seconds=seconds)

    with suppress(ImageError):
        caller.run(retry_access_denied=retry_access_denied)

    assert caller.clock.time <= seconds


def test_starts_nothing_after_the_deadline() -> None:
    caller = Caller(seconds=0)

    with pytest.raises(DeadlineError, match="ran out of time before doing it") as failure:
        caller.run()

    assert caller.calls == 0
    assert failure.value.hint


def test_reports_the_last_error_before_the_deadline() -> None:
    caller = Caller(THROTTLED, DeadlineError("ran out of time before reading"))

    with pytest.raises(DeadlineError, match=r"ran out of time before reading \(THROTTLED: too fast\)"):
        caller.run()


def test_does_not_catch_other_exceptions() -> None:
    caller = Caller()

    def broken() -> None:
        raise KeyError(1)

    with pytest.raises(KeyError):
        caller.retry.call("doing it", broken)

    assert caller.clock.slept == []


def test_logs_each_retry_with_its_reason() -> None:
    caller = Caller(THROTTLED)

    caller.run()

    line = json.loads(caller.stream.getvalue())
    assert line["message"] == "doing it: retrying in 0.5 s: THROTTLED: too fast"
    assert (line["level"], line["code"], line["attempt"]) == ("WARNING", "THROTTLED", 1)


@pytest.mark.parametrize(("passed", "left"), [(0.0, 10.0), (4.0, 6.0), (10.0, 0.0), (99.0, 0.0)])
def test_a_deadline_knows_the_remaining_time(passed: float, left: float) -> None:
    clock = SteppingClock(time=100.0)
    deadline = Deadline.after(10.0, clock)

    clock.sleep(passed)

    assert deadline.remaining == left
    check: Callable[[str], None] = deadline.check
    if left:
        check("going on")
    else:
        with pytest.raises(DeadlineError, match="before going on"):
            check("going on")
