"""The table of other registries matches the results, and explains where ours differs from all tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox import Sandbox
from tests.differential.cases import CASES
from tests.differential.stage import Case
from tests.differential.table import OURS, differs, documented, ours, playing, theirs
from tests.differential.tools import PEERS, Handler, missing

EVERY = [
    pytest.param(heading, case, id=f"{heading}: {case.name}") for heading, cases in CASES.items() for case in cases
]
DOCUMENTED = documented()


@pytest.fixture(scope="module")
def play() -> Iterator[tuple[Sandbox, Handler]]:
    before = dict(os.environ)
    try:
        with playing() as found:
            yield found
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_every_case_has_a_row_and_every_row_has_a_case() -> None:
    assert list(DOCUMENTED) == [(heading, case.name) for heading, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(("heading", "case"), EVERY)
def test_our_handler_matches_the_table(heading: str, case: Case, play: tuple[Sandbox, Handler], tmp_path: Path) -> None:
    assert ours(case, *play, tmp_path / "ours") == DOCUMENTED[heading, case.name][OURS]


@pytest.mark.peer
@pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())} (tests/peers/install)")
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("heading", CASES)
def test_other_tools_match_the_table(heading: str, name: str, tmp_path: Path) -> None:
    found = {case.name: theirs(case, name, tmp_path / str(number)) for number, case in enumerate(CASES[heading])}

    assert found == {case.name: DOCUMENTED[heading, case.name][name] for case in CASES[heading]}


@pytest.mark.parametrize(("heading", "case"), EVERY)
def test_the_table_explains_where_ours_differs_from_all_tools(heading: str, case: Case) -> None:
    row = DOCUMENTED[heading, case.name]

    assert row["why cdk-ecrpublic differs"] == case.reason
    if differs(row[OURS], {name: row[name] for name in PEERS}):
        assert case.reason
