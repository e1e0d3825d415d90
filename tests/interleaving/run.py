"""
Run requests against the real handler, one step at a time.

A step is one call to a service, or one sleep. Before each step, the schedule may
switch to the other request. While one request sleeps, the other one runs. Only
one thread runs at any time, so the same schedule makes the same calls.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from typing import Any, TypeVar

from cdk_ecrpublic.sandbox.store.timeline import LATEST, View
from lambda_handler.entrypoint import Clients, serve

from .events import SERVICE_TIMEOUT
from .schedule import Fault, ManualAction, Schedule
from .stacks import Request
from .world import INDEXES, START, World

T = TypeVar("T")

LATENCY = 0.1
"""How many seconds each call takes."""

LAG_SECONDS = 5.0
"""The age of a stale read in seconds. All calls of a schedule together take less."""

DELAYS = {Fault.SLOW: SERVICE_TIMEOUT - 30.0, Fault.LATE: SERVICE_TIMEOUT - 12.0}
"""For each fault, how many seconds after the request was sent a call ends; see `lambda_handler.entrypoint`."""

ATTEMPT_SECONDS = 15.0
"""How long the function's clients wait for a connection and a response, in seconds."""

HANG_SECONDS = 60.0
"""The real time in seconds after which a run counts as hanging."""


@dataclass(slots=True)
class Call:
    """
    A step.

    Attributes:
        caller: ``A``, ``B`` or ``person``.
        parameters: The parameters of the call.
        view: The age of the state that it reads.
        reads: What its result depends on: ``tag:latest``, ``image:X``, ``ssm:/a/b``; ``ssm:/a/`` is all below it.
        writes: What it changed.
        outcome: The result, for reports.
        tags: Where tags pointed before it.
    """

    caller: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    view: View = LATEST
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    outcome: str = "ok"
    fault: Fault | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def commutes_with(self, other: Call) -> bool:
        """Whether the order of the two calls makes no difference."""
        return not (_intersect(self.writes, other.reads | other.writes) or _intersect(self.reads, other.writes))


def _intersect(some: set[str], others: set[str]) -> bool:
    if not some.isdisjoint(others):
        return True
    paths = [key for key in (*some, *others) if key.endswith("/")]
    return any(key != path and key.startswith(path) for path in paths for key in (*some, *others))


@dataclass(eq=False)
class Invocation:
    """
    A request, and the function that serves it.

    Attributes:
        offset: How many seconds its calls took longer than usual.
        error: The exception that the handler raised, if any.
    """

    name: str
    request: Request
    clients: Clients | None = None
    offset: float = 0.0
    lagging: bool = False
    done: bool = False
    error: BaseException | None = None
    run: Run = field(init=False)
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    aws_request_id: str = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        """The remaining time in Lambda's context."""
        return 900_000

    def now(self) -> float:
        """The monotonic time of the handler's clock."""
        return self.wall() - START

    def wall(self) -> float:
        return self.run.world.time + self.offset

    def sleep(self, seconds: float) -> None:
        def pass_time(world: World, call: Call) -> None:
            del call
            world.time += seconds

        self.step(Call(self.name, "sleep", {"seconds": round(seconds, 1)}), pass_time)
        self.run.run_other(self)

    def step(
        self,
        call: Call,
        effect: Callable[[World, Call], T],
        *,
        throttled: Callable[[], T] | None = None,
        lost: Callable[[], Exception] | None = None,
    ) -> T:
        """
        Wait until the schedule allows a step, and take it.

        Args:
            throttled: Creates the error of a throttled call.
            lost: Creates the error of a lost response.
        """
        fault = call.fault = self.run.enter(self, call)
        if fault is Fault.THROTTLED and throttled:
            call.outcome = "throttled"
            return throttled()
        if fault is Fault.LAGGING:
            self.lagging = True
        if self.lagging or fault is Fault.STALE:
            call.view = View(now=self.run.world.time, lag_seconds=LAG_SECONDS)
        try:
            return effect(self.run.world, call)
        finally:
            self._end(call, fault, lost)

    def _end(self, call: Call, fault: Fault | None, lost: Callable[[], Exception] | None) -> None:
        if fault in DELAYS:
            offset = self.request.sent + DELAYS[fault] - self.run.world.time
            # A throttled read is repeated. A write that took effect was one attempt.
            self.offset = max(self.offset, min(offset, self.offset + ATTEMPT_SECONDS) if call.writes else offset)
        if fault is Fault.LOST and lost:
            call.outcome += ", response lost"
            raise lost()

    def serve(self) -> None:
        """Serve the request, and store the exception that the handler raises, which is a violation."""
        assert self.clients is not None
        try:
            serve(self.request.event, self, self.clients, self)
        except Exception as error:  # noqa: BLE001 - the checker reports it
            self.error = error


class UnreachableError(Exception):
    """The schedule does not match the steps of the requests."""


class HangError(BaseException):
    """A thread of the handler waits for something that is not a step. The handler must not catch this."""


