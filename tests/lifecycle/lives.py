"""A random history ("life") of two stacks in two Regions, with one registry and people who use it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from cdk_ecrpublic.sandbox import Sandbox
from tests.protocol.cloudformation import answer_address

from .before import Before, Key, claims_of
from .circumstances import Circumstances
from .cloud import Cloud, cloud
from .course import Deployed, Deployment, Template, unusual
from .declarations import Declarations, render, without_conflicts
from .function import Function, unlock_cached_properties
from .judge import Judge
from .mail import Mail
from .model import Operation
from .registry import Deed, Meddling, World
from .stack import Stack

PLACES = (("Agent", "eu-west-1"), ("Backup", "us-west-2"))


@dataclass(eq=False)
class Owned:
    """
    A stack with the state that the test knows.

    Attributes:
        origin: The state before the failed deployments that were not rolled back.
        records: The tags that the stack ever declared, each with its image.
    """

    stack: Stack
    function: Function
    declared: Declarations = field(default_factory=dict)
    origin: Before | None = None
    records: set[tuple[Key, str | None]] = field(default_factory=set)


@dataclass(eq=False)
class Life:
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
    owned: Sequence[Owned]
    is_named: bool = False
    is_tidy: bool = True
    was_denied: bool = False
    is_over: bool = False

    def begin_anew(self) -> None:
        """Reset everything."""
        self.world.begin_anew()
        self.cloud.clear()
        self.was_denied, numbers = False, count()
        for each in self.owned:
            each.stack.mail.numbers = numbers
            each.stack.begin_anew()
            each.function.get_cold()
            each.declared, each.origin = {}, None
            each.records.clear()

    def deploy(self, *plans: tuple[Owned, Declarations, Circumstances]) -> None:
        """Deploy stacks concurrently."""
        if self.is_over:
            return
        self._set_up(plans[0][2])
        operations = []
        actions: list[Callable[[], None]] = []
        for owned, declared, around in plans:
            possible = self._possible(owned, declared, around)
            template = render(possible, self.world, owned.stack.name, named=self.is_named)
            self.world.tell(f"deploy {owned.stack.name}: {_shown(template)}{_unusual(around)}")
            operation = self._operation(owned, template, around, is_alone=len(plans) == 1)
            operations.append(operation)
            actions.append(_doing(operation, _deploying(template)))
            owned.declared = possible
        self._go(operations, actions)
        for operation in operations:
            self._check_status(operation, operations)

    def destroy(self, owned: Owned, around: Circumstances) -> None:
        """Delete a stack. If that fails, try again without faults."""
        if self.is_over or not owned.stack.exists:
            return
        for attempt in (around, Circumstances()):
            self._set_up(attempt)
            self.world.tell(f"destroy {owned.stack.name}{_unusual(attempt)}")
            operation = self._operation(owned, None, attempt)
            self._go([operation], [_doing(operation, lambda op: op.stack.destroy(op.around.course))])
            if operation.deployment.status == "DELETED":
                return
            assert not attempt.are_outlived, f"the stack cannot be deleted: {operation.deployment.reasons}"

    def roll_back(self, owned: Owned, around: Circumstances) -> None:
        """Roll back failed deployments that were not rolled back at once."""
        if self.is_over or not owned.stack.is_open:
            return
        self._set_up(around)
        self.world.tell(f"roll back {owned.stack.name}{_unusual(around)}")
        operation = self._operation(owned, None, around)
        self._go([operation], [_doing(operation, lambda op: op.stack.roll_back(op.around.course))])

    def repeat(self, owned: Owned, number: int, *, is_cold: bool) -> None:
        """Deliver an old request again, which must change nothing."""
        sent = owned.stack.mail.sent
        if self.is_over or not sent:
            return
        self._set_up(Circumstances())
        before = (self.world.state(), copy.deepcopy(self.cloud.regions))
        event = sent[-1 - number % len(sent)]
        self.world.stage.run(lambda: owned.stack.mail.repeat(event, is_cold=is_cold))
        assert (self.world.state(), self.cloud.regions) == before, "a late request was acted on"

    def do(self, deed: Deed) -> None:
        """Carry out the action of a person, while nothing is deployed."""
        if self.is_over:
            return
        self._calm_down()
        self.world.meddling = Meddling()
        since = self.world.stage.time
        self.world.do(deed)
        for each in self.owned:
            if each.origin and each.stack.is_open:
                each.origin.meddle(self.world, self.world.meddling.tags, since)
        self.world.stage.pass_by(1.0)

    def _possible(self, owned: Owned, declared: Declarations, around: Circumstances) -> Declarations:
        """Return the possible circumstances: with rollback disabled, CloudFormation refuses replacements."""
        held = owned.stack.resources
        if around.course.on_failure == "keep" or owned.stack.is_open:
            declared = {
                name: replace(each, repository=str(held[name].properties["RepositoryName"])) if name in held else each
                for name, each in declared.items()
            }
        return without_conflicts(declared)

    def _operation(
        self, owned: Owned, template: Template | None, around: Circumstances, *, is_alone: bool = True
    ) -> Operation:
        owned.origin = owned.origin or Before.now(self.world, around.lag_seconds)
        return Operation(
            self.world,
            owned.stack,
            template,
            around,
            owned.origin,
            others=self._others(owned),
            records={record for other in self.owned if other is not owned for record in other.records},
            own_records=frozenset(owned.records),
            is_alone=is_alone,
            is_tidy=self.is_tidy,
        )

    def _others(self, owned: Owned) -> Mapping[str, Deployed]:
        return {
            f"{other.stack.name}.{name}": now
            for other in self.owned
            if other is not owned
            for name, now in other.stack.resources.items()
        }

    def _set_up(self, around: Circumstances) -> None:
        self.was_denied = self.was_denied or bool(around.denied)
        self._calm_down(around.waited_seconds)
        self.world.lag(around.lag_seconds)
        self.world.sandbox.faults.add(*around.faults)
        for trouble in around.trouble:
            self.cloud.trouble(*trouble)
        self.world.meddling = Meddling()

    def _calm_down(self, seconds: float = 0.0) -> None:
        self.world.calm_down(seconds)
        self.cloud.calm_down()

    def _go(self, operations: Sequence[Operation], actions: Sequence[Callable[[], None]]) -> None:
        deeds = [deed for operation in operations for deed in operation.around.deeds]
        self.world.stage.run(*actions, *(self._later(deed) for deed in deeds))
        self._calm_down()
        for operation in operations:
            # A rollback that is stuck brings back what people have deleted.
            operation.could_succeed = operation.can_succeed
        for operation in operations:
            self._see_it_rolled_back(operation, operations)
        if self.is_over:
            return
        Judge(self.world, operations, [each.stack for each in self.owned], self.world.meddling).judge()
        self._remember(operations)

    def _later(self, deed: Deed) -> Callable[[], None]:
        def act() -> None:
            self.world.stage.sleep(deed.after_seconds)
            self.world.do(deed)

        return act

    def _see_it_rolled_back(self, operation: Operation, operations: Sequence[Operation]) -> None:
        """Continue a stuck rollback without faults, which must succeed."""
        deployment = operation.deployment
        if deployment.status != "ROLLBACK FAILED":
            return
        outlived = all(each.around.are_outlived for each in operations)
        assert not outlived or not operation.can_go_back, f"the rollback is stuck: {deployment.reasons}"
        self.world.mend()
        self.world.stage.run(lambda: operation.stack.continue_rollback(deployment))
        # Without a record, the image cannot be restored. The reason says so, and a person has to decide.
        is_done = operation.deployment.status == "ROLLED BACK"
        self.is_over = not is_done and self.was_denied
        assert self.is_over or is_done, f"the rollback is stuck: {deployment.reasons}"

    def _check_status(self, operation: Operation, operations: Sequence[Operation]) -> None:
        if self.is_over or operation.deployment.status == "COMPLETE":
            return
        around = operation.around
        beside = len(operations) > 1 and any(each.deletes_anything or each.forbids_moves for each in operations)
        outlived = all(each.around.are_outlived for each in operations)
        excused = around.course.other_fails_after is not None or beside or not outlived
        answers = [change.answer for change in operation.changes]
        assert excused or not operation.could_succeed, f"the deployment failed without a reason: {answers}"

    def _remember(self, operations: Sequence[Operation]) -> None:
        """Store the state that an undo of the failed deployment has to restore."""
        for each in self.owned:
            done = next((operation for operation in operations if operation.stack is each.stack), None)
            if done:
                pairs = [(key, change) for change in done.changes for key in claims_of(change.new)]
                each.records |= {(key, digest) for key, change in pairs for digest in done.digests(change)}
            if not each.stack.is_open:
                each.origin = None
            elif each.origin:
                others = {key for other in operations if other is not done for key in other.verdicts}
                each.origin.meddle(self.world, {*others, *self.world.meddling.tags}, operations[0].started)
                each.origin.declared |= done.all_keys() if done else set()
                each.origin.drop(done.changes if done else ())
        abandoned = [name for each in operations for name, is_gone in each.deployment.removed.items() if not is_gone]
        undone = [change for each in operations for change in each.changes if change.undone and not change.is_undone]
        self.is_tidy = self.is_tidy and not abandoned and not undone


def _doing(operation: Operation, do: Callable[[Operation], Deployment]) -> Callable[[], None]:
    def action() -> None:
        operation.done = do(operation)

    return action


def _deploying(template: Template) -> Callable[[Operation], Deployment]:
    return lambda operation: operation.stack.deploy(template, operation.around.course)


def _shown(template: Template) -> str:
    return "".join(f"\n{'':12}{name}: {dict(properties)}" for name, properties in template.items()) or "empty"


def _unusual(around: Circumstances) -> str:
    """Describe the unusual circumstances."""
    return "".join(f"\n{'':12}{text}" for text in unusual(around))


@contextmanager
def living() -> Iterator[tuple[Life, Mapping[str, str]]]:
    """Yield two stacks with everything that they need, and the environment variables of their functions."""
    unlock_cached_properties()
    with Sandbox() as sandbox:
        world = World(sandbox)
        with cloud(world.stage) as services, answer_address() as address:
            owned = []
            for name, region in PLACES:
                function = Function(world.stage, region, world.tell)
                mail = Mail(world.stage, function, address, world.tell)
                owned.append(Owned(Stack(services, mail, name, region), function))
            yield Life(world, services, owned), {**sandbox.environment(), **services.environment()}
            for each in owned:
                each.function.close()
