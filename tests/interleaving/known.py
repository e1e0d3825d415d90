"""
What is known to break the contract and is not repaired yet; the aim is that this list is empty.

Whoever repairs one takes it out: a test fails as long as it is here although
its example holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .explore import Violation


@dataclass(frozen=True)
class Known:
    """
    One of them.

    Attributes:
        why: What happens.
        example: The name of a schedule that shows it.
        pattern: Which violations it explains, by name, ending and problem.
    """

    why: str
    example: str
    pattern: re.Pattern[str]


KNOWN: tuple[Known, ...] = (
    Known(
        "an index is off, and time runs out, also that for undoing: its children stay",
        "delete.DESTROY/index/one/nothing/digest#A:8late",
        re.compile(r"delete.DESTROY.*late.*: image [A-Z] is there"),
    ),
)


def is_known(violation: Violation, problem: str) -> bool:
    text = f"{violation.id} {' '.join(violation.verdict.ending)}: {problem}"
    return any(known.pattern.search(text) for known in KNOWN)
