"""Check the contract at the end of a schedule, and after all later requests of CloudFormation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, permutations

from . import engine
from .history import Prepared
from .model import Expectation, Operation, States, apply, may_fail, perform
from .run import LAG_SECONDS, Run
from .scenarios import Pair
from .schedule import Fault, ManualAction
from .simulation import Simulation, operation_of, reason_of
from .stacks import Policy

STALE = {Fault.STALE, Fault.LAGGING}
FATAL = {Fault.SLOW, Fault.LATE, Fault.UNANSWERED}
"""The faults after which a request may fail."""

Ending = tuple[str, ...]
"""What happens to the stacks afterwards, in order: ``finish Alpha``, ``undo Beta``, ``destroy Alpha``."""


@dataclass(frozen=True)
class Finding:
    """A violation, and the ending after which it appeared."""

    ending: Ending
    problems: tuple[str, ...]


def endings(prepared: Prepared) -> list[Ending]:
    """Return all endings: success, the rollback of each stack that is being deployed, and the deletion of all."""
    stacks = prepared.pair.stacks
    forward = [stack for stack in stacks if prepared.pair.phase(stack) == "forward"]
    found: list[Ending] = []
    for undone in chain.from_iterable(combinations(forward, number) for number in range(len(forward) + 1)):
        finished = [f"finish {stack}" for stack in stacks if stack not in undone]
        found += [(*finished, *(f"undo {stack}" for stack in order)) for order in permutations(undone)]
    destroyed = [f"destroy {stack}" for stack in stacks]
    return [*found, (*found[0], *destroyed), *([(*found[0], *destroyed[::-1])] if len(stacks) > 1 else [])]


class Checker:
    """
    Checks the runs of one pair.

    An ending is run once for each final state.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.endings = endings(prepared)
        self._known: dict[object, tuple[str, ...]] = {}
        self.endings_run = 0

    def check(self, run: Run) -> Iterator[Finding]:
        """Yield all violations."""
        simulation = Simulation(world=run.world, states=frozenset(), warm=self.prepared.simulation.warm)
        for stack in run.world.stacks.values():
            for change in list(stack.waiting):
                engine.record_result(run.world, change.request)
        outcomes = SequentialOutcomes(self.prepared, run)
        simulation.states = outcomes.states
        # If an image is gone, a rollback may never succeed.
        simulation.is_excused = _deletes_an_image(run) or bool(outcomes.may_fail)
        response_problems = tuple(self._response_problems(run, outcomes))
        if response_problems:
            yield Finding((), response_problems)
        key = (run.world.fingerprint(), simulation.states, simulation.is_excused)
        for ending in self.endings:
            if (key, ending) not in self._known:
                self.endings_run += 1
                self._known[key, ending] = tuple(
                    _run_ending(simulation.copy(), ending, _resources_with_keep(self.prepared.pair))
                )
            if problems := self._known[key, ending]:
                yield Finding(ending, problems)

    def _response_problems(self, run: Run, outcomes: SequentialOutcomes) -> Iterator[str]:
        """Check the response to each delivery."""
        inserted = run.schedule.inserted
        fault = inserted.fault if inserted else None
        deliveries = [request.id for request in self.prepared.requests.values()]
        before = self.prepared.simulation.world.answers
        for invocation in run.invocations:
            hit = fault if any(call.fault for call in run.steps if call.caller == invocation.name) else None
            # If a request is delivered twice, the first response counts.
            same = {name for name, request in self.prepared.requests.items() if request.id == invocation.request.id}
            hit_same = fault if any(call.fault for call in run.steps if call.caller in same) else None
            if invocation.error and hit is not Fault.UNANSWERED:
                yield f"{invocation.name} raised {invocation.error!r}"
            bodies = run.world.answers.get(invocation.request.id, [])
            wanted = deliveries.count(invocation.request.id) + len(before.get(invocation.request.id, ()))
            if fault not in {Fault.UNANSWERED, Fault.LOST} and len(bodies) != wanted:
                yield f"{len(bodies)} responses to {wanted} deliveries of the request of {invocation.name}"
            excused = hit_same in FATAL or _deletes_an_image(run) or invocation.name in outcomes.may_fail
            excused = excused or (invocation.name == "B" and self.prepared.is_second)
            if bodies and b'"SUCCESS"' not in bodies[0] and not excused:
                yield f"{invocation.name} failed: {reason_of(bodies[0])}"


