"""
The exit statuses of all commands that review an app or a registry.

The worst result determines the status. A larger number is worse, so scripts
can compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitStatus(IntEnum):
    """The result of a command."""

    FINE = 0
    """The registry is as declared, or will be; or the command wrote its output."""

    FOUND = 1
    """`plan`: the deployment will be refused. `verify`: the registry differs. `pin --check`: a tag has moved."""

    UNCHECKED = 2
    """Something could not be checked, an option is wrong, or there is no app."""


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """Return the worst status, or ``FINE`` if there is none."""
    return max(statuses, default=ExitStatus.FINE)
