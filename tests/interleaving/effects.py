"""The type of operations: functions that change a world, and record what they read and write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .run import Call
from .world import World


class Refusal(Exception):  # noqa: N818 - the refusal of a service; the client raises another exception
    """A service's error."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


Effect = Callable[[World, Call, str], Any]
"""
An operation: a function that is carried out in a Region and returns the response.

It adds what it reads and writes to the sets of the call.
"""
