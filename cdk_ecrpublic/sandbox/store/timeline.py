"""Values with a history, so that a read can see an earlier state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_CHANGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """
    The lag of a read.

    Attributes:
        now: The time in seconds, from the clock of the writes.
        lag_seconds: The age of the state that the read sees.
        is_stale: Whether the read ignores the last write, however old it is.
    """

    now: float = float("inf")
    lag_seconds: float = 0.0
    is_stale: bool = False


LATEST = View()
"""No lag."""


@dataclass(slots=True)
class Timeline(Generic[T]):
    """The history of a value; None while it did not exist."""

    _changes: list[tuple[float, T | None]] = field(default_factory=list)

    def set(self, value: T | None, now: float) -> None:
        """Change the value."""
        self._changes.append((now, value))
        del self._changes[:-KEPT_CHANGES]

    def get(self, view: View = LATEST) -> T | None:
        """Return the value that *view* sees."""
        changes = self._changes[:-1] if view.is_stale else self._changes
        for when, value in reversed(changes):
            if when <= view.now - view.lag_seconds:
                return value
        return None

    def values(self, since: float) -> Iterator[T]:
        """Yield the current value, and those that it has had since a time."""
        ends = [*(when for when, _ in self._changes[1:]), float("inf")]
        return (value for (_, value), end in zip(self._changes, ends, strict=True) if value is not None and end > since)
