"""What was asked for, for tests that count requests. Never a token, a header's value or a body."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from .operations import Authentication, Call, Face

KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    One request and how it ended.

    Attributes:
        status: Of the answer; 0 when the connection was dropped instead.
        error: The error's code; empty on success.
        authentication: ``authenticated`` also stands for a signed API call.
    """

    face: Face
    operation: str
    repository: str
    reference: str
    status: int
    error: str
    authentication: Authentication


@dataclass(slots=True)
class Journal:
    """The latest 10 000 requests, oldest first."""

    _requests: deque[Request] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, call: Call, *, status: int, error: str, authentication: Authentication) -> None:
        """Write a request down."""
        entry = Request(
            face=call.face,
            operation=call.operation,
            repository=call.repository,
            reference=call.reference,
            status=status,
            error=error,
            authentication=authentication,
        )
        with self._lock:
            self._requests.append(entry)

    def all(self, *operations: str) -> list[Request]:
        """Return the requests, or those for the named operations only."""
        with self._lock:
            return [request for request in self._requests if not operations or request.operation in operations]

    def count(self, *operations: str) -> int:
        """Count them."""
        return len(self.all(*operations))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._requests.clear()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.all())

    def __len__(self) -> int:
        return self.count()
