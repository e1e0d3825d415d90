"""Time that passes only while all threads wait."""

from __future__ import annotations

import socket
import threading
import time as machine
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.scale_processes import in_own_process
from benchmarks.scale_time import Pace, Time


class Waiting:
    """Threads that wait, in a process without other threads."""

    def __init__(self, time: Time) -> None:
        self._pace = Pace(time)

    def close(self) -> None:
        pass

    def sleepers(self, *seconds: float) -> list[float]:
        """Sleep for these times concurrently; return when each thread woke."""
        woken = dict.fromkeys(seconds, 0.0)

        def sleep(each: float) -> None:
            self._pace.sleep(each)
            woken[each] = self._pace.now()

        self._run(*(lambda each=each: sleep(each) for each in seconds))
        return list(woken.values())

    def one_after_the_other(self, times: int, seconds: float) -> float:
        """Sleep several times in one thread; return the time at the end."""

        def sleep() -> None:
            for _ in range(times):
                self._pace.sleep(seconds)

        self._run(sleep)
        return self._pace.now()

    def for_others(self) -> float:
        """Wait for threads that sleep; return the time when they have ended."""

        def wait() -> None:
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(self._pace.sleep, [5.0, 10.0]))

        self._run(wait)
        return self._pace.now()

    def for_an_answer(self) -> list[float]:
        """Wait for a response while another thread sleeps; return when it arrived and when that thread woke."""
        ours, theirs = socket.socketpair()
        came: list[float] = []
        threading.Timer(0.3, lambda: theirs.send(b"!")).start()

        def receive() -> None:
            ours.recv(1)
            came.append(self._pace.now())

        def sleep() -> None:
            self._pace.sleep(60.0)
            came.append(self._pace.now())

        self._run(receive, sleep)
        ours.close()
        theirs.close()
        return came

    def _run(self, *actions: Callable[[], object]) -> None:
        threads = [threading.Thread(target=action) for action in actions]
        for thread in threads:
            thread.start()
        keeper = threading.Thread(target=self._pace.keep, args=[lambda: not any(each.is_alive() for each in threads)])
        keeper.start()
        for thread in (*threads, keeper):
            thread.join()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    with in_own_process(Waiting, Time.begin()) as waiting:
        yield waiting


def test_waiting_takes_no_real_time(waiting: Waiting) -> None:
    started = machine.monotonic()

    assert waiting.sleepers(3600.0, 1800.0, 10.0) == [3600.0, 1800.0, 10.0]
    assert machine.monotonic() - started < 60


def test_a_single_thread_advances_the_time(waiting: Waiting) -> None:
    assert waiting.one_after_the_other(10, 6.0) == pytest.approx(60.0)


def test_close_moments_count_as_one(waiting: Waiting) -> None:
    """No thread wakes too early."""
    assert waiting.sleepers(1.0, 1.01, 1.5) == [1.01, 1.01, 1.5]


def test_a_thread_that_waits_for_sleepers_does_not_delay_them(waiting: Waiting) -> None:
    assert waiting.for_others() == 10.0


def test_time_stands_still_while_a_response_is_pending(waiting: Waiting) -> None:
    assert waiting.for_an_answer() == [0.0, 60.0]
