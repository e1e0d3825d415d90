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
from functools import wraps
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
from .lives import Life, Owned, living
from .registry import FOREIGN, HOMES, RESIDENT, SOURCE_TAG, UPSTREAM, UPSTREAM_TAGS, Deed
from .stage import GoneError

EXAMPLES = int(os.environ.get("LIVES", "40"))
"""How many random histories to run for each set of options; ``LIVES=2000`` for a long search."""

MINUTES = float(os.environ.get("MINUTES", "0"))
"""How long to continue with other seeds, in minutes; 0 for one search of ``LIVES``."""

SHRINKS = os.environ.get("SHRINK", "1") != "0"
"""Whether to shrink a failure, which takes minutes."""

STEPS = 10

which = st.integers(0, len(NAMES) - 1)
one_of_both = st.sampled_from([0, 0, 1])
homes = st.sampled_from(HOMES)
residents = st.integers(0, len(RESIDENT) - 1)

Rule = Callable[..., None]


def told(step: Rule) -> Rule:
    """Add the whole history to the message of a failure."""

    @wraps(step)
    def tell(self: Lives, *args: Any, **kwargs: Any) -> None:
        try:
            step(self, *args, **kwargs)
        except AssertionError as error:
            life = "\n".join(self.life.world.chronicle)
            message = f"{error}\n\nThe history until then, in seconds:\n{life}"
            raise AssertionError(message) from error

    return tell