class SequentialOutcomes:
    """
    The results of all sequential orders of the requests that agree with the times at which each of them ran.

    Attributes:
        states: The allowed states.
        may_fail: The requests that may fail, because their image may be gone.
    """

    def __init__(self, prepared: Prepared, run: Run) -> None:
        self.prepared = prepared
        self.stale = next((call.caller for call in run.steps if call.fault in STALE), "")
        self.states: States = frozenset()
        self.may_fail: set[str] = set()
        self.missed = {name: self._missed(run, name) for name in prepared.requests}
        happened = {name: _operation(prepared, run, name) for name in prepared.requests}
        items: dict[str, Operation | ManualAction] = {name: each for name, each in happened.items() if each}
        positions: dict[str, list[int]] = {name: [] for name in items}
        for position, call in enumerate(run.trace):
            positions.setdefault(call.caller, []).append(position)
        self.concurrent = {
            name
            for name, other in permutations(happened, 2)
            if positions.get(name) and positions.get(other) and positions[name][0] < positions[other][-1]
            if positions[other][0] < positions[name][-1]
        }
        inserted = run.schedule.inserted
        if inserted and inserted.action:
            items["person"] = inserted.action
        for order in permutations(items):
            if not any(positions[late][-1] < positions[soon][0] for soon, late in combinations(order, 2)):
                self.states |= self._in_order([(name, items[name]) for name in order])

    def _in_order(self, items: Sequence[tuple[str, Operation | ManualAction]]) -> States:
        states = self.prepared.simulation.states
        for name, item in items:
            if isinstance(item, ManualAction):
                states = perform(states, item)
                continue
            if may_fail(states, item):
                self.may_fail.add(name)
            states = apply(states, replace(item, earlier=self.missed[name], concurrent=name in self.concurrent))
        return states

    def _missed(self, run: Run, name: str) -> frozenset[tuple[str, str | None]]:
        """
        Return outdated images of tags that a request may have read before the tags were moved.

        The registry has no conditional put. With stale reads, this includes
        everything that was true recently.
        """
        missed, looked = set[tuple[str, str | None]](), set[str]()
        for call in run.trace:
            if call.caller == name:
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
    """Return the operation of the model for a delivery; None if it is too late."""
    is_second = prepared.is_second and name == "B"
    if is_second and prepared.pair.b and prepared.pair.b.name == "late":
        return None
    return operation_of(run.world, prepared.requests[name], again=is_second)


def _deletes_an_image(run: Run) -> bool:
    """Whether a person deleted an image, which is not restored, or removed a tag: the last one goes with its image."""
    inserted = run.schedule.inserted
    return bool(inserted and inserted.action and inserted.action.verb in {"delete", "remove"})


def _run_ending(simulation: Simulation, ending: Ending, with_keep: Collection[str]) -> Iterator[str]:
    for step in ending:
        verb, _, stack = step.partition(" ")
        if verb == "destroy":
            if simulation.world.stacks[stack].resources:
                simulation.destroy(stack)
        else:
            simulation.finish(stack, other_fails=verb == "undo")
    yield from simulation.problems
    yield from Expectation(simulation.states).problems(simulation.world.tags(), simulation.world.images())
    if not any(engine.is_stuck(stack) for stack in simulation.world.stacks.values()):
        yield from _orphaned_records(simulation, with_keep)


def _resources_with_keep(pair: Pair) -> Collection[str]:
    """Return the logical ids of the resources that remove nothing."""
    sides = {"A": pair.a, "B": pair.b}
    return [name for name, side in sides.items() if side and side.policy is Policy.KEEP]


def _orphaned_records(simulation: Simulation, with_keep: Collection[str]) -> Iterator[str]:
    """Yield a problem for each record of a resource that no longer exists."""
    owners = [f"{stack.name}.{name}" for stack in simulation.world.stacks.values() for name in stack.resources]
    if any(state.left_over for state in simulation.states):
        # "If a tag cannot be removed because an index lists its image, its record stays."
        return
    for _, name in sorted(simulation.world.parameters):
        # "With KEEP, the record of an image that shared a tag stays after the declaration has moved on."
        if not name.endswith(tuple(owners)) and name.rpartition(".")[2] not in with_keep:
            yield f"the record of a deleted resource stays: {name}"
