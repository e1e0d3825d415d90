"""The recorded requests, for tests that count them. They contain no tokens, header values or bodies."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from .operations import Authentication, Call, Face
from .store.state import TagMove

KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    One request and its result.

    Attributes:
        time: When the response was ready, in seconds since the epoch.
        face: ``api`` for the control-plane API, ``http`` for the registry API.
        status: The status of the response; 0 if the connection was dropped.
        error: The error code; empty on success.
        authentication: ``authenticated`` also means a signed API call.
        moves: The tags that the request moved, created or deleted.
        seconds: How long it took to make the response, from the arrival of the request.
    """

    time: float
    face: Face
    operation: str
    repository: str
    reference: str
    status: int
    error: str
    authentication: Authentication
    moves: tuple[TagMove, ...] = ()
    seconds: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read an entry of ``GET /_sandbox/requests``."""
        return cls(**{**data, "moves": tuple(TagMove(**move) for move in data["moves"])})


@dataclass(slots=True)
class Journal:
    """The latest 10 000 requests, oldest first."""

    _requests: deque[Request] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(
        self,
        call: Call,
        *,
        time: float,
        status: int,
        error: str,
        authentication: Authentication,
        moves: Sequence[TagMove] = (),
        seconds: float = 0.0,
    ) -> None:
        """Record a request."""
        entry = Request(
            time=time,
            face=call.face,
            operation=call.operation,
            repository=call.repository,
            reference=call.reference,
            status=status,
            error=error,
            authentication=authentication,
            moves=tuple(moves),
            seconds=seconds,
        )
        with self._lock:
            self._requests.append(entry)

    def all(self, *operations: str) -> list[Request]:
        """Return all requests, or only those for the given operations."""
        with self._lock:
            return [request for request in self._requests if not operations or request.operation in operations]

    def count(self, *operations: str) -> int:
        """Count the requests, as in ``all``."""
        return len(self.all(*operations))

    def clear(self) -> None:
        """Remove all recorded requests."""
        with self._lock:
            self._requests.clear()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.all())

    def __len__(self) -> int:
        return self.count()
