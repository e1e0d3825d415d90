"""A random history of two stacks in two Regions, with one registry and people who use it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from cdk_ecrpublic.sandbox import Sandbox
from tests.protocol.cloudformation import answer_address

from .checker import Checker
from .circumstances import Circumstances
from .cloud import Cloud, cloud
from .course import Deployed, Deployment, Template, non_default_fields
from .declarations import Declarations, render, without_conflicts
from .function import Function, unlock_cached_properties
from .model import Operation
from .previous_state import Key, PreviousState, tags_of
from .registry import ManualAction, ManualChanges, World
from .stack import Stack
from .transport import Transport

STACKS = (("Agent", "eu-west-1"), ("Backup", "us-west-2"))


@dataclass(eq=False)
class TrackedStack:
    """
    A stack, and what the test has to know about its past.

    Attributes:
        origin: The state before the failed deployments that were not rolled back.
        records: The tags that the stack ever declared, each with its image.
    """

    stack: Stack
    function: Function
    declared: Declarations = field(default_factory=dict)
    origin: PreviousState | None = None
    records: set[tuple[Key, str | None]] = field(default_factory=set)


@dataclass(eq=False)
class History:
    """
    The history of two stacks.

    Attributes:
        is_named: Whether templates have the parameter names of version 0.1.
        is_tidy: Whether no resource was ever abandoned.
        was_denied: Whether a function ever lacked a permission, so that a record may be missing.
        is_over: Whether something happened after which the allowed states are not known.
    """

    world: World
    cloud: Cloud
    tracked: Sequence[TrackedStack]
    is_named: bool = False
    is_tidy: bool = True
    was_denied: bool = False
    is_over: bool = False

    def reset(self) -> None:
        """Reset everything."""
        self.world.reset()
        self.cloud.clear()
        self.was_denied, numbers = False, count()
        for each in self.tracked:
            each.stack.transport.numbers = numbers
            each.stack.reset()
            each.function.make_cold()
            each.declared, each.origin = {}, None
            each.records.clear()

    def deploy(self, *plans: tuple[TrackedStack, Declarations, Circumstances]) -> None:
        """Deploy stacks concurrently."""
        if self.is_over:
            return
        self._set_up(plans[0][2])
        operations = []
        actions: list[Callable[[], None]] = []
        for tracked, declared, around in plans:
            possible = self._possible(tracked, declared, around)
            template = render(possible, self.world, tracked.stack.name, named=self.is_named)
            self.world.log(f"deploy {tracked.stack.name}: {_shown(template)}{_described_circumstances(around)}")
            operation = self._operation(tracked, template, around, is_alone=len(plans) == 1)
            operations.append(operation)
            actions.append(_action_of(operation, _deploy_with(template)))
            tracked.declared = possible
        self._run_operations(operations, actions)
        for operation in operations:
            self._check_status(operation, operations)

    def destroy(self, tracked: TrackedStack, around: Circumstances) -> None:
        """Delete a stack. If that fails, try again without faults."""
        if self.is_over or not tracked.stack.exists:
            return
        for attempt in (around, Circumstances()):
            self._set_up(attempt)
            self.world.log(f"destroy {tracked.stack.name}{_described_circumstances(attempt)}")
            operation = self._operation(tracked, None, attempt)
            self._run_operations([operation], [_action_of(operation, lambda op: op.stack.destroy(op.around.course))])
            if operation.deployment.status == "DELETED":
                return
            assert not attempt.are_survivable, f"the stack cannot be deleted: {operation.deployment.reasons}"

    def roll_back(self, tracked: TrackedStack, around: Circumstances) -> None:
        """Roll back failed deployments that were not rolled back at once."""
        if self.is_over or not tracked.stack.has_failed:
            return
        self._set_up(around)
        self.world.log(f"roll back {tracked.stack.name}{_described_circumstances(around)}")
        operation = self._operation(tracked, None, around)
        self._run_operations([operation], [_action_of(operation, lambda op: op.stack.roll_back(op.around.course))])

    def repeat(self, tracked: TrackedStack, number: int, *, is_cold: bool) -> None:
        """Deliver an old request again, which must change nothing."""
        sent = tracked.stack.transport.sent
        if self.is_over or not sent:
            return
        self._set_up(Circumstances())
        before = (self.world.state(), copy.deepcopy(self.cloud.regions))
        event = sent[-1 - number % len(sent)]
        self.world.scheduler.run(lambda: tracked.stack.transport.repeat(event, is_cold=is_cold))
        assert (self.world.state(), self.cloud.regions) == before, "a late request was acted on"

    def do(self, action: ManualAction) -> None:
        """Carry out the action of a person, while nothing is deployed."""
        if self.is_over:
            return
        self._clear_faults()
        self.world.manual_changes = ManualChanges()
        since = self.world.scheduler.time
        self.world.do(action)
        for each in self.tracked:
            if each.origin and each.stack.has_failed:
                each.origin.allow_changes(self.world, self.world.manual_changes.tags, since)
        self.world.scheduler.pass_by(1.0)

    def _possible(self, tracked: TrackedStack, declared: Declarations, around: Circumstances) -> Declarations:
        """Return the possible declarations: with rollback disabled, CloudFormation refuses replacements."""
        held = tracked.stack.resources
        if around.course.on_failure == "keep" or tracked.stack.has_failed:
            declared = {
                name: replace(each, repository=str(held[name].properties["RepositoryName"])) if name in held else each
                for name, each in declared.items()
            }
        return without_conflicts(declared)

    def _operation(
        self, tracked: TrackedStack, template: Template | None, around: Circumstances, *, is_alone: bool = True
    ) -> Operation:
        if tracked.origin:
            tracked.origin.allow_stale(self.world, around.lag_seconds)
        else:
            tracked.origin = PreviousState.capture(self.world, around.lag_seconds)
        return Operation(
            self.world,
            tracked.stack,
            template,
            around,
            tracked.origin,
            others=self._others(tracked),
            records={record for other in self.tracked if other is not tracked for record in other.records},
            own_records=frozenset(tracked.records),
            is_alone=is_alone,
            is_tidy=self.is_tidy and not self.was_denied,
        )

    def _others(self, tracked: TrackedStack) -> Mapping[str, Deployed]:
        return {
            f"{other.stack.name}.{name}": now
            for other in self.tracked
            if other is not tracked
            for name, now in other.stack.resources.items()
        }

    def _set_up(self, around: Circumstances) -> None:
        self.was_denied = self.was_denied or bool(around.denied)
        self._clear_faults(around.waited_seconds)
        self.world.lag(around.lag_seconds)
        self.world.sandbox.faults.add(*around.faults)
        for fault in around.service_faults:
            self.cloud.fail(*fault)
        self.world.manual_changes = ManualChanges()

    def _clear_faults(self, seconds: float = 0.0) -> None:
        self.world.clear_faults(seconds)
        self.cloud.clear_faults()

    def _run_operations(self, operations: Sequence[Operation], actions: Sequence[Callable[[], None]]) -> None:
        manual_actions = [action for operation in operations for action in operation.around.manual_actions]
        self.world.scheduler.run(*actions, *(self._later(action) for action in manual_actions))
        self._clear_faults()
        for operation in operations:
            # Before a stuck rollback is continued, the sources that people have deleted are restored.
            operation.could_succeed = operation.can_succeed
        for operation in operations:
            self._finish_rollback(operation, operations)
        if self.is_over:
            return
        Checker(self.world, operations, [each.stack for each in self.tracked], self.world.manual_changes).check()
        self._update_origins(operations)

    def _later(self, action: ManualAction) -> Callable[[], None]:
        def act() -> None:
            self.world.scheduler.sleep(action.after_seconds)
            self.world.do(action)

        return act

    def _finish_rollback(self, operation: Operation, operations: Sequence[Operation]) -> None:
        """Continue a stuck rollback without faults, which must succeed."""
        deployment = operation.deployment
        if deployment.status != "ROLLBACK FAILED":
            return
        survivable = all(each.around.are_survivable for each in operations)
        can_roll_back = operation.can_roll_back and not self._lacks_record(deployment.reasons)
        assert not survivable or not can_roll_back, f"the rollback is stuck: {deployment.reasons}"
        self.world.restore_sources()
        self.world.scheduler.run(lambda: operation.stack.continue_rollback(deployment))
        # Without a record, the image cannot be restored. The reason says so, and a person has to decide.
        is_done = operation.deployment.status == "ROLLED BACK"
        self.is_over = not is_done and self.was_denied
        assert self.is_over or is_done, f"the rollback is stuck: {deployment.reasons}"

    def _lacks_record(self, reasons: Iterable[str]) -> bool:
        """Whether a source is not known: "if the function is not allowed to write … the rollback … then fails"."""
        return self.was_denied and any("no record contains it" in reason for reason in reasons)

    def _check_status(self, operation: Operation, operations: Sequence[Operation]) -> None:
        if self.is_over or operation.deployment.status == "COMPLETE":
            return
        around = operation.around
        beside = len(operations) > 1 and any(each.deletes_anything or each.forbids_moves for each in operations)
        survivable = all(each.around.are_survivable for each in operations)
        excused = around.course.other_fails_after is not None or beside or not survivable
        answers = [change.answer for change in operation.changes]
        # "With rollback disabled, so does the next deployment that declares it, if CloudFormation got no response".
        is_unknown = self._lacks_record(each.reason for each in answers if each)
        excused = excused or (is_unknown and around.course.on_failure == "keep")
        assert excused or not operation.could_succeed, f"the deployment failed without a reason: {answers}"

    def _update_origins(self, operations: Sequence[Operation]) -> None:
        """Store the state that an undo of the failed deployment has to restore."""
        for each in self.tracked:
            done = next((operation for operation in operations if operation.stack is each.stack), None)
            if done:
                pairs = [(key, change) for change in done.changes for key in tags_of(change.new)]
                each.records |= {(key, digest) for key, change in pairs for digest in done.digests(change)}
            if not each.stack.has_failed:
                each.origin = None
            elif each.origin:
                others = {key for other in operations if other is not done for key in other.expectations}
                each.origin.allow_changes(self.world, {*others, *self.world.manual_changes.tags}, operations[0].started)
                each.origin.declared |= done.all_keys() if done else set()
                each.origin.allow_dropped(done.changes if done else ())
        abandoned = [name for each in operations for name, is_gone in each.deployment.removed.items() if not is_gone]
        undone = [change for each in operations for change in each.changes if change.undone and not change.is_undone]
        self.is_tidy = self.is_tidy and not abandoned and not undone


def _action_of(operation: Operation, do: Callable[[Operation], Deployment]) -> Callable[[], None]:
    def action() -> None:
        operation.done = do(operation)

    return action


def _deploy_with(template: Template) -> Callable[[Operation], Deployment]:
    return lambda operation: operation.stack.deploy(template, operation.around.course)


def _shown(template: Template) -> str:
    return "".join(f"\n{'':12}{name}: {dict(properties)}" for name, properties in template.items()) or "empty"


def _described_circumstances(around: Circumstances) -> str:
    """Describe the unusual circumstances."""
    return "".join(f"\n{'':12}{text}" for text in non_default_fields(around))


@contextmanager
def new_history() -> Iterator[tuple[History, Mapping[str, str]]]:
    """Yield two stacks with everything that they need, and the environment variables of their functions."""
    unlock_cached_properties()
    with Sandbox() as sandbox:
        world = World(sandbox)
        with cloud(world.scheduler) as services, answer_address() as address:
            tracked = []
            for name, region in STACKS:
                function = Function(world.scheduler, region, world.log)
                transport = Transport(world.scheduler, function, address, world.log)
                tracked.append(TrackedStack(Stack(services, transport, name, region), function))
            yield History(world, services, tracked), {**sandbox.environment(), **services.environment()}
            for each in tracked:
                each.function.close()
