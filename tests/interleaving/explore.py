"""
Run all schedules of a pair, within bounds.

A switch before a step is skipped if the step commutes with everything that the
other request does until the switch back. The switch after the step then gives an
equivalent schedule, which is run. This does not apply to insertions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .checker import Checker, Finding
from .history import Prepared, prepare
from .run import Call, HangError, Run, UnreachableError, touched_by
from .scenarios import Pair
from .schedule import SWITCH, Fault, ManualAction, Schedule
from .services import Client

LAGGING = {"DescribeImages", "GET manifest", "HEAD manifest"}
"""Operations whose responses may be stale."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """
    The bounds of an exploration.

    Attributes:
        switches: The maximum number of switches, apart from those after the end of a request.
        faults: The faults. Each is inserted once, at every possible step.
        actions: The actions of people. Each is inserted once, at every step.
        switches_with_insertion: The maximum number of switches in schedules with an insertion.
        reduces: Whether to skip equivalent schedules.
    """

    switches: int = 2
    faults: tuple[Fault, ...] = ()
    actions: tuple[str, ...] = ()
    switches_with_insertion: int = 1
    reduces: bool = True


@dataclass(frozen=True)
class Violation:
    """A schedule that broke the contract."""

    pair: Pair
    schedule: Schedule
    finding: Finding
    run: Run

    @property
    def id(self) -> str:
        """The name that repeats it."""
        return f"{self.pair}#{self.schedule}"


@dataclass
class Tally:
    """
    Counts of an exploration.

    Attributes:
        runs: How many schedules were run.
        same: How many equivalent schedules were skipped.
        calls: How many steps there were in total.
        ends: How many endings were run.
    """

    pairs: int = 0
    runs: int = 0
    same: int = 0
    calls: int = 0
    ends: int = 0

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Explorer:
    """
    Explores one pair.

    Attributes:
        client: The replacement for botocore's clients. A test of the explorer passes a broken one.
    """

    pair: Pair
    bounds: Bounds
    client: type[Client] = Client
    tally: Tally = field(default_factory=lambda: Tally(pairs=1))

    def __post_init__(self) -> None:
        self.prepared: Prepared = prepare(self.pair)
        self.checker = Checker(self.prepared)

    def violations(self) -> Iterator[Violation]:
        """Yield all violations of the contract, first those before the schedules."""
        if self.prepared.simulation.problems:
            run = self.run(Schedule())
            yield Violation(self.pair, Schedule(), Finding(("before",), tuple(self.prepared.simulation.problems)), run)
        for run in self.runs():
            yield from (Violation(self.pair, run.schedule, finding, run) for finding in self.checker.check(run))
        self.tally.ends = self.checker.endings_run

    def run(self, schedule: Schedule) -> Run:
        world, invocations = self.prepared.begin(self.client)
        run = Run(world, invocations, schedule)
        try:
            run.go()
        except (HangError, UnreachableError) as error:
            message = f"{self.pair}#{schedule}: {error}"
            raise RuntimeError(message) from error
        self.tally.runs += 1
        self.tally.calls += run.position
        return run

    def runs(self) -> Iterator[Run]:
        firsts = list(self.prepared.requests) if not self._is_single() else ["A"]
        for first in firsts:
            root = self.run(Schedule(first))
            yield root
            yield from self._switched(root, 0)
            if self.bounds.faults or self.bounds.actions:
                yield from self._inserted(root)
                if self.bounds.switches_with_insertion:
                    yield from self._switched_and_inserted(root)

    def _is_single(self) -> bool:
        return len(self.prepared.requests) < 2

    # Switches alone

    def _switched(self, run: Run, start: int) -> Iterator[Run]:
        """Run the schedules that add switches to *run*, recursively."""
        if run.schedule.switches >= self.bounds.switches:
            return
        segment, others = _segment(run)
        # A request that sleeps lets the other one run, so two halves are not independent here.
        reduces = self.bounds.reduces and all(step.operation != "sleep" for step in run.steps)
        for at in range(segment.stop - 1, max(segment.start, start) - 1, -1):
            if not others:
                return
            step = run.steps[at]
            conflict = next((position for position, other in enumerate(others) if not step.commutes_with(other)), None)
            if reduces and conflict is None:
                self.tally.same += self._below(run, len(others))
                continue
            child = self.run(run.schedule.then(at, SWITCH))
            yield child
            others = child.steps[at : _segment(child)[0].stop]
            first = next((position for position, other in enumerate(others) if not step.commutes_with(other)), 0)
            yield from self._switched(child, at + first + 1 if reduces else at + 1)

    def _below(self, run: Run, others: int) -> int:
        """Count the skipped schedules, which begin with a switch that makes no difference."""
        return 1 + (others - 1 if run.schedule.switches + 1 < self.bounds.switches else 0)

    # Insertions

    def _inserted(self, run: Run) -> Iterator[Run]:
        """Run *run* with each insertion at each step after its last switch, and then with switches after it."""
        start = run.schedule.decisions[-1].at if run.schedule.decisions else 0
        for at in range(start, run.position):
            for what in self._insertions(run, at):
                child = self.run(run.schedule.then(at, what))
                if what in set(Fault) and _signature(child) == _signature(run):
                    # The insertion had no effect, for example a stale read that returned the same.
                    self.tally.same += 1
                    continue
                yield child
                if child.schedule.switches < self.bounds.switches_with_insertion and what != Fault.THROTTLED:
                    yield from self._switched_after(child)

    def _insertions(self, run: Run, at: int) -> Iterator[str]:
        step = run.steps[at]
        for fault in self.bounds.faults:
            if applies(fault, step) and not (fault is Fault.THROTTLED and run.schedule.switches):
                yield fault
        for action in self.bounds.actions:
            touched = touched_by(ManualAction.parse(action), step.tags)
            if not Call("person", action, reads=touched, writes=touched).commutes_with(step):
                yield action

    def _switched_after(self, run: Run) -> Iterator[Run]:
        segment, others = _segment(run)
        if others:
            for at in segment:
                yield self.run(run.schedule.then(at, SWITCH))

    def _switched_and_inserted(self, root: Run) -> Iterator[Run]:
        segment, others = _segment(root)
        for at in segment if others else ():
            child = self.run(root.schedule.then(at, SWITCH)) if at else None
            if child:
                yield from self._inserted(child)


def _segment(run: Run) -> tuple[range, Sequence[Call]]:
    """Return the steps before which another switch is possible, and the steps of the other request."""
    start = run.schedule.next_switch or 1
    steps = run.steps
    if start >= len(steps):
        return range(0), ()
    caller = steps[run.schedule.decisions[-1].at if run.schedule.decisions else 0].caller
    stop = next((position for position in range(start, len(steps)) if steps[position].caller != caller), len(steps))
    return range(start, stop), steps[stop:]


def applies(fault: Fault, step: Call) -> bool:
    """Whether a fault can apply to a step."""
    match fault:
        case Fault.THROTTLED:
            return step.operation != "sleep"
        case Fault.LOST:
            return bool(step.writes)
        case Fault.STALE | Fault.LAGGING:
            return step.operation in LAGGING
        case Fault.SLOW | Fault.LATE:
            return step.operation not in {"sleep", "PUT answer"}
        case Fault.UNANSWERED:
            return step.operation == "PUT answer"


def _signature(run: Run) -> tuple[object, ...]:
    """Return the calls of both requests with their results, and the final state."""
    steps = tuple((call.caller, call.operation, repr(call.parameters), call.outcome) for call in run.steps)
    return (steps, run.world.fingerprint())
