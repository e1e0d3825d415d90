"""
A virtual time that passes only while all threads wait, so that a slow machine does not affect the result.

Hundreds of functions need more cores than one machine has, and would wait for
each other, while on Lambda each has its own. Here, computing takes no time, and
requests and waits take their nominal time. When no function is computing, the
time moves to the earliest moment for which one waits.
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ctypes import c_double
from dataclasses import dataclass, field
from weakref import WeakSet

TOGETHER_SECONDS = 0.02
"""Threads that wait for moments this close, in seconds, continue together, at the last of them."""

TOGETHER_MAX = 32
"""How many threads continue at once. More would only compete, so they continue in groups at the same moment."""

_LOOK_SECONDS, _LOOK_MAX_SECONDS = 0.002, 0.03
"""The seconds between two checks for computing threads. It grows while there are any."""


@dataclass(frozen=True, slots=True)
class Time:
    """
    The virtual time of several processes.

    Attributes:
        seconds: The current time, in shared memory.
        epoch: The time at its start, in seconds since 1970.
    """

    seconds: c_double
    epoch: float

    @classmethod
    def begin(cls) -> Time:
        """Create a time that begins at 0."""
        return cls(multiprocessing.get_context("spawn").RawValue(c_double, 0.0), time.time())

    def now(self) -> float:
        """Return the seconds since it began."""
        return self.seconds.value

    def wall(self) -> float:
        """Return the seconds since 1970."""
        return self.epoch + self.now()

    def move_on(self, moment: float) -> None:
        """Move the time to *moment*, unless it is later already."""
        self.seconds.value = max(moment, self.now())


@dataclass(slots=True)
class Pace:
    """
    The clock of the functions of one process, which also moves the time.

    A thread of the process counts as computing if it waits neither here nor for
    another thread, except the one that created this and the one that runs ``keep``.
    """

    time: Time
    _joining: dict[threading.Thread, set[int]] = field(default_factory=dict)
    _over: WeakSet[threading.Thread] = field(default_factory=WeakSet)
    _waiting: list[tuple[float, int, int, threading.Event]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Iterable[int] = field(default_factory=itertools.count)
    _maker: int = field(default_factory=threading.get_native_id)
    _changed: threading.Event = field(default_factory=threading.Event)

    def now(self) -> float:
        """The monotonic time in seconds."""
        return self.time.now()

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.time.wall()

    def sleep(self, seconds: float) -> None:
        """Wait until the time has moved on by *seconds*."""
        woken = threading.Event()
        with self._lock:
            entry = (self.now() + seconds, next(iter(self._numbers)), threading.get_native_id(), woken)
            heapq.heappush(self._waiting, entry)
            self._look()
        woken.wait()

    def watch_threads(self) -> None:
        """
        Track which threads of this process wait for others, which is faster than examining each.

        They wait until those end, without their timeouts, which would be in real time.
        """
        run, join = threading.Thread.run, threading.Thread.join

        def watched_run(thread: threading.Thread) -> None:
            try:
                run(thread)
            finally:
                with self._lock:
                    # They count as computing now, even if the system has not scheduled them yet.
                    self._joining.pop(thread, None)
                    self._over.add(thread)

        def watched_join(thread: threading.Thread, timeout: float | None = None) -> None:
            del timeout
            with self._lock:
                if thread not in self._over:
                    self._joining.setdefault(thread, set()).add(threading.get_native_id())
                    self._look()
            join(thread)

        threading.Thread.run = watched_run  # type: ignore[method-assign,assignment]
        threading.Thread.join = watched_join  # type: ignore[method-assign,assignment]

    def keep(self, is_over: Callable[[], bool]) -> None:
        """Move the time until *is_over* returns True."""
        at_rest, before, pause = _waits_for_a_lock(), None, _LOOK_SECONDS
        while not is_over():
            if not self._changed.wait(pause):
                # A thread that waits elsewhere, has not run, and waits for no response, waits for another thread.
                earlier, before = before, self._busy(at_rest)
                if before is None or before != earlier:
                    pause = _LOOK_SECONDS if before is not None else min(2 * pause, _LOOK_MAX_SECONDS)
                    continue
            self._changed.clear()
            self._go_on()
            before, pause = None, _LOOK_SECONDS

    def _look(self) -> None:
        """Move the time if all threads wait, except the two that do not count."""
        if len(self._waiting) + len(self._joining) >= threading.active_count() - 2:
            self._changed.set()

    def _go_on(self) -> None:
        """Move the time to the earliest moment for which a thread waits, and wake the threads that wait for it."""
        with self._lock:
            woken: list[tuple[float, int, int, threading.Event]] = []
            while self._waiting and len(woken) < TOGETHER_MAX:
                if woken and self._waiting[0][0] > woken[0][0] + TOGETHER_SECONDS:
                    break
                woken.append(heapq.heappop(self._waiting))
            if woken:
                self.time.move_on(woken[-1][0])
        for *_, event in woken:
            event.set()

    def _busy(self, at_rest: bytes) -> Mapping[int, bytes] | None:
        """
        Return the threads that do not wait here, and how long each has run; None if one is computing.

        Waiting for a response counts as computing; waiting for another thread does not.
        """
        with self._lock:
            others = {self._maker, threading.get_native_id(), *(thread for _, _, thread, _ in self._waiting)}
            others.update(*self._joining.values())
        threads = [thread.native_id or 0 for thread in threading.enumerate() if thread.native_id not in others]
        with suppress(OSError):  # A thread is about to start or to end.
            if all(_sleeps(thread) and _call(thread) == at_rest for thread in threads):
                return {thread: _read(f"/proc/self/task/{thread}/schedstat") for thread in threads}
        return None


def _sleeps(thread: int) -> bool:
    # A thread that is being woken is still in its call, but no longer sleeps.
    return _read(f"/proc/self/task/{thread}/stat").rpartition(b") ")[2].startswith(b"S")


def _call(thread: int) -> bytes:
    """Return the number of the system call in which a thread waits, or ``running``."""
    return _read(f"/proc/self/task/{thread}/syscall").split()[0]


def _read(path: str) -> bytes:
    # This runs thousands of times per second, and a file object would cost more than the read.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 200)
    finally:
        os.close(descriptor)


def _waits_for_a_lock() -> bytes:
    """Return the number of the system call in which a thread waits for a lock. It depends on the machine."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, daemon=True)
    thread.start()
    while (call := _call(thread.native_id or 0)) == b"running":
        time.sleep(_LOOK_SECONDS)
    done.set()
    thread.join()
    return call
