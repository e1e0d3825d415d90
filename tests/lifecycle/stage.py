"""
A virtual time in which several things go on, one of them at each moment.

Whoever waits (for a service's answer, between two attempts, for another one)
lets the next one go on, in the order of the times until which they wait. So
what comes between what is decided by numbers, which can be drawn, repeated
and made smaller; no two threads ever run at the same time.
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
"""Of real time: nobody waits for longer than that for their turn."""

Action = Callable[[], object]


class GoneError(SystemExit):
    """The function that this thread worked for has ended; threads end by that without a word."""


@dataclass(eq=False)
class _Wait:
    """One who waits, until a time or until somebody else wakes them."""

    owner: object
    is_over: bool = False
    is_gone: bool = False
    go: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class Stage:
    """
    The time, and who waits for it.

    Attributes:
        time: Seconds since the beginning.
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

    def begin_anew(self) -> None:
        """Set the time back; whoever still waits is gone."""
        for _, _, wait in self._waiting:
            wait.is_over = wait.is_gone = True
            wait.go.set()
        for holds in (self._waiting, self._watched, self._failures):
            holds.clear()
        self.time = 0.0

    def run(self, *actions: Action) -> None:
        """Let all *actions* begin now; return when they and all that they began are over."""
        self._is_running = True
        self._over.clear()
        try:
            for action in actions:
                self.begin(action)
            self._next()
            self._see(self._over)
        finally:
            self._is_running = False
        if self._failures:
            failures, self._failures = self._failures, []
            raise failures[0]

    def begin(self, action: Action, after: float = 0.0) -> Callable[[], bool]:
        """Let *action* go on beside the others; return what tells whether it is over."""
        wait = _Wait(None)
        ended = threading.Event()

        def act() -> None:
            try:
                self._see(wait.go)
                action()
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                self._failures.append(error)
            finally:
                ended.set()
                self._next()

        threading.Thread(target=act, daemon=True).start()
        self._wake_at(self.time + after, wait)
        return ended.is_set

    def together(self, *actions: Action) -> None:
        """Let *actions* go on beside each other; return when all are over."""
        if len(actions) == 1:
            actions[0]()
            return
        ended = [self.begin(action) for action in actions]
        self.until(lambda: all(is_over() for is_over in ended))

    def sleep(self, seconds: float, owner: object = None) -> None:
        """
        Let others go on for *seconds*.

        A helper, of whom several work for one function, only lets the time pass.
        """
        if not self._is_running or threading.current_thread().name.startswith("ThreadPool"):
            self.pass_by(seconds)
            return
        self._wait(_Wait(owner), self.time + seconds)

    def until(self, condition: Callable[[], bool], seconds: float = math.inf) -> None:
        """Let others go on until *condition* holds, but for so many seconds at most."""
        if condition():
            return
        wait = _Wait(None)
        self._watched.append((condition, wait))
        self._wait(wait, self.time + seconds)

    def pass_by(self, seconds: float) -> None:
        """Let time pass with nobody else's turn coming."""
        with self._lock:
            self.time += seconds

    def dismiss(self, owner: object) -> None:
        """End whatever still waits for *owner*."""
        for _, _, wait in self._waiting:
            if wait.owner is owner and owner is not None and not wait.is_over:
                wait.is_over = wait.is_gone = True
                wait.go.set()

    def _wait(self, wait: _Wait, when: float) -> None:
        self._wake_at(when, wait)
        self._next()
        self._see(wait.go)
        if wait.is_gone:
            raise GoneError

    def _wake_at(self, when: float, wait: _Wait) -> None:
        heapq.heappush(self._waiting, (when, next(self._order), wait))

    def _next(self) -> None:
        """Give the turn to the next one."""
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
            wait.go.set()
            return
        self._over.set()

    def _see(self, event: threading.Event) -> None:
        if not event.wait(STUCK_SECONDS):
            message = "nobody's turn has come for minutes: a thread waits for what is not told to the stage"
            raise TimeoutError(message)


@dataclass(eq=False)
class StageClock:
    """
    The clock of one invocation of a function.

    Attributes:
        tick: Each look costs so many seconds: a deadline can fall between any two steps.
        dies_at: The stage's time at which the function is ended, whatever it does.
    """

    stage: Stage
    tick: float = 0.0
    dies_at: float = math.inf

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        if self.tick:
            self.stage.pass_by(self.tick)
        return self.stage.time

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self.stage.wall

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, or what is left until the function is ended."""
        left = max(0.0, self.dies_at - self.stage.time)
        self.stage.sleep(min(seconds, left), self)
        if seconds >= left:
            raise GoneError
