"""The only layer of retries: what is retried, for how long, and what never is."""

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
    """Raises the given errors, then succeeds; counts its calls."""

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


def test_a_success_is_not_repeated() -> None:
    caller = Caller()

    assert (caller.run(), caller.calls, caller.clock.slept) == ("done", 1, [])


def test_waits_grow_twofold_up_to_a_limit() -> None:
    caller = always(UNAVAILABLE)

    with pytest.raises(UnavailableError):
        caller.run()

    assert caller.clock.slept == [0.5, 1, 2, 4, 8]
    assert caller.calls == ATTEMPTS


@pytest.mark.parametrize("failures", range(ATTEMPTS))
@pytest.mark.parametrize("error", [THROTTLED, UNAVAILABLE])
def test_what_passes_is_outlived(error: ImageError, failures: int) -> None:
    assert Caller(*[error] * failures).run() == "done"


@pytest.mark.parametrize("seconds", [5.0, 60.0, 265.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_rate_limit_is_waited_for_until_the_deadline_however_often(seconds: float, jitter: float) -> None:
    caller = Caller(*[THROTTLED] * 10_000, seconds=seconds, jitter=jitter)

    with pytest.raises(ThrottledError):
        caller.run()

    assert seconds - 2 * SHORTEST_WAIT_SECONDS <= caller.clock.time < seconds


def test_waits_for_a_rate_limit_grow_to_a_limit_and_shrink_before_the_deadline() -> None:
    caller = always(THROTTLED)

    with pytest.raises(ThrottledError):
        caller.run()

    assert caller.clock.slept[:6] == [0.5, 1, 2, 4, 8, 10]
    last = [seconds for seconds in caller.clock.slept if seconds < 10][5:]
    assert last == sorted(last, reverse=True)
    assert last[-1] == SHORTEST_WAIT_SECONDS


@given(jitter=st.floats(0, 1))
def test_a_wait_for_a_rate_limit_is_of_any_length_up_to_its_longest(jitter: float) -> None:
    caller = Caller(THROTTLED, THROTTLED, jitter=jitter)

    caller.run()

    assert caller.clock.slept == [max(SHORTEST_WAIT_SECONDS, 0.5 * jitter), max(SHORTEST_WAIT_SECONDS, jitter)]


def test_a_long_wait_for_a_rate_limit_leaves_other_failures_their_attempts() -> None:
    caller = Caller(*[THROTTLED] * 20, *[UNAVAILABLE] * (ATTEMPTS - 1), *[THROTTLED] * 20)

    assert caller.run() == "done"


def test_a_long_wait_for_a_rate_limit_leaves_a_new_permission_its_minute() -> None:
    caller = Caller(*[THROTTLED] * 20, DENIED, DENIED)

    assert caller.run(retry_access_denied=True) == "done"
    assert caller.clock.time > 2 * CONSISTENCY_TIMEOUT_SECONDS


@pytest.mark.parametrize(("error", "limit"), [(UNAVAILABLE, 20.0), (DENIED, 70.0), (LAGGING, 70.0)])
def test_no_limit_is_off_where_a_caller_repeats_by_itself(error: ImageError, limit: float) -> None:
    caller = Caller()
    attempts = caller.retry.start("reading", retry_access_denied=True)

    failures = 0
    with suppress(ImageError):
        for failures in range(1000):  # noqa: B007 - looked at below
            attempts.pause(error)

    assert failures < 1000 - 1
    assert caller.clock.time < limit


def test_progress_renews_the_patience() -> None:
    caller = Caller()
    attempts = caller.retry.start("reading")

    for _ in range(100):
        attempts.pause(UNAVAILABLE)
        attempts.progressed()

    assert caller.clock.slept == [0.5] * 100


@pytest.mark.parametrize("retry_access_denied", [True, False])
@pytest.mark.parametrize("kind", [NotFoundError, ConflictError, QuotaExceededError, RejectedError])
def test_what_does_not_pass_is_not_repeated(kind: type[RejectedError], retry_access_denied: bool) -> None:  # noqa: FBT001 - a table
    caller = always(kind("no", operation="x"))

    with pytest.raises(kind):
        caller.run(retry_access_denied=retry_access_denied)

    assert caller.calls == 1


def test_wrong_bytes_are_not_asked_for_again() -> None:
    caller = always(IntegrityError("other bytes"))

    with pytest.raises(IntegrityError):
        caller.run()

    assert caller.calls == 1


def test_a_denied_call_is_waited_for_a_minute_where_a_permission_may_settle() -> None:
    caller = always(DENIED)

    with pytest.raises(AccessError):
        caller.run(retry_access_denied=True)

    assert CONSISTENCY_TIMEOUT_SECONDS <= caller.clock.time < CONSISTENCY_TIMEOUT_SECONDS + 4.1


def test_a_denied_call_is_not_waited_for_elsewhere() -> None:
    caller = always(DENIED)

    with pytest.raises(AccessError):
        caller.run()

    assert (caller.calls, caller.clock.slept) == (1, [])


def test_a_read_that_lags_is_waited_for_a_minute() -> None:
    caller = always(LAGGING)

    with pytest.raises(NotYetVisibleError):
        caller.run()

    assert CONSISTENCY_TIMEOUT_SECONDS <= caller.clock.time < CONSISTENCY_TIMEOUT_SECONDS + 4.1


@given(jitter=st.floats(0, 1))
def test_a_wait_is_between_half_and_all_of_its_length(jitter: float) -> None:
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
def test_no_wait_goes_beyond_the_deadline(
    failures: list[ImageError],
    seconds: float,
    retry_access_denied: bool,  # noqa: FBT001 - a table
) -> None:
    caller = Caller(*failures, seconds=seconds)

    with suppress(ImageError):
        caller.run(retry_access_denied=retry_access_denied)

    assert caller.clock.time <= seconds


def test_nothing_is_begun_after_the_deadline() -> None:
    caller = Caller(seconds=0)

    with pytest.raises(DeadlineError, match="ran out of time before doing it") as failure:
        caller.run()

    assert caller.calls == 0
    assert failure.value.hint


def test_the_error_before_the_deadline_is_told() -> None:
    caller = Caller(THROTTLED, DeadlineError("ran out of time before reading"))

    with pytest.raises(DeadlineError, match=r"ran out of time before reading \(THROTTLED: too fast\)"):
        caller.run()


def test_an_error_that_is_not_ours_is_let_through() -> None:
    caller = Caller()

    def broken() -> None:
        raise KeyError(1)

    with pytest.raises(KeyError):
        caller.retry.call("doing it", broken)

    assert caller.clock.slept == []


def test_each_repetition_is_logged_with_its_reason() -> None:
    caller = Caller(THROTTLED)

    caller.run()

    line = json.loads(caller.stream.getvalue())
    assert line["message"] == "doing it: retrying in 0.5 s: THROTTLED: too fast"
    assert (line["level"], line["code"], line["attempt"]) == ("WARNING", "THROTTLED", 1)


@pytest.mark.parametrize(("passed", "left"), [(0.0, 10.0), (4.0, 6.0), (10.0, 0.0), (99.0, 0.0)])
def test_a_deadline_knows_what_is_left(passed: float, left: float) -> None:
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
