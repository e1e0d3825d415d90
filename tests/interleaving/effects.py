"""What operations are here: functions that change a world, and say what of it they depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .run import Call
from .world import World


class Refusal(Exception):  # noqa: N818 - a service refuses; what the client raises is another exception
    """A service's error."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


Effect = Callable[[World, Call, str], Any]
"""
An operation: carries itself out in a Region, and returns its response.

It adds what it reads and writes to the call's own sets.
"""
