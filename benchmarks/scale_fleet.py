"""The services and the functions of a run at scale, each in its own process."""

from __future__ import annotations

import time as machine
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from .processes import BenchmarkError
from .scale_control_plane import ControlPlane
from .scale_invocations import Event, Invocations
from .scale_processes import in_own_process
from .scale_quotas import NONE, Counts, Quotas
from .scale_registry import Registry
from .scale_stacks import REGION, Answers
from .scale_time import Time

LATE_SECONDS = 120.0
"""How many seconds functions may still work after the last moment for a response."""

STUCK_SECONDS = 1800.0
"""How many real seconds the virtual time may stand still. After that, a thread waits forever."""

_POLL_SECONDS = 0.1

Progress = Callable[[float, int, int], None]
"""Is called with the seconds that have passed, and the numbers of responses and failures."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All services and functions."""

    time: Time
    registry: Registry
    plane: ControlPlane
    functions: Invocations

    def limit(self, quotas: Quotas = NONE) -> None:
        """Set the quotas."""
        self.registry.limit(quotas)
        self.plane.limit(quotas)

    def counts(self) -> Counts:
        """Return the requests to all services since the last call."""
        counts, others = self.registry.counts(), self.plane.counts()
        return Counts(counts.asked + others.asked, counts.throttled + others.throttled)

    def invoke(self, events: Sequence[Event], seconds: float, progress: Progress) -> Answers:
        """
        Invoke a function for each event concurrently, and wait until all have ended.

        Args:
            seconds: How long CloudFormation waits for a response.

        Raises:
            BenchmarkError: Some functions did not end.
        """
        began = self.time.now()
        self.functions.begin(events)
        seen, seen_at = began, machine.monotonic()
        while self.functions.is_at_work():
            now = self.time.now()
            if now != seen:
                seen, seen_at = now, machine.monotonic()
            if now > began + seconds + LATE_SECONDS or machine.monotonic() > seen_at + STUCK_SECONDS:
                message = f"functions are still at work {now - began:.0f} s after they were invoked"
                raise BenchmarkError(message)
            progress(now - began, *self.plane.progress())
            machine.sleep(_POLL_SECONDS)
        return Answers(began, self.plane.answers(), self.functions.errors())


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Run empty services and cold functions until the end of the block."""
    time = Time.begin()
    with ExitStack() as stack:
        registry = stack.enter_context(in_own_process(Registry, time))
        plane = stack.enter_context(in_own_process(ControlPlane, time))
        where: Mapping[str, str] = {
            **registry.environment(),
            "AWS_ENDPOINT_URL_SSM": plane.url(),
            "AWS_ENDPOINT_URL_CLOUDFORMATION": plane.url(),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        yield Fleet(time, registry, plane, stack.enter_context(in_own_process(Invocations, where, time)))