class Lives(RuleBasedStateMachine):
    """
    Two stacks, and people who use the registry.

    The rules have no preconditions. A rule that finds nothing to do does nothing.
    """

    def __init__(self, life: Life, options: Collection[str]) -> None:
        super().__init__()
        self.life, self.options = life, options
        self.life.begin_anew()

    # Actions of the owners of the stacks

    @initialize(declared=templates(), is_named=st.booleans())
    @told
    def begin(self, declared: Declarations, is_named: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        self.life.is_named, self.life.is_tidy, self.life.is_over = is_named, True, False
        self._deploy(self.life.owned[0], declared, Circumstances())

    @rule(stack=one_of_both, declared=templates(), around=circumstances())
    @told
    def deploy(self, stack: int, declared: Declarations, around: Circumstances) -> None:
        self._deploy(self.life.owned[stack], declared, around)

    @rule(stack=one_of_both, number=which, source=sources(), around=circumstances())
    @told
    def release(self, stack: int, number: int, source: Source, around: Circumstances) -> None:
        owned = self.life.owned[stack]
        self._deploy(owned, changes.release(owned.declared, number, source), around)

    @rule(stack=one_of_both, source=sources(), around=circumstances())
    @told
    def bump(self, stack: int, source: Source, around: Circumstances) -> None:
        owned = self.life.owned[stack]
        self._deploy(owned, changes.bump(owned.declared, source), around)

    @rule(stack=one_of_both, number=which, around=circumstances())
    @told
    def swap_tags(self, stack: int, number: int, around: Circumstances) -> None:
        owned = self.life.owned[stack]
        self._deploy(owned, changes.swap_tags(owned.declared, number), around)

    @rule(stack=one_of_both, number=which, around=circumstances())
    @told
    def move_a_tag(self, stack: int, number: int, around: Circumstances) -> None:
        owned = self.life.owned[stack]
        self._deploy(owned, changes.move_a_tag(owned.declared, number), around)

    @rule(stack=one_of_both, number=which, source=st.none() | sources(), around=circumstances())
    @told
    def rename(self, stack: int, number: int, source: Source | None, around: Circumstances) -> None:
        owned = self.life.owned[stack]
        self._deploy(owned, changes.rename(owned.declared, number, source), around)

    @rule(stack=one_of_both, number=which, around=circumstances())
    @told
    def replace_the_repository(self, stack: int, number: int, around: Circumstances) -> None:
        owned = self.life.owned[stack]
        self._deploy(owned, changes.replace_the_repository(owned.declared, number), around)

    @rule(one=templates(), other=templates(), course=courses(paced_deliveries()), around=circumstances())
    @told
    def deploy_both(self, one: Declarations, other: Declarations, course: Course, around: Circumstances) -> None:
        first, second = self.life.owned
        beside = replace(around, course=course, deeds=())
        self.life.deploy((first, only(one, self.options), around), (second, only(other, self.options), beside))

    @rule(stack=one_of_both, around=circumstances())
    @told
    def roll_back(self, stack: int, around: Circumstances) -> None:
        self.life.roll_back(self.life.owned[stack], around)

    @rule(stack=one_of_both, around=circumstances())
    @told
    def destroy(self, stack: int, around: Circumstances) -> None:
        self.life.destroy(self.life.owned[stack], around)

    @rule(stack=one_of_both, order=orders(), declared=templates())
    @told
    def destroy_and_begin_anew(self, stack: int, order: tuple[int, ...], declared: Declarations) -> None:
        self.life.destroy(self.life.owned[stack], Circumstances(course=Course(order=order)))
        self._deploy(self.life.owned[stack], declared, Circumstances())

    # Other events

    @rule(stack=one_of_both, number=st.integers(0, 30), is_cold=st.booleans())
    @told
    def a_request_arrives_again(self, stack: int, number: int, is_cold: bool) -> None:  # noqa: FBT001
        self.life.repeat(self.life.owned[stack], number, is_cold=is_cold)

    @rule(home=homes, tag=st.sampled_from((SOURCE_TAG, *TAGS)), image=residents)
    def a_person_moves_a_tag(self, home: str, tag: str, image: int) -> None:
        self.life.do(Deed(0.0, "put a tag", home, tag, image))

    @rule(tag=st.sampled_from(UPSTREAM_TAGS), image=st.integers(0, len(FOREIGN) - 1))
    def a_person_moves_a_tag_upstream(self, tag: str, image: int) -> None:
        self.life.do(Deed(0.0, "put a tag", UPSTREAM, tag, image))

    @rule(number=st.integers(0, 7))
    def a_person_deletes_a_tag(self, number: int) -> None:
        tags = sorted(self.life.world.state().tags)
        own = [(home, tag) for home, tag in tags if home in HOMES and tag in (SOURCE_TAG, *TAGS)]
        if own:
            self.life.do(Deed(0.0, "delete a tag", *own[number % len(own)]))

    def _deploy(self, owned: Owned, declared: Declarations, around: Circumstances) -> None:
        self.life.deploy((owned, only(declared, self.options), around))


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    report = threading.excepthook
    monkeypatch.setattr(
        threading, "excepthook", lambda args: None if issubclass(args.exc_type, GoneError) else report(args)
    )
    with living() as (life, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield life


@pytest.mark.timeout(900 + 120 * MINUTES)  # Shrinking a failure may take five minutes.
@pytest.mark.parametrize("options", [[], OPTIONS], ids=["by default", "with every option"])
def test_whatever_happens_a_deployment_does_what_it_says_or_nothing(life: Life, options: Collection[str]) -> None:
    until = time.monotonic() + 60 * MINUTES
    with contextlib.redirect_stdout(io.StringIO()):
        _search(life, options)
        seed = int(str(hypothesis.core.global_force_seed))
        while time.monotonic() < until:
            seed += 1
            hypothesis.core.global_force_seed = seed  # type: ignore[assignment] # what --hypothesis-seed sets
            print(f"--hypothesis-seed={seed}", file=sys.__stdout__, flush=True)
            _search(life, options)


def _search(life: Life, options: Collection[str]) -> None:
    run_state_machine_as_test(
        lambda: Lives(life, options),  # type: ignore[arg-type] # documented: anything that returns one
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            phases=set(Phase) - {Phase.explain, *(() if SHRINKS else (Phase.shrink,))},
            report_multiple_bugs=False,
        ),
    )
