"""Why a run, or one case of it, ends early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import urllib3
from botocore.exceptions import BotoCoreError


class LiveCheckError(Exception):
    """A run cannot begin, or a case cannot continue; the message says why."""


class NotOwnError(LiveCheckError):
    """A request would touch something that the run did not create. It was not sent."""


class BudgetError(LiveCheckError):
    """A request would exceed the budget. It was not sent."""


FAILURES = (LiveCheckError, OSError, urllib3.exceptions.HTTPError, BotoCoreError)
"""Why something cannot be removed now, although it could be later."""


@dataclass(slots=True)
class Problems:
    """What could not be removed. It does not keep the rest from being removed, and is raised at the end."""

    messages: list[str] = field(default_factory=list)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the error of the block."""
        try:
            yield
        except FAILURES as error:
            self.messages.append(str(error))

    def raise_all(self) -> None:
        """
        Raise all errors as one.

        Raises:
            LiveCheckError: There was one.
        """
        if self.messages:
            raise LiveCheckError("; ".join(self.messages))
