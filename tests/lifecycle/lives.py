"""What a random life is made of: two stacks in two Regions, one registry, and people."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from cdk_ecrpublic.sandbox import Sandbox
from tests.protocol.cloudformation import answer_address

from .circumstances import Circumstances
from .cloud import Cloud, cloud
from .course import Deployed, Deployment, Template, unusual
from .declarations import Declarations, render, without_conflicts
from .function import Function, unlock_cached_properties
from .judge import Judge
from .mail import Mail
from .model import Before, Operation
from .registry import Deed, Meddling, World
from .stack import Stack

PLACES = (("Agent", "eu-west-1"), ("Backup", "us-west-2"))


@dataclass(eq=False)
class Owned:
    """
    A stack with what its owner knows of it.

    Attributes:
        origin: What was there before deployments that failed and were not rolled back.
    """

    stack: Stack
    function: Function
    declared: Declarations = field(default_factory=dict)
    origin: Before | None = None


@dataclass(eq=False)
class Life:
    """
    The life of two stacks.

    Attributes:
        is_named: Templates name parameters as version 0.1 did.
        is_tidy: Nothing was ever abandoned.
        is_over: Something happened after which nobody can say what must be.
    """

    world: World
    cloud: Cloud
    owned: Sequence[Owned]
    is_named: bool = False
    is_tidy: bool = True
    is_over: bool = False

    def begin_anew(self) -> None:
        """Set everything back."""
        self.world.begin_anew()
        self.cloud.clear()
        numbers = count()
        for each in self.owned:
            each.stack.mail.numbers = numbers
            each.stack.begin_anew()
            each.function.get_cold()
            each.declared, each.origin = {}, None

    def deploy(self, *plans: tuple[Owned, Declarations, Circumstances]) -> None:
        """Deploy stacks, several at the same time."""
        if self.is_over:
            return
        self._set_up(plans[0][2])
        operations = []
        actions: list[Callable[[], None]] = []
        for owned, declared, around in plans:
            possible = self._possible(owned, declared, around)
            template = render(possible, self.world, owned.stack.name, named=self.is_named)
            self.world.tell(f"{owned.stack.name} is to be: {_shown(template)}{_unusual(around)}")
            operation = self._operation(owned, template, around, is_alone=len(plans) == 1)
            operations.append(operation)
            actions.append(_doing(operation, _deploying(template)))
            owned.declared = possible
        self._go(operations, actions)
        for operation in operations:
            self._check_status(operation, operations)

    def destroy(self, owned: Owned, around: Circumstances) -> None:
        """Delete a stack; what cannot be deleted is tried again, with nothing in the way."""
        if self.is_over or not owned.stack.exists:
            return
        for attempt in (around, Circumstances()):
            self._set_up(attempt)
            self.world.tell(f"{owned.stack.name} is to be destroyed{_unusual(attempt)}")
            operation = self._operation(owned, None, attempt)
            self._go([operation], [_doing(operation, lambda op: op.stack.destroy(op.around.course))])
            if operation.deployment.status == "DELETED":
                return
            assert not attempt.are_outlived, f"the stack cannot be deleted: {operation.deployment.reasons}"

    def roll_back(self, owned: Owned, around: Circumstances) -> None:
        """Go back from failed deployments that were left as they were."""
        if self.is_over or not owned.stack.is_open:
            return
        self._set_up(around)
        self.world.tell(f"{owned.stack.name} is to be rolled back{_unusual(around)}")
        operation = self._operation(owned, None, around)
        self._go([operation], [_doing(operation, lambda op: op.stack.roll_back(op.around.course))])

    def repeat(self, owned: Owned, number: int, *, is_cold: bool) -> None:
        """Let a request of long ago arrive once more: nothing may happen."""
        sent = owned.stack.mail.sent
        if self.is_over or not sent:
            return
        self._set_up(Circumstances())
        before = (self.world.state(), copy.deepcopy(self.cloud.regions))
        event = sent[-1 - number % len(sent)]
        self.world.stage.run(lambda: owned.stack.mail.repeat(event, is_cold=is_cold))
        assert (self.world.state(), self.cloud.regions) == before, "a late request was acted on"

    def do(self, deed: Deed) -> None:
        """Let a person do something while nothing is deployed."""
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
        """With rollback disabled, CloudFormation refuses what would replace a resource."""
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
        """A rollback that is stuck goes on when nothing is in the way any more."""
        deployment = operation.deployment
        if deployment.status != "ROLLBACK FAILED":
            return
        outlived = all(each.around.are_outlived for each in operations)
        assert not outlived or not operation.can_go_back, f"the rollback is stuck: {deployment.reasons}"
        self.world.mend()
        self.world.stage.run(lambda: operation.stack.continue_rollback(deployment))
        # What could not be remembered cannot come back: the reason says so, and people have to decide.
        is_done = operation.deployment.status == "ROLLED BACK"
        self.is_over = not is_done and operation.origin.is_denied
        assert self.is_over or is_done, f"the rollback is stuck: {deployment.reasons}"

    def _check_status(self, operation: Operation, operations: Sequence[Operation]) -> None:
        if self.is_over or operation.deployment.status == "COMPLETE":
            return
        around = operation.around
        beside = len(operations) > 1 and any(each.deletes_anything or each.forbids_moves for each in operations)
        outlived = all(each.around.are_outlived for each in operations)
        excused = around.course.other_fails_after is not None or beside or not outlived
        answers = [change.answer for change in operation.changes]
        assert excused or not operation.can_succeed, f"the deployment failed without a reason: {answers}"

    def _remember(self, operations: Sequence[Operation]) -> None:
        """Keep in mind what an undo of what has failed may have to restore."""
        for each in self.owned:
            done = next((operation for operation in operations if operation.stack is each.stack), None)
            if not each.stack.is_open:
                each.origin = None
            elif each.origin:
                others = {key for other in operations if other is not done for key in other.verdicts}
                each.origin.meddle(self.world, {*others, *self.world.meddling.tags}, operations[0].started)
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
    """Describe circumstances by what is not as usual."""
    return "".join(f"\n{'':12}{text}" for text in unusual(around))


@contextmanager
def living() -> Iterator[tuple[Life, Mapping[str, str]]]:
    """Give two stacks with all that they need, and the environment that their functions run in."""
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
