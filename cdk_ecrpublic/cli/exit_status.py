"""
The exit statuses of all commands that look at an app or a registry.

The worst thing that was found decides; a larger number is worse, so that a
script may compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command found."""

    FINE = 0
    """What was asked for is so, or will be; or it was written."""

    FOUND = 1
    """`plan`: the deployment will be refused. `verify`: the registry differs. `pin --check`: a name has moved."""

    UNCHECKED = 2
    """Something could not be checked, so that nothing is known of it; also a wrong option, or nothing to look at."""


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """Return the status of a whole review; that of nothing is ``FINE``."""
    return max(statuses, default=ExitStatus.FINE)
