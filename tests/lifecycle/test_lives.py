"""Random lives of stacks: whatever happens, CloudFormation's word and the registry agree."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Collection, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from cdk_ecrpublic.sandbox import Sandbox
from tests.protocol.cloudformation import CloudFormation, answer_address
from tests.protocol.conftest import Lambda
from tests.support.control_plane import control_plane
from tests.support.deployment import SMOOTH, Course, DeployedStack, Deployment

from . import changes
from .circumstances import Circumstances, circumstances, orders
from .declarations import (
    NAMES,
    OPTIONS,
    TAGS,
    Declarations,
    Source,
    only,
    render,
    sources,
    templates,
    without_conflicts,
)
from .model import Expectation
from .registry import FOREIGN, HOMES, RESIDENT, SOURCE_TAG, UPSTREAM, UPSTREAM_TAGS, World

EXAMPLES = int(os.environ.get("LIVES", "120"))
"""Lives for each set of options; ``LIVES=2000`` for a long search."""

STEPS = 15

which = st.integers(0, len(NAMES) - 1)
homes = st.sampled_from(HOMES)
residents = st.integers(0, len(RESIDENT) - 1)


class Lives(RuleBasedStateMachine):
    """
    One stack, and people beside it.

    No rule has a precondition: with threads at work an outcome may differ from
    run to run, and then Hypothesis would be offered other rules than before.
    A rule that finds nothing to do does nothing.
    """

    def __init__(self, world: World, stack: DeployedStack, options: Collection[str]) -> None:
        super().__init__()
        self.world, self.stack, self.options = world, stack, options
        self.world.begin_anew()
        self.stack.resources.clear()
        self.stack.plane.clear()
        self.declared: Declarations = {}

    # What the owner of the stack does

    @initialize(declared=templates())
    def begin(self, declared: Declarations) -> None:
        self._deploy(declared, Circumstances())

    @rule(declared=templates(), around=circumstances())
    def deploy(self, declared: Declarations, around: Circumstances) -> None:
        self._deploy(declared, around)

    @rule(number=which, source=sources(), around=circumstances())
    def release(self, number: int, source: Source, around: Circumstances) -> None:
        self._deploy(changes.release(self.declared, number, source), around)

    @rule(number=which, around=circumstances())
    def swap_tags(self, number: int, around: Circumstances) -> None:
        self._deploy(changes.swap_tags(self.declared, number), around)

    @rule(number=which, around=circumstances())
    def move_a_tag(self, number: int, around: Circumstances) -> None:
        self._deploy(changes.move_a_tag(self.declared, number), around)

    @rule(number=which, source=st.none() | sources(), around=circumstances())
    def rename(self, number: int, source: Source | None, around: Circumstances) -> None:
        self._deploy(changes.rename(self.declared, number, source), around)

    @rule(number=which, around=circumstances())
    def replace_the_repository(self, number: int, around: Circumstances) -> None:
        self._deploy(changes.replace_the_repository(self.declared, number), around)

    @rule(order=orders(), declared=templates())
    def destroy_and_begin_anew(self, order: tuple[int, ...], declared: Declarations) -> None:
        self._calm_down()
        expected = Expectation(self.world, {}, self.stack.resources)
        assert self.stack.destroy(Course(order=order))
        expected.check_success(Deployment(course=SMOOTH, removed=expected.resources))
        self._deploy(declared, Circumstances())

    # What happens beside it

    @rule(number=which)
    def a_delete_of_an_invented_id_arrives(self, number: int) -> None:
        for name, declaration in list(self.declared.items())[number:]:
            expected = Expectation(self.world, {}, self.stack.resources)
            invented = self.stack.invented_id(name)
            assert self.stack.cloudformation.delete(invented, declaration.render(self.world), name).succeeded
            assert self.world.state() == expected.before

    @rule(home=homes, tag=st.sampled_from((SOURCE_TAG, *TAGS)), image=residents)
    def a_person_moves_a_tag(self, home: str, tag: str, image: int) -> None:
        self.world.put_tag(home, tag, RESIDENT[image])

    @rule(tag=st.sampled_from(UPSTREAM_TAGS), image=st.integers(0, len(FOREIGN) - 1))
    def a_person_moves_a_tag_upstream(self, tag: str, image: int) -> None:
        self.world.put_tag(UPSTREAM, tag, FOREIGN[image])

    @rule(number=st.integers(0, 7))
    def a_person_deletes_a_tag(self, number: int) -> None:
        if tags := self._own_tags():
            self.world.delete_tag(*tags[number % len(tags)])

    def _own_tags(self) -> list[tuple[str, str]]:
        tags = self.world.state().tags
        return sorted((home, tag) for home, tag in tags if home in HOMES and tag in (SOURCE_TAG, *TAGS))

    def _deploy(self, declared: Declarations, around: Circumstances) -> None:
        declared = only(without_conflicts(declared), self.options)
        self._calm_down()
        template = render(declared, self.world)
        expected = Expectation(self.world, template, self.stack.resources)
        self._set_up(around)
        deployment = self.stack.deploy(template, around.course)
        self._calm_down()
        if deployment.status == "COMPLETE":
            self.declared = declared
            expected.check_success(deployment)
            return
        lost = any(change.delivery.lost for change in deployment.changes)
        excused = around.course.other_fails_after is not None or lost or not around.are_outlived
        answers = [change.answer for change in deployment.changes]
        assert excused or not expected.can_succeed, f"the deployment failed without a reason: {answers}"
        self._see_it_rolled_back(expected, deployment, around)

    def _set_up(self, around: Circumstances) -> None:
        self.world.lag(around.lag_seconds)
        self.world.clock.tick = around.tick_seconds
        self.world.sandbox.faults.add(*around.faults)
        self.stack.plane.busy.update(dict(around.busy))

    def _calm_down(self) -> None:
        self.world.calm_down()
        self.stack.plane.busy.clear()

    def _see_it_rolled_back(self, expected: Expectation, deployment: Deployment, around: Circumstances) -> None:
        if deployment.status == "ROLLBACK_FAILED":
            assert not around.are_outlived or not expected.can_go_back, f"the rollback is stuck: {deployment.reasons}"
            earlier = self.world.state()
            self.world.mend()
            expected.a_person_changed(earlier, self.world.state())
            self.stack.continue_rollback(deployment)
        assert deployment.status == "ROLLBACK_COMPLETE", f"the rollback is stuck: {deployment.reasons}"
        expected.check_rollback(deployment)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with Sandbox() as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield World(sandbox)


@pytest.fixture
def stack(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedStack]:
    with control_plane() as plane, answer_address() as address:
        for name, value in plane.environment().items():
            monkeypatch.setenv(name, value)
        yield DeployedStack(CloudFormation(Lambda(clock=world.clock), address), plane)


@pytest.mark.timeout(900)  # a failure is shrunk for up to five minutes
@pytest.mark.parametrize("options", [[], OPTIONS], ids=["by default", "with every option"])
def test_whatever_happens_a_deployment_does_what_it_says_or_nothing(
    world: World, stack: DeployedStack, options: Collection[str]
) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        run_state_machine_as_test(
            lambda: Lives(world, stack, options),  # type: ignore[arg-type] # documented: anything that returns one
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                suppress_health_check=list(HealthCheck),
                phases=set(Phase) - {Phase.explain},
                report_multiple_bugs=False,
            ),
        )
