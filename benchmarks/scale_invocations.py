"""
Many concurrent invocations of the function: the real handler with real clients and sockets.

As in its own Lambda environment, each has its own ``Clients`` with connections
and logins. They share the interpreter and botocore's service models. The time is
that of ``scale_time``.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.connectionpool import HTTPConnectionPool

from lambda_handler.entrypoint import Clients, serve

from .scale_time import Pace, Time

LAMBDA_SECONDS = 900.0

LATENCY_SECONDS = 0.03
"""How many seconds a request takes."""

SERVICES = (("ecr-public", "us-east-1"), ("ssm", None), ("cloudformation", None))
"""How many functions have clients from the start. Creating all at the same time would delay sockets."""

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Context:
    """Lambda's context object."""

    aws_request_id: str
    time: Time
    ends: float

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the function."""
        return int((self.ends - self.time.now()) * 1000)


class Invocations:
    """
    The functions of one process, kept warm.

    Args:
        environment: The variables that direct clients to AWS.
    """

    def __init__(self, environment: Mapping[str, str], time: Time) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(environment)
        # The log is not read.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        logging.disable()
        self._time, self._pace = time, Pace(time)
        self._pace.watch_threads()
        _slow_down(self._pace)
        _unlock_cached_properties()
        self._functions: list[Clients] = []
        self._threads: list[threading.Thread] = []
        self._errors: dict[str, str] = {}

    def close(self) -> None:
        """Do nothing: everything ends with the process."""

    def prepare(self, count: int) -> None:
        """Create functions until there are this many."""
        while len(self._functions) < count:
            self._functions.append(_function())

    def begin(self, events: Sequence[Event]) -> None:
        """Invoke a function for each event, all at the same time."""
        self.prepare(len(events))
        pairs = zip(events, self._functions, strict=False)
        invoked = [threading.Thread(target=self._invoke, args=pair, daemon=True) for pair in pairs]
        keeping = threading.Thread(target=self._pace.keep, args=[lambda: not _alive(invoked)], daemon=True)
        self._threads = [*invoked, keeping]
        for thread in self._threads:
            thread.start()

    def is_at_work(self) -> bool:
        """Whether any function is working."""
        return _alive(self._threads)

    def errors(self) -> Mapping[str, str]:
        """Return and discard the errors of functions that failed, by request id."""
        errors, self._errors = self._errors, {}
        return errors

    def _invoke(self, event: Event, clients: Clients) -> None:
        self._pace.sleep(0.0)
        identity = str(event["RequestId"])
        context = Context(identity, self._time, self._time.now() + LAMBDA_SECONDS)
        try:
            serve(event, context, clients, self._pace)
        except Exception as error:  # noqa: BLE001 - as Lambda does
            self._errors[identity] = f"{type(error).__name__}: {error}"


def _alive(threads: Sequence[threading.Thread]) -> bool:
    return any(thread.is_alive() for thread in threads)


def _function() -> Clients:
    clients = Clients()
    for service, region in SERVICES:
        clients.get(service, region)
    return clients


def _unlock_cached_properties() -> None:
    """Let functions compute the same property at once: before Python 3.12, all objects of a class share its lock."""
    functools.cached_property.lock = property(lambda _: nullcontext(), lambda *_: None)  # type: ignore[attr-defined]


def _slow_down(pace: Pace) -> None:
    """
    Make every request of urllib3, and of botocore through it, take a fixed virtual time.

    Timeouts are removed, because they would be in real time.
    """
    send = HTTPConnectionPool.urlopen

    @functools.wraps(send)
    def urlopen(pool: HTTPConnectionPool, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on as they are
        pace.sleep(LATENCY_SECONDS)
        return send(pool, *arguments, **{**options, "timeout": None})

    HTTPConnectionPool.urlopen = urlopen  # type: ignore[assignment,method-assign]
