"""
Schedules: which request begins, where to switch to the other one, and what to insert.

A schedule is a short string, so that a failed one can be run again. In
``B:5s,7s,9lost``, B begins, the requests switch before steps 5 and 7 (the steps
of both requests are counted together), and the response of step 9 is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SWITCH = "s"


class Fault(StrEnum):
    """
    A fault of one call.

    THROTTLED: it is refused once.
    LOST: it takes effect, but its response is lost.
    STALE: a read of the registry returns the state of some seconds ago.
    LAGGING: this read and all later reads of the request do so.
    SLOW: it takes so long that no time for the work is left.
    LATE: it takes so long that no time for moving tags back is left, either; a response can still be sent.
    UNANSWERED: the response to CloudFormation is refused permanently.
    """

    THROTTLED = "throttled"
    LOST = "lost"
    STALE = "stale"
    LAGGING = "lagging"
    SLOW = "slow"
    LATE = "late"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, kw_only=True)
class ManualAction:
    """
    An action of a person: ``move:latest:P``, ``remove:latest`` or ``delete:X``.

    Attributes:
        image: The name of the image that a tag is moved to, or that is deleted.
    """

    verb: str
    tag: str = ""
    image: str = ""

    @classmethod
    def parse(cls, text: str) -> ManualAction:
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
    A switch or an insertion before a step.

    Attributes:
        at: The number of the step, starting at 0. The steps of both requests are counted together.
        what: ``s``, a fault, or an action of a person.
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
    def action(self) -> ManualAction | None:
        return None if self.is_switch or self.fault else ManualAction.parse(self.what)

    def __str__(self) -> str:
        return f"{self.at}{self.what}"


@dataclass(frozen=True)
class Schedule:
    """
    A schedule.

    Attributes:
        first: The request that begins: A or B.
        decisions: The decisions, in order.
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
        """The insertion; None if there is none. A schedule has at most one."""
        return next((each for each in self.decisions if not each.is_switch), None)

    @property
    def next_switch(self) -> int:
        """The first step before which there may be another switch."""
        return self.decisions[-1].at + 1 if self.decisions else 0
