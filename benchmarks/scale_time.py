"""
Time that passes only while everybody waits, so that a slow or busy machine is none of the measurement.

Hundreds of functions need more than the cores of one machine, and would wait
for each other where on Lambda each has its own. Here work takes no time at
all; requests and waits take as long as they say. When no function is at work
any more, time moves on to the moment for which the next one waits.
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
"""Who waits for moments as close as that, goes on together, at the last of them."""

TOGETHER_MAX = 32
"""More at once would only wait for each other; they go on one after the other, at the same moment."""

_LOOK_SECONDS, _LOOK_MAX_SECONDS = 0.002, 0.03
"""Between two looks at who is at work: the more often there was somebody, the longer."""


@dataclass(frozen=True, slots=True)
class Time:
    """
    The time of several processes.

    Attributes:
        seconds: In memory that they share.
        epoch: When it began, in seconds since 1970.
    """

    seconds: c_double
    epoch: float

    @classmethod
    def begin(cls) -> Time:
        """Begin at 0."""
        return cls(multiprocessing.get_context("spawn").RawValue(c_double, 0.0), time.time())

    def now(self) -> float:
        """Return the seconds since it began."""
        return self.seconds.value

    def wall(self) -> float:
        """Return the seconds since 1970."""
        return self.epoch + self.now()

    def move_on(self, moment: float) -> None:
        """Let it be so late, or later."""
        self.seconds.value = max(moment, self.now())


@dataclass(slots=True)
class Pace:
    """
    The clock of the functions of one process, and what moves it on.

    Every thread of the process that waits neither here nor for another thread
    is at work, except the one that made this and the one that runs ``keep``.
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
        """Seconds on a clock that never goes back."""
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
        Know, from now on, which threads of this process wait for others: without that, each has to be looked at.

        They wait until those end, whatever time they set: it would be the machine's.
        """
        run, join = threading.Thread.run, threading.Thread.join

        def watched_run(thread: threading.Thread) -> None:
            try:
                run(thread)
            finally:
                with self._lock:
                    # They go on now, even if the system has not come to it.
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
        """Move the time on until *is_over*."""
        at_rest, before, pause = _waits_for_a_lock(), None, _LOOK_SECONDS
        while not is_over():
            if not self._changed.wait(pause):
                # Not all wait here; but who has not run meanwhile, and waits for no answer, waits for one that does.
                earlier, before = before, self._busy(at_rest)
                if before is None or before != earlier:
                    pause = _LOOK_SECONDS if before is not None else min(2 * pause, _LOOK_MAX_SECONDS)
                    continue
            self._changed.clear()
            self._go_on()
            before, pause = None, _LOOK_SECONDS

    def _look(self) -> None:
        """Go on, if all wait now but the two threads that are not counted."""
        if len(self._waiting) + len(self._joining) >= threading.active_count() - 2:
            self._changed.set()

    def _go_on(self) -> None:
        """Move the time on to the next moment for which somebody waits, and wake who waits for it."""
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
        Return the threads that do not wait here, and how long each has run; None where one is at work.

        Waiting for an answer is work, too; waiting for another thread is none.
        """
        with self._lock:
            others = {self._maker, threading.get_native_id(), *(thread for _, _, thread, _ in self._waiting)}
            others.update(*self._joining.values())
        threads = [thread.native_id or 0 for thread in threading.enumerate() if thread.native_id not in others]
        with suppress(OSError):  # one is about to begin or to end
            if all(_sleeps(thread) and _call(thread) == at_rest for thread in threads):
                return {thread: _read(f"/proc/self/task/{thread}/schedstat") for thread in threads}
        return None


def _sleeps(thread: int) -> bool:
    # Who is being woken is in its call still, but sleeps no more.
    return _read(f"/proc/self/task/{thread}/stat").rpartition(b") ")[2].startswith(b"S")


def _call(thread: int) -> bytes:
    """Return the number of the system's call in which a thread waits; ``running`` where it is at work."""
    return _read(f"/proc/self/task/{thread}/syscall").split()[0]


def _read(path: str) -> bytes:
    # Thousands of times a second: a file object costs more than the reading.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 200)
    finally:
        os.close(descriptor)


def _waits_for_a_lock() -> bytes:
    """Return the number of the call in which a thread waits for another one: each kind of machine has its own."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, daemon=True)
    thread.start()
    while (call := _call(thread.native_id or 0)) == b"running":
        time.sleep(_LOOK_SECONDS)
    done.set()
    thread.join()
    return call
