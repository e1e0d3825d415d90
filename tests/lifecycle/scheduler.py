"""
A scheduler with a virtual time, for several threads of which one runs at each moment.

A thread that waits (for a service, between two attempts, or for another thread)
lets the thread with the earliest waiting time run. So numbers decide the order,
and Hypothesis can draw, repeat and shrink them. No two threads run at the same
time.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.clock import EPOCH

STUCK_SECONDS = 60.0
"""The longest time that a thread waits for its turn, in real seconds."""

Action = Callable[[], object]


class TerminatedError(SystemExit):
    """The function of this thread has been terminated. The thread ends silently."""


@dataclass(eq=False)
class _Wait:
    """A waiting thread, which waits until a time or until another thread wakes it."""

    owner: object
    is_over: bool = False
    is_gone: bool = False
    may_run: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class Scheduler:
    """
    The virtual time, and the waiting threads.

    Attributes:
        time: The seconds since the beginning.
    """

    time: float = 0.0
    _waiting: list[tuple[float, int, _Wait]] = field(default_factory=list)
    _watched: list[tuple[Callable[[], bool], _Wait]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _failures: list[BaseException] = field(default_factory=list)
    _is_running: bool = False

    @property
    def wall(self) -> float:
        """Seconds since the epoch."""
        return EPOCH + self.time

    def reset(self) -> None:
        """Reset the time, and end all waiting threads."""
        for _, _, wait in self._waiting:
            wait.is_over = wait.is_gone = True
            wait.may_run.set()
        for holds in (self._waiting, self._watched, self._failures):
            holds.clear()
        self.time = 0.0

    def run(self, *actions: Action) -> None:
        """Run all *actions* concurrently; return when they and all actions that they began have ended."""
        self._is_running = True
        self._over.clear()
        try:
            for action in actions:
                self.begin(action)
            self._run_next()
            self._wait_for(self._over)
        finally:
            self._is_running = False
        if self._failures:
            failures, self._failures = self._failures, []
            raise failures[0]

    def begin(self, action: Action, after: float = 0.0) -> Callable[[], bool]:
        """Begin *action* in another thread; return a function that returns whether it has ended."""
        wait = _Wait(None)
        ended = threading.Event()

        def act() -> None:
            try:
                self._wait_for(wait.may_run)
                action()
            except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
                self._failures.append(error)
            finally:
                ended.set()
                self._run_next()

        threading.Thread(target=act, daemon=True).start()
        self._wake_at(self.time + after, wait)
        return ended.is_set

    def together(self, *actions: Action) -> None:
        """Run *actions* concurrently; return when all have ended."""
        if len(actions) == 1:
            actions[0]()
            return
        ended = [self.begin(action) for action in actions]
        self.until(lambda: all(is_over() for is_over in ended))

    def sleep(self, seconds: float, owner: object = None) -> None:
        """
        Let other threads run for *seconds*.

        A worker thread of a function, of which there are several, only moves the time.
        """
        if not self._is_running or threading.current_thread().name.startswith("ThreadPool"):
            self.pass_by(seconds)
            return
        self._wait(_Wait(owner), self.time + seconds)

    def until(self, condition: Callable[[], bool], seconds: float = math.inf) -> None:
        """Let other threads run until *condition* is true, for at most *seconds*."""
        if condition():
            return
        wait = _Wait(None)
        self._watched.append((condition, wait))
        self._wait(wait, self.time + seconds)

    def pass_by(self, seconds: float) -> None:
        """Let time pass without letting other threads run."""
        with self._lock:
            self.time += seconds

    def end_threads_of(self, owner: object) -> None:
        """End all threads that wait for *owner*."""
        for _, _, wait in self._waiting:
            if wait.owner is owner and owner is not None and not wait.is_over:
                wait.is_over = wait.is_gone = True
                wait.may_run.set()

    def _wait(self, wait: _Wait, when: float) -> None:
        self._wake_at(when, wait)
        self._run_next()
        self._wait_for(wait.may_run)
        if wait.is_gone:
            raise TerminatedError

    def _wake_at(self, when: float, wait: _Wait) -> None:
        heapq.heappush(self._waiting, (when, next(self._order), wait))

    def _run_next(self) -> None:
        """Let the next thread run."""
        for condition, wait in [watched for watched in self._watched if watched[0]()]:
            self._watched.remove((condition, wait))
            self._wake_at(self.time, wait)
        while self._waiting:
            when, _, wait = heapq.heappop(self._waiting)
            if wait.is_over:
                continue
            wait.is_over = True
            self._watched = [(condition, other) for condition, other in self._watched if other is not wait]
            self.time = max(self.time, when)
            wait.may_run.set()
            return
        self._over.set()

    def _wait_for(self, event: threading.Event) -> None:
        if not event.wait(STUCK_SECONDS):
            message = "no thread has run for a minute: one waits for something that the scheduler does not control"
            raise TimeoutError(message)


@dataclass(eq=False)
class InvocationClock:
    """
    The clock of one invocation of a function.

    Attributes:
        tick: How many seconds each call takes, so that a deadline can fall between any two steps.
        terminated_at: The virtual time at which the function is terminated.
    """

    scheduler: Scheduler
    tick: float = 0.0
    terminated_at: float = math.inf

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        if self.tick:
            self.scheduler.pass_by(self.tick)
        return self.scheduler.time

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self.scheduler.wall

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, or the time until the function is terminated."""
        left = max(0.0, self.terminated_at - self.scheduler.time)
        self.scheduler.sleep(min(seconds, left), self)
        if seconds >= left:
            raise TerminatedError
