"""Recordings of all cases on two sandboxes, which several tests compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from cdk_ecrpublic.live_check import endpoint
from cdk_ecrpublic.live_check.case import Case, Group
from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.check import budget_of
from cdk_ecrpublic.live_check.recording import Recording
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.sandbox import Sandbox, Settings

USUAL = tuple(case for case in CASES if case.group is Group.REGISTRY)
BY_NAME = {case.name: case for case in CASES}

Record = Callable[..., tuple[list[Recording], Session]]


def record(
    cases: Sequence[Case], settings: Settings | None = None, prepare: Callable[[Sandbox], None] = lambda _: None
) -> tuple[list[Recording], Session]:
    """Run cases on a new sandbox."""
    with Sandbox(settings=settings) as sandbox:
        prepare(sandbox)
        return run_cases(cases, endpoint.sandbox(sandbox), budget_of(cases))


@pytest.fixture(scope="session")
def usual() -> tuple[list[Recording], Session]:
    """All cases of the default group, once."""
    return record(USUAL)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running
