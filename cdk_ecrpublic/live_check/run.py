"""Runs cases on one endpoint, and always cleans up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import urllib3
from botocore.exceptions import BotoCoreError

from .budget import Budget
from .case import Case
from .cleanup import clean_up, remove
from .endpoint import Endpoint
from .errors import LiveCheckError
from .recording import Recording
from .session import Session
from .target import Target

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_SURPRISES = (LiveCheckError, LookupError, TypeError, AttributeError, ValueError, OSError)
"""What a case may raise if a response is not what it needs to continue; the others are defects of a case."""


def run_cases(
    cases: Sequence[Case], endpoint: Endpoint, budget: Budget, tell: Callable[[str], None] = lambda _: None
) -> tuple[list[Recording], Session]:
    """
    Run cases one after the other, each in repositories of its own, which are deleted after it.

    Raises:
        LiveCheckError: Something was left behind; the message says what.
    """
    session = Session.begin(endpoint, budget)
    recordings = []
    with signals_as_exceptions():
        try:
            for case in cases:
                tell(f"{endpoint.name}: {case.name}")
                recordings.append(run_case(case, session))
        finally:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_IGN)
            clean_up(session)
    return recordings, session


def run_case(case: Case, session: Session) -> Recording:
    """Run one case. If it cannot continue, the recording says why."""
    target = Target(session=session, recording=Recording(case=case.name))
    throttled = session.throttled
    try:
        case.ask(target)
    except (*_SURPRISES, urllib3.exceptions.HTTPError, BotoCoreError) as error:
        target.recording.stopped = f"{type(error).__name__}: {session.transport.trace.redacted(str(error))}"
    finally:
        remove(session)
    if session.throttled > throttled:
        target.measure("requests that were throttled and repeated", session.throttled - throttled)
    return target.recording


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Turn signals into exceptions, so that ``finally`` runs. Further signals are ignored while cleaning up."""

    def stop(number: int, _frame: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {each: signal.signal(each, stop) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
