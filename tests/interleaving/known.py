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
        "while the last tags of an image are removed it does not exist for a moment: others fail for good",
        "create.KEEP+undo-create.UNTAG/same/two/nothing/digest#B:11s",
        re.compile(r"\.(UNTAG|DESTROY).*: .* failed: NOT_FOUND"),
    ),
    Known(
        "and what is to be given back to it stays where it is",
        "undo-create.DESTROY+undo-create.UNTAG/tag/one/bump/digest#A:12s",
        re.compile(r"undo-.*/tag/.*: tag s is at Y; it must be at"),
    ),
    Known(
        "under DESTROY, an image that an undone update brought stays",
        "undo-gain.DESTROY/same/one/nothing/manifest#A:",
        re.compile(r"gain.DESTROY.*/manifest.*: image [XYI] is there"),
    ),
    Known(
        "an undo leaves no record of a tag that an index keeps, so that it stays for ever",
        "create.DESTROY+undo-create.DESTROY/child/two/nothing/digest#A:",
        re.compile(r"^(?=.*undo).*/child/.*: (tag s?[ab] is at X; it must be gone|image X is there)"),
    ),
    Known(
        "an index and an image that it lists are off at the same moment, and the index is not put back",
        "undo-create.UNTAG+undo-create.DESTROY/child/far/nothing/digest#A:11s,22s",
        re.compile(r"/child/.*: (.* failed: MISSING_CONTENT|image I is gone)"),
    ),
    Known(
        "time runs out between a removal and what puts the image back, or ends the record",
        "undo-create.UNTAG/same/one/nothing/digest#A:7slow",
        re.compile(r"(slow|late).*: (a record of nobody|image [A-Z] is (gone|there)|tag s is at W; it must be gone)"),
    ),
    Known(
        "a delivery that fails puts tags back that it never moved, and that another delivery has put",
        "undo-gain.KEEP+again.KEEP/same/one/nothing/digest#A:2slow,3s",
        re.compile(r"\+again.*(slow|late)"),
    ),
)


def is_known(violation: Violation, problem: str) -> bool:
    text = f"{violation.id} {' '.join(violation.verdict.ending)}: {problem}"
    return any(known.pattern.search(text) for known in KNOWN)
