"""
The real Lambda function of a stack, in as many instances as are needed concurrently.

Each request of an instance takes some virtual time before it takes effect, so
that others can run in between. The instance can be terminated at any request.
"""

from __future__ import annotations

import functools
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import urllib3

from lambda_handler.entrypoint import Clients, serve
from lambda_handler.errors import DeliveryError
from tests.protocol.conftest import Context

from .scheduler import InvocationClock, Scheduler, TerminatedError

WRITES = {"PutImage", "BatchDeleteImage", "PutParameter", "DeleteParameter"}

USUAL_PACE = (0.05,)

Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """
    The course of one invocation.

    Attributes:
        seconds: The time that Lambda gives it.
        pace: The durations of its requests, repeated in a cycle.
        ends_before: The request (0 is the first) before which the instance is terminated; None if it is not.
        tick_seconds: How long each call of the clock takes.
    """

    seconds: float = 900.0
    pace: tuple[float, ...] = USUAL_PACE
    ends_before: int | None = None
    tick_seconds: float = 0.0


class _Pool(urllib3.PoolManager):
    """A connection pool that lets time pass before each request."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(maxsize=16)
        self._instance = instance

    def urlopen(self, method: str, url: str, redirect: bool = True, **more: Any) -> Any:  # type: ignore[override]  # noqa: FBT001, FBT002 - urllib3's own
        self._instance.before_request()
        return super().urlopen(method, url, redirect, **more)


@dataclass(eq=False)
class Instance:
    """One execution environment of the function. Its cached state can be discarded."""

    scheduler: Scheduler
    region: str
    log: Log
    is_busy: bool = False
    is_terminated: bool = False
    _run: Run = field(default_factory=Run)
    _clock: InvocationClock | None = None
    _sent: Iterator[int] = field(default_factory=itertools.count)
    _known: dict[tuple[str, str | None], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pool = _Pool(self)
        self.make_cold()

    def make_cold(self) -> None:
        """Discard the state that the instance keeps between invocations."""
        self.clients = _Clients(self)

    def has_responded_to(self, event: Mapping[str, object]) -> bool:
        """Whether it has responded to *event* since it became warm."""
        return event["RequestId"] in self.clients.responses

    def invoke(self, event: Mapping[str, object], run: Run) -> bool:
        """Serve *event*; return whether Lambda counts the invocation as successful."""
        self._run, self.is_terminated, self._sent = run, False, itertools.count()
        self._clock = InvocationClock(self.scheduler, run.tick_seconds, self.scheduler.time + run.seconds)
        try:
            serve(event, Context(run.seconds), self.clients, self._clock)
        except (DeliveryError, TerminatedError):
            # Lambda does not reuse the environment of a failed function.
            self.make_cold()
            return False
        finally:
            self.scheduler.end_threads_of(self._clock)
            self.is_terminated = True
        return True

    def before_request(self) -> None:
        """Let time pass, or terminate the instance."""
        if self.is_terminated or self._clock is None:
            raise TerminatedError
        number = next(self._sent)
        if number == self._run.ends_before:
            self.is_terminated = True
            self.log("the function is terminated")
            raise TerminatedError
        self._clock.sleep(self._run.pace[number % len(self._run.pace)])
        if self.is_terminated:
            raise TerminatedError

    def client(self, service: str, region: str | None, make: Callable[[], Any]) -> Any:
        """Return a client of botocore. Each is created only once, because that takes long."""
        if (service, region) not in self._known:
            client = self._known[service, region] = make()
            client.meta.events.register("before-call.*.*", self._before_call)
        return self._known[service, region]

    def _before_call(self, model: Any, params: Mapping[str, Any], **_: object) -> None:
        self.before_request()
        if model.name in WRITES:
            self.log(f"{model.name} {_summary(model.name, json.loads(params['body']))}")

    def close(self) -> None:
        """Drop all connections."""
        self.pool.clear()
        for client in self._known.values():
            client.close()


class _Clients(Clients):
    def __init__(self, instance: Instance) -> None:
        super().__init__()
        self.pool = instance.pool
        self._instance = instance
        self._session.set_config_variable("region", instance.region)

    def get(self, service: str, region: str | None = None) -> Any:
        return self._instance.client(service, region, lambda: super(_Clients, self).get(service, region))


@dataclass(eq=False)
class Function:
    """
    The function of one stack.

    Attributes:
        log: Is called with a message for each write and each terminated instance.
    """

    scheduler: Scheduler
    region: str
    log: Log
    instances: list[Instance] = field(default_factory=list)

    def invoke(self, event: Mapping[str, object], run: Run, *, cold: bool = False) -> bool:
        """Serve *event* in a free instance; return whether Lambda counts the invocation as successful."""
        free = [each for each in self.instances if not each.is_busy]
        instance = next(filter(lambda each: each.has_responded_to(event), free), next(iter(free), None))
        if instance is None:
            instance = Instance(self.scheduler, self.region, self.log)
            self.instances.append(instance)
        if cold:
            instance.make_cold()
        instance.is_busy = True
        try:
            return instance.invoke(event, run)
        finally:
            instance.is_busy = False

    def has_responded_to(self, event: Mapping[str, object]) -> bool:
        """Whether a free instance has responded to *event* since it became warm."""
        return any(each.has_responded_to(event) for each in self.instances if not each.is_busy)

    def make_cold(self) -> None:
        """Discard the cached state of all instances."""
        for instance in self.instances:
            instance.make_cold()

    def close(self) -> None:
        """Drop all connections."""
        for instance in self.instances:
            instance.close()


def unlock_cached_properties() -> None:
    """
    Let two functions in this process evaluate a cached property at the same time, as separate functions do.

    Up to Python 3.11, all objects share the lock of such a property, and a thread
    that waits for its turn would hold it.
    """
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("lambda_handler")]
    kinds = [each for module in modules for each in vars(module).values() if isinstance(each, type)]
    for each in (each for kind in kinds for each in vars(kind).values()):
        if isinstance(each, functools.cached_property) and hasattr(each, "lock"):
            each.lock = nullcontext()


def _summary(operation: str, data: Mapping[str, Any]) -> str:
    match operation:
        case "PutImage":
            return f"{data['repositoryName']}:{data.get('imageTag', '(no tag)')} -> {data['imageDigest']}"
        case "BatchDeleteImage":
            ids = [f"{each.get('imageTag', '')}@{each.get('imageDigest', '')}" for each in data["imageIds"]]
            return f"{data['repositoryName']} {ids}"
        case "PutParameter":
            return f"{data['Name']} = {data['Value']}"
    return str(data.get("Name", ""))
