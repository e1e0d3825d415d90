"""Random histories of stacks: the result of each deployment and the registry always agree."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any

import hypothesis.core
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from . import changes
from .circumstances import Circumstances, circumstances, courses, orders, paced_deliveries
from .course import Course
from .declarations import NAMES, OPTIONS, TAGS, Declarations, Source, only, sources, templates
from .history import History, TrackedStack, new_history
from .registry import FOREIGN, HOMES, RESIDENT, SOURCE_TAG, UPSTREAM, UPSTREAM_TAGS, ManualAction
from .scheduler import TerminatedError

EXAMPLES = int(os.environ.get("LIVES", "40"))
"""How many random histories to run for each set of options; ``LIVES=2000`` for a long search."""

MINUTES = float(os.environ.get("MINUTES", "0"))
"""How long to continue with other seeds, in minutes; 0 for one search of ``LIVES``."""

SHRINKS = os.environ.get("SHRINK", "1") != "0"
"""Whether to shrink a failure, which takes minutes."""

STEPS = 10

resource_numbers = st.integers(0, len(NAMES) - 1)
stack_numbers = st.sampled_from([0, 0, 1])
homes = st.sampled_from(HOMES)
residents = st.integers(0, len(RESIDENT) - 1)

Rule = Callable[..., None]


def get_without_lock(self: cached_property[object], instance: object, owner: type | None = None) -> object:
    """
    Get a cached property as Python 3.12 does.

    In Python 3.11, all instances of a class share a lock. Lambda serves one request
    in a process, but here a request would wait for one that the scheduler has paused.
    """
    del owner
    if instance is None:
        return self
    assert self.attrname
    values = vars(instance)
    if self.attrname not in values:
        values[self.attrname] = self.func(instance)
    return values[self.attrname]


def with_history(step: Rule) -> Rule:
    """Add the whole history to the message of a failure."""

    @wraps(step)
    def log(self: HistoryMachine, *args: Any, **kwargs: Any) -> None:
        try:
            step(self, *args, **kwargs)
        except AssertionError as error:
            history = "\n".join(self.history.world.log_lines)
            message = f"{error}\n\nThe history until then (times in seconds):\n{history}"
            raise AssertionError(message) from error

    return log


class HistoryMachine(RuleBasedStateMachine):
    """
    Two stacks, and people who use the registry.

    The rules have no preconditions. A rule that finds nothing to do does nothing.
    """

    def __init__(self, history: History, options: Collection[str]) -> None:
        super().__init__()
        self.history, self.options = history, options
        self.history.reset()

    # Actions of the owners of the stacks

    @initialize(declared=templates(), is_named=st.booleans())
    @with_history
    def begin(self, declared: Declarations, is_named: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        self.history.is_named, self.history.is_tidy, self.history.is_over = is_named, True, False
        self._deploy(self.history.tracked[0], declared, Circumstances())

    @rule(stack=stack_numbers, declared=templates(), around=circumstances())
    @with_history
    def deploy(self, stack: int, declared: Declarations, around: Circumstances) -> None:
        self._deploy(self.history.tracked[stack], declared, around)

    @rule(stack=stack_numbers, number=resource_numbers, source=sources(), around=circumstances())
    @with_history
    def release(self, stack: int, number: int, source: Source, around: Circumstances) -> None:
        tracked = self.history.tracked[stack]
        self._deploy(tracked, changes.release(tracked.declared, number, source), around)

    @rule(stack=stack_numbers, source=sources(), around=circumstances())
    @with_history
    def bump(self, stack: int, source: Source, around: Circumstances) -> None:
        tracked = self.history.tracked[stack]
        self._deploy(tracked, changes.bump(tracked.declared, source), around)

    @rule(stack=stack_numbers, number=resource_numbers, around=circumstances())
    @with_history
    def swap_tags(self, stack: int, number: int, around: Circumstances) -> None:
        tracked = self.history.tracked[stack]
        self._deploy(tracked, changes.swap_tags(tracked.declared, number), around)

    @rule(stack=stack_numbers, number=resource_numbers, around=circumstances())
    @with_history
    def move_a_tag(self, stack: int, number: int, around: Circumstances) -> None:
        tracked = self.history.tracked[stack]
        self._deploy(tracked, changes.move_a_tag(tracked.declared, number), around)

    @rule(stack=stack_numbers, number=resource_numbers, source=st.none() | sources(), around=circumstances())
    @with_history
    def rename(self, stack: int, number: int, source: Source | None, around: Circumstances) -> None:
        tracked = self.history.tracked[stack]
        self._deploy(tracked, changes.rename(tracked.declared, number, source), around)

    @rule(stack=stack_numbers, number=resource_numbers, around=circumstances())
    @with_history
    def replace_the_repository(self, stack: int, number: int, around: Circumstances) -> None:
        tracked = self.history.tracked[stack]
        self._deploy(tracked, changes.replace_the_repository(tracked.declared, number), around)

    @rule(one=templates(), other=templates(), course=courses(paced_deliveries()), around=circumstances())
    @with_history
    def deploy_both(self, one: Declarations, other: Declarations, course: Course, around: Circumstances) -> None:
        first, second = self.history.tracked
        beside = replace(around, course=course, manual_actions=())
        self.history.deploy((first, only(one, self.options), around), (second, only(other, self.options), beside))

    @rule(stack=stack_numbers, around=circumstances())
    @with_history
    def roll_back(self, stack: int, around: Circumstances) -> None:
        self.history.roll_back(self.history.tracked[stack], around)

    @rule(stack=stack_numbers, around=circumstances())
    @with_history
    def destroy(self, stack: int, around: Circumstances) -> None:
        self.history.destroy(self.history.tracked[stack], around)

    @rule(stack=stack_numbers, order=orders(), declared=templates())
    @with_history
    def destroy_and_create_again(self, stack: int, order: tuple[int, ...], declared: Declarations) -> None:
        self.history.destroy(self.history.tracked[stack], Circumstances(course=Course(order=order)))
        self._deploy(self.history.tracked[stack], declared, Circumstances())

    # Other events

    @rule(stack=stack_numbers, number=st.integers(0, 30), is_cold=st.booleans())
    @with_history
    def a_request_arrives_again(self, stack: int, number: int, is_cold: bool) -> None:  # noqa: FBT001
        self.history.repeat(self.history.tracked[stack], number, is_cold=is_cold)

    @rule(home=homes, tag=st.sampled_from((SOURCE_TAG, *TAGS)), image=residents)
    def a_person_moves_a_tag(self, home: str, tag: str, image: int) -> None:
        self.history.do(ManualAction(0.0, "put a tag", home, tag, image))

    @rule(tag=st.sampled_from(UPSTREAM_TAGS), image=st.integers(0, len(FOREIGN) - 1))
    def a_person_moves_a_tag_upstream(self, tag: str, image: int) -> None:
        self.history.do(ManualAction(0.0, "put a tag", UPSTREAM, tag, image))

    @rule(number=st.integers(0, 7))
    def a_person_deletes_a_tag(self, number: int) -> None:
        tags = sorted(self.history.world.state().tags)
        own = [(home, tag) for home, tag in tags if home in HOMES and tag in (SOURCE_TAG, *TAGS)]
        if own:
            self.history.do(ManualAction(0.0, "delete a tag", *own[number % len(own)]))

    def _deploy(self, tracked: TrackedStack, declared: Declarations, around: Circumstances) -> None:
        self.history.deploy((tracked, only(declared, self.options), around))


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    report = threading.excepthook
    monkeypatch.setattr(
        threading, "excepthook", lambda args: None if issubclass(args.exc_type, TerminatedError) else report(args)
    )
    monkeypatch.setattr(cached_property, "__get__", get_without_lock)
    with new_history() as (history, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield history


@pytest.mark.timeout(900 + 120 * MINUTES)  # Shrinking a failure may take five minutes.
@pytest.mark.parametrize("options", [[], OPTIONS], ids=["by default", "with every option"])
def test_the_registry_agrees_with_the_result_of_each_deployment(history: History, options: Collection[str]) -> None:
    until = time.monotonic() + 60 * MINUTES
    with contextlib.redirect_stdout(io.StringIO()):
        _search(history, options)
        seed = int(str(hypothesis.core.global_force_seed))
        while time.monotonic() < until:
            seed += 1
            hypothesis.core.global_force_seed = seed  # type: ignore[assignment] # what --hypothesis-seed sets
            print(f"--hypothesis-seed={seed}", file=sys.__stdout__, flush=True)
            _search(history, options)


def _search(history: History, options: Collection[str]) -> None:
    run_state_machine_as_test(
        lambda: HistoryMachine(history, options),  # type: ignore[arg-type] # documented: anything that returns one
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            phases=set(Phase) - {Phase.explain, *(() if SHRINKS else (Phase.shrink,))},
            report_multiple_bugs=False,
        ),
    )
