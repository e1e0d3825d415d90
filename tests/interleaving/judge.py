"""What must hold at the end of a schedule, and after all that CloudFormation sends then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, permutations

from . import engine
from .course import Course, operation_of, reason_of
from .history import Prepared
from .model import Expectation, Operation, States, apply, may_fail, perform
from .run import LAG_SECONDS, Run
from .schedule import Act, Fault

STALE = {Fault.STALE, Fault.LAGGING}
FATAL = {Fault.SLOW, Fault.LATE, Fault.UNANSWERED}
"""After these, a request may fail."""

Ending = tuple[str, ...]
"""What happens to the stacks, in order: ``finish Alpha``, ``undo Beta``, ``destroy Alpha``."""


@dataclass(frozen=True)
class Verdict:
    """What broke, and after which ending."""

    ending: Ending
    problems: tuple[str, ...]


def endings(prepared: Prepared) -> list[Ending]:
    """Return all that may come after: success, the undoing of each stack that goes forward, and the end of all."""
    stacks = prepared.pair.stacks
    forward = [stack for stack in stacks if prepared.pair.phase(stack) == "forward"]
    found: list[Ending] = []
    for undone in chain.from_iterable(combinations(forward, number) for number in range(len(forward) + 1)):
        finished = [f"finish {stack}" for stack in stacks if stack not in undone]
        found += [(*finished, *(f"undo {stack}" for stack in order)) for order in permutations(undone)]
    destroyed = [f"destroy {stack}" for stack in stacks]
    return [*found, (*found[0], *destroyed), *([(*found[0], *destroyed[::-1])] if len(stacks) > 1 else [])]


class Judge:
    """
    Judges the runs of one pair.

    An ending is played once for each state of the world that runs come to.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.endings = endings(prepared)
        self._known: dict[object, tuple[str, ...]] = {}
        self.played = 0

    def judge(self, run: Run) -> Iterator[Verdict]:
        """Yield what broke; nothing, if all is well."""
        course = Course(world=run.world, states=frozenset(), warm=self.prepared.course.warm)
        for stack in run.world.stacks.values():
            for change in list(stack.waiting):
                engine.answered(run.world, change.request)
        outlook = Outlook(self.prepared, run)
        course.states = outlook.states
        # An image that is gone may keep a rollback from ever succeeding.
        course.is_excused = _deletes_an_image(run) or bool(outlook.may_fail)
        at_once = tuple(self._at_once(run, outlook))
        if at_once:
            yield Verdict((), at_once)
        key = (run.world.fingerprint(), course.states, course.is_excused)
        for ending in self.endings:
            if (key, ending) not in self._known:
                self.played += 1
                self._known[key, ending] = tuple(_play(course.copy(), ending))
            if problems := self._known[key, ending]:
                yield Verdict(ending, problems)

    def _at_once(self, run: Run, outlook: Outlook) -> Iterator[str]:
        """Hold each delivery to its answer."""
        inserted = run.schedule.inserted
        fault = inserted.fault if inserted else None
        deliveries = [request.id for request in self.prepared.requests.values()]
        before = self.prepared.course.world.answers
        for agent in run.agents:
            hit = fault if any(call.fault for call in run.steps if call.who == agent.name) else None
            # Of a request that is delivered twice the first answer counts, whichever delivery it is of.
            same = {name for name, request in self.prepared.requests.items() if request.id == agent.request.id}
            hit_same = fault if any(call.fault for call in run.steps if call.who in same) else None
            if agent.error and hit is not Fault.UNANSWERED:
                yield f"{agent.error!r} escaped from {agent.name}"
            bodies = run.world.answers.get(agent.request.id, [])
            wanted = deliveries.count(agent.request.id) + len(before.get(agent.request.id, ()))
            if fault not in {Fault.UNANSWERED, Fault.LOST} and len(bodies) != wanted:
                yield f"{len(bodies)} answers to {wanted} deliveries of the request of {agent.name}"
            excused = hit_same in FATAL or _deletes_an_image(run) or agent.name in outlook.may_fail
            excused = excused or (agent.name == "B" and self.prepared.is_second)
            if bodies and b'"SUCCESS"' not in bodies[0] and not excused:
                yield f"{agent.name} failed: {reason_of(bodies[0])}"


