"""
Scripted faults: what fails, where and how often. Nothing is random.

::

    sandbox.faults.add(Fault(operation="PutImage", skip=1, code="ServerException"))   # the second call, once
    sandbox.faults.add(Fault(operation="GetManifest", times=None, delay_seconds=5))   # every call
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from .operations import API_OPERATIONS, HTTP_OPERATIONS, Call, Face

ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One fault: first the requests that it matches, then its effects, which can be combined.

    Attributes:
        operation: ``PutImage``, ``GetManifest`` …; ``*`` matches all.
        face: ``api`` for the control-plane API, ``http`` for the registry API. Default: both.
        repository: Only this repository, without host and alias. Default: all.
        reference: Only this tag or digest. Default: all.
        skip: The number of matching requests that succeed first.
        times: The number of matching requests that fail then; None means all.
        code: Refuse with this error code: ``ThrottlingException`` on the
            control-plane API, ``TOOMANYREQUESTS`` on the registry API.
        message: The message of the error.
        status: The HTTP status. Alone or with *body*, it is sent as it is.
        body: The HTTP body, instead of an error of the service.
        delay_seconds: Wait before anything else happens.
        drop: Close the connection without a response, ``before`` or ``after``
            the request takes effect.
        truncate_bytes: Send only this number of bytes of the body, then close.
        drip_seconds: Send the body in 20 pieces, with this pause between them.
        stale: Read the state before the last write.
    """

    operation: str = ANY
    face: Face | None = None
    repository: str | None = None
    reference: str | None = None
    skip: int = 0
    times: int | None = 1
    code: str | None = None
    message: str | None = None
    status: int | None = None
    body: str | None = None
    delay_seconds: float = 0.0
    drop: Literal["before", "after"] | None = None
    truncate_bytes: int | None = None
    drip_seconds: float = 0.0
    stale: bool = False

    def __post_init__(self) -> None:
        if self.operation not in (ANY, *API_OPERATIONS, *HTTP_OPERATIONS):
            message = f"operation is {self.operation!r}; allowed: *, {', '.join((*API_OPERATIONS, *HTTP_OPERATIONS))}"
            raise ValueError(message)
        if self.drop not in (None, "before", "after") or self.face not in (None, "api", "http"):
            message = f"drop is {self.drop!r} and face {self.face!r}; allowed: before or after, api or http, or neither"
            raise ValueError(message)
        if not self._has_effect:
            message = "the fault has no effect; give it a code, status, delay_seconds, drop, truncate_bytes, …"
            raise ValueError(message)

    @classmethod
    def from_json(cls, data: object) -> Fault:
        """
        Read a fault.

        Shape:
            ``{"operation": "PutImage", "code": "ServerException", "times": 2}``

        Raises:
            ValueError: A name is unknown, or the fault has no effect.
        """
        names = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or not names.issuperset(data):
            message = f"fault is {data!r}; expected an object with names among: {', '.join(sorted(names))}"
            raise ValueError(message)
        return cls(**data)

    @property
    def is_answer(self) -> bool:
        """Whether the request is refused instead of executed."""
        return self.code is not None or self.status is not None

    @property
    def _has_effect(self) -> bool:
        effects = (self.delay_seconds, self.drop, self.truncate_bytes is not None, self.drip_seconds, self.stale)
        return self.is_answer or any(effects)

    def matches(self, call: Call) -> bool:
        """Return whether the fault matches *call*."""
        wanted = (self.face, self.repository, self.reference)
        found = (call.face, call.repository, call.reference)
        fits = all(want is None or want == got for want, got in zip(wanted, found, strict=True))
        return fits and self.operation in (ANY, call.operation)


@dataclass(slots=True)
class _Script:
    fault: Fault
    seen: int = 0

    def hits(self, call: Call) -> bool:
        if not self.fault.matches(call):
            return False
        self.seen += 1
        first, times = self.fault.skip, self.fault.times
        return self.seen > first and (times is None or self.seen <= first + times)


@dataclass(slots=True)
class Faults:
    """All faults. The first one that hits a request takes effect; every fault that matches counts the request."""

    _scripts: list[_Script] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *faults: Fault) -> None:
        """Append faults."""
        with self._lock:
            self._scripts += [_Script(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._scripts.clear()

    def all(self) -> list[Fault]:
        """Return all faults in order, including those that have occurred."""
        with self._lock:
            return [script.fault for script in self._scripts]

    def take(self, call: Call) -> Fault | None:
        """Return the fault that hits *call*, and count the call."""
        with self._lock:
            hits = [script.fault for script in self._scripts if script.hits(call)]
        return hits[0] if hits else None
