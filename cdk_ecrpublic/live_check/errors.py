"""Why a run, or one case of it, ends early."""

from __future__ import annotations


class LiveCheckError(Exception):
    """A run cannot begin, or a case cannot continue; the message says why."""


class NotOwnError(LiveCheckError):
    """A request would touch something that the run did not create. It was not sent."""


class BudgetError(LiveCheckError):
    """A request would exceed the budget. It was not sent."""
