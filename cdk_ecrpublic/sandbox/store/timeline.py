"""Values with a past, so that a read can see what was there some time ago."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_CHANGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """
    How far behind a read is.

    Attributes:
        now: Seconds, of the clock that stamped the writes.
        lag_seconds: The read sees what was there so long ago.
        is_stale: The read does not see the last write, however old.
    """

    now: float = float("inf")
    lag_seconds: float = 0.0
    is_stale: bool = False


LATEST = View()
"""No lag."""


@dataclass(slots=True)
class Timeline(Generic[T]):
    """The values that something has had; None while it was not there."""

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