@dataclass(eq=False)
class Run:
    """
    One run of one or two requests.

    Attributes:
        position: The number of the next step.
        trace: All calls, and the actions of people.
        log: The lines of the handler's log.
    """

    world: World
    invocations: Sequence[Invocation]
    schedule: Schedule = field(default_factory=Schedule)
    position: int = 0
    trace: list[Call] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    _next: int = 0
    _over: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _problem: str = ""

    def __post_init__(self) -> None:
        for invocation in self.invocations:
            invocation.run = self

    @property
    def steps(self) -> list[Call]:
        """The trace without the actions of people. The index of a step is its number."""
        return [call for call in self.trace if call.caller != "person"]

    def go(self) -> Run:
        """
        Run all requests to their end.

        Raises:
            UnreachableError: The schedule does not match the steps.
        """
        random.seed(0)  # The handler's waits are random.
        threads = [
            threading.Thread(target=self._main, args=[invocation], daemon=True) for invocation in self.invocations
        ]
        for thread in threads:
            thread.start()
        next(invocation for invocation in self.invocations if invocation.name == self.schedule.first).turn.release()
        _wait(self._over)
        for thread in threads:
            thread.join(HANG_SECONDS)
        self.world.time += max(invocation.offset for invocation in self.invocations)
        if self._problem or self._next < len(self.schedule.decisions):
            raise UnreachableError(self._problem or f"{self.schedule} is longer than the {self.position} steps")
        return self

    def enter(self, invocation: Invocation, call: Call) -> Fault | None:
        """Wait until the schedule allows a step; return its fault, if any."""
        while self._is_due("switch"):
            self._next += 1
            other = self._other(invocation)
            if other is None:
                self._problem = f"there is no request to switch to at step {self.position}"
                break
            other.turn.release()
            _wait(invocation.turn)
        fault = None
        if self._is_due("insertion"):
            decision = self.schedule.decisions[self._next]
            self._next += 1
            fault = decision.fault
            if decision.action:
                self.trace.append(perform(self.world, decision.action))
        self.world.time += LATENCY
        call.tags = self.world.tags()
        self.trace.append(call)
        self.position += 1
        return fault

    def run_other(self, invocation: Invocation) -> None:
        """Run the other request while this one sleeps, until it ends or sleeps, too."""
        other = self._other(invocation)
        if other:
            other.turn.release()
            _wait(invocation.turn)

    def _is_due(self, what: str) -> bool:
        if self._next >= len(self.schedule.decisions):
            return False
        decision = self.schedule.decisions[self._next]
        return decision.at == self.position and decision.is_switch == (what == "switch")

    def _other(self, invocation: Invocation) -> Invocation | None:
        return next((each for each in self.invocations if each is not invocation and not each.done), None)

    def _main(self, invocation: Invocation) -> None:
        _wait(invocation.turn)
        invocation.serve()
        invocation.done = True
        other = self._other(invocation)
        (other.turn if other else self._over).release()


def _wait(semaphore: threading.Semaphore) -> None:
    if not semaphore.acquire(timeout=HANG_SECONDS):
        message = "a thread of the handler waits for something that is not a step"
        raise HangError(message)


def touched_by(action: ManualAction, tags: Mapping[str, str]) -> set[str]:
    """Return what the action of a person reads and writes, given the current images of *tags*."""
    touched = {f"image:{tags.get(action.tag, action.image)}"}
    touched |= (
        {f"tag:{action.tag}"} if action.tag else {f"tag:{tag}" for tag, name in tags.items() if name == action.image}
    )
    touched |= {f"image:{action.image}"} if action.image else set()
    return touched | {f"image:{name}" for name, children in INDEXES.items() if action.image in children}


def perform(world: World, action: ManualAction) -> Call:
    """Carry out the action of a person."""
    world.time += LATENCY
    tags = world.tags()
    touched = touched_by(action, tags)
    match action.verb:
        case "move":
            world.push(action.image, action.tag)
        case "remove":
            world.remove_tag(action.tag)
        case "delete":
            world.remove_image(action.image)
    parameters = {"tag": action.tag, "image": action.image}
    return Call("person", action.verb, parameters, reads=touched, writes=touched, tags=tags)


class _Sink(StringIO):
    """Collects the handler's log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        if text != "\n":
            self.lines.append(text)
        return len(text)


def _submit_at_once(_pool: ThreadPoolExecutor, do: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(do(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - as an executor does
        future.set_exception(error)
    return future


def _get_without_lock(prop: cached_property[Any], instance: object, owner: type | None = None) -> Any:
    del owner
    if instance is None:
        return prop
    name = str(prop.attrname)
    if name not in instance.__dict__:
        instance.__dict__[name] = prop.func(instance)
    return instance.__dict__[name]


@contextmanager
def controlled() -> Iterator[_Sink]:
    """
    Make threads follow the schedule, and collect the log.

    Thread pools process their items in order, since the handler only reads
    independent items concurrently. Cached properties have no lock: in Python 3.11
    both functions would share it, but in Lambda each has its own process.
    """
    submit, get = ThreadPoolExecutor.submit, cached_property.__get__
    ThreadPoolExecutor.submit = _submit_at_once  # type: ignore[method-assign, assignment]
    cached_property.__get__ = _get_without_lock  # type: ignore[method-assign, assignment]
    try:
        with redirect_stdout(_Sink()) as sink:
            yield sink
    finally:
        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]
        cached_property.__get__ = get  # type: ignore[method-assign]
