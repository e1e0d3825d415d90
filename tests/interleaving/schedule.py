"""
What happens in which order: who begins, where the other one takes over, and what is inserted where.

A schedule is a short text, so that one that failed can be run again:
``B:5s,7s,9lost`` lets B begin, switches before steps 5 and 7 (of both
requests together), and loses the response of step 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SWITCH = "s"


class Fault(StrEnum):
    """
    What may go wrong with one call.

    THROTTLED: it is refused once.
    LOST: it is done, but its response is lost.
    STALE: a read of the registry sees what was there some seconds ago.
    LAGGING: so do all reads of this request from here on.
    SLOW: it takes so long that the time for the work is over.
    LATE: it takes so long that the time for undoing the work is over too; a response can still be sent.
    UNANSWERED: the response to CloudFormation is refused for good.
    """

    THROTTLED = "throttled"
    LOST = "lost"
    STALE = "stale"
    LAGGING = "lagging"
    SLOW = "slow"
    LATE = "late"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, kw_only=True)
class Act:
    """
    What a person does: ``move:latest:P``, ``remove:latest`` or ``delete:X``.

    Attributes:
        image: The name of the image that a tag is moved to, or that is deleted.
    """

    verb: str
    tag: str = ""
    image: str = ""

    @classmethod
    def parse(cls, text: str) -> Act:
        verb, _, rest = text.partition(":")
        if verb == "delete":
            return cls(verb=verb, image=rest)
        tag, _, image = rest.partition(":")
        return cls(verb=verb, tag=tag, image=image)

    def __str__(self) -> str:
        return ":".join(part for part in (self.verb, self.tag, self.image) if part)


@dataclass(frozen=True, order=True)
class Decision:
    """
    A switch before a step, or something that is inserted there.

    Attributes:
        at: The number of the step; those of both requests are counted together, from 0.
        what: ``s``, a fault, or what a person does.
    """

    at: int
    what: str

    @property
    def is_switch(self) -> bool:
        return self.what == SWITCH

    @property
    def fault(self) -> Fault | None:
        return Fault(self.what) if self.what in set(Fault) else None

    @property
    def act(self) -> Act | None:
        return None if self.is_switch or self.fault else Act.parse(self.what)

    def __str__(self) -> str:
        return f"{self.at}{self.what}"


@dataclass(frozen=True)
class Schedule:
    """
    A schedule.

    Attributes:
        first: The request that begins: A or B.
        decisions: In order.
    """

    first: str = "A"
    decisions: tuple[Decision, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Schedule:
        first, _, rest = text.partition(":")
        found = re.findall(r"(\d+)([^,]+)", rest)
        return cls(first, tuple(Decision(int(at), what) for at, what in found))

    def __str__(self) -> str:
        return f"{self.first}:{','.join(map(str, self.decisions))}"

    def then(self, at: int, what: str) -> Schedule:
        return Schedule(self.first, (*self.decisions, Decision(at, what)))

    @property
    def switches(self) -> int:
        return sum(each.is_switch for each in self.decisions)

    @property
    def inserted(self) -> Decision | None:
        """What is inserted, of which there is one at most."""
        return next((each for each in self.decisions if not each.is_switch), None)

    @property
    def next_switch(self) -> int:
        """The first step before which there may be another switch."""
        return self.decisions[-1].at + 1 if self.decisions else 0
