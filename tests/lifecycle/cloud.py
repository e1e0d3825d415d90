"""Systems Manager in every Region, and CloudFormation for several stacks, in virtual time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from tests.support.control_plane import HOME, ControlPlane, region_of, serving

from .scheduler import Scheduler

ServiceFault = Literal["busy", "broken", "denied"]
"""Throttled; the request takes effect, but the response is a server error; access denied."""


@dataclass
class Cloud(ControlPlane):
    """
    Both services.

    Attributes:
        broken: How many requests get a server error, by operation.
    """

    broken: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        super().clear()
        self.broken.clear()

    def fail(self, operation: str, kind: ServiceFault, times: int) -> None:
        """Make an operation fail this many times."""
        match kind:
            case "busy":
                self.busy[operation] = times
            case "broken":
                self.broken[operation] = times
            case "denied":
                self.denied.add(operation)

    def clear_faults(self) -> None:
        """Remove all faults."""
        for holds in (self.busy, self.broken, self.denied, self.requests, self.calls):
            holds.clear()

    def answer(self, operation: str, data: Mapping[str, Any], region: str = HOME) -> tuple[int, str]:
        status, text = super().answer(operation, data, region)
        if self.broken[operation] > 0:
            self.broken[operation] -= 1
            return 500, "the request took effect, but the response is an error"
        return status, text


@contextmanager
def cloud(scheduler: Scheduler) -> Iterator[Cloud]:
    """Serve both services, on a port of this machine."""
    services = Cloud(wall=lambda: scheduler.wall)

    def answer(headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        if target := headers.get("X-Amz-Target", ""):
            return services.answer(target.partition(".")[2], json.loads(body), region_of(headers))
        form = dict(parse_qsl(body.decode()))
        return services.answer(form["Action"], form, region_of(headers))

    with serving(answer) as services.url:
        yield services