class Outlook:
    """
    What any order of whole requests leaves that fits the time in which each of them ran.

    Attributes:
        states: What may be there.
        may_fail: The requests that may find that their image is gone.
    """

    def __init__(self, prepared: Prepared, run: Run) -> None:
        self.prepared = prepared
        self.stale = next((call.who for call in run.steps if call.fault in STALE), "")
        self.states: States = frozenset()
        self.may_fail: set[str] = set()
        self.missed = {name: self._missed(run, name) for name in prepared.requests}
        happened = {name: _operation(prepared, run, name) for name in prepared.requests}
        items: dict[str, Operation | Act] = {name: each for name, each in happened.items() if each}
        places: dict[str, list[int]] = {name: [] for name in items}
        for place, call in enumerate(run.trace):
            places.setdefault(call.who, []).append(place)
        self.beside = {
            name
            for name, other in permutations(happened, 2)
            if places.get(name) and places.get(other) and places[name][0] < places[other][-1]
            if places[other][0] < places[name][-1]
        }
        inserted = run.schedule.inserted
        if inserted and inserted.act:
            items["person"] = inserted.act
        for order in permutations(items):
            if not any(places[late][-1] < places[soon][0] for soon, late in combinations(order, 2)):
                self.states |= self._in_order([(name, items[name]) for name in order])

    def _in_order(self, items: Sequence[tuple[str, Operation | Act]]) -> States:
        states = self.prepared.course.states
        for name, item in items:
            if isinstance(item, Act):
                states = perform(states, item)
                continue
            if may_fail(states, item):
                self.may_fail.add(name)
            states = apply(states, replace(item, earlier=self.missed[name], beside=name in self.beside))
        return states

    def _missed(self, run: Run, name: str) -> frozenset[tuple[str, str | None]]:
        """
        Return where a request may take tags to be that were moved meanwhile, because it had looked before.

        The registry has no put that holds only while a tag points somewhere.
        With late reads, it may be everything that was true a moment ago.
        """
        missed, looked = set[tuple[str, str | None]](), set[str]()
        for call in run.trace:
            if call.who == name:
                looked |= call.reads
            else:
                touched = {key.removeprefix("tag:") for key in call.writes & looked if key.startswith("tag:")}
                missed |= {(tag, call.tags.get(tag)) for tag in touched}
            if name == self.stale:
                missed |= call.tags.items()
        if name == self.stale and self.prepared.pair.gap <= LAG_SECONDS:
            missed |= self.prepared.recent
        return frozenset(missed)


def _operation(prepared: Prepared, run: Run, name: str) -> Operation | None:
    """Return what a delivery is to the contract; nothing, if it comes too late."""
    is_second = prepared.is_second and name == "B"
    if is_second and prepared.pair.b and prepared.pair.b.name == "late":
        return None
    return operation_of(run.world, prepared.requests[name], again=is_second)


def _deletes_an_image(run: Run) -> bool:
    """Whether a person deleted an image, which nothing brings back."""
    inserted = run.schedule.inserted
    return bool(inserted and inserted.act and inserted.act.verb in {"delete", "remove"})


def _play(course: Course, ending: Ending) -> Iterator[str]:
    for step in ending:
        verb, _, stack = step.partition(" ")
        if verb == "destroy":
            if course.world.stacks[stack].resources:
                course.destroy(stack)
        else:
            course.finish(stack, other_fails=verb == "undo")
    yield from course.problems
    yield from Expectation(course.states).problems(course.world.tags(), course.world.images())
    if not any(engine.is_stuck(stack) for stack in course.world.stacks.values()):
        yield from _records_of_nobody(course)


def _records_of_nobody(course: Course) -> Iterator[str]:
    """Name what is remembered of resources that are gone."""
    owners = [f"{stack.name}.{name}" for stack in course.world.stacks.values() for name in stack.resources]
    if any(state.left_over for state in course.states):
        # "A tag that cannot go because an index lists its image leaves its record behind."
        return
    for _, name in sorted(course.world.parameters):
        if not name.endswith(tuple(owners)):
            yield f"a record of nobody stays: {name}"
