"""
The fault table of the documentation matches the handler.

After an intended change, ``make fault-table`` writes it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.faults.scenarios import KINDS, SCENARIOS, TIMES, Cost, Kind, Scenario, heading, run
from tests.protocol.conftest import Registry, plane, registry, running_plane

__all__ = ["plane", "registry", "running_plane"]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"


def cases() -> Iterator[tuple[Scenario, str, str, Kind, int | None]]:
    for scenario in SCENARIOS:
        for (operation, face), kind, times in product(scenario.calls, KINDS, TIMES):
            yield scenario, operation, face, kind, times


def documented(scenario: Scenario, operation: str, kind: Kind, times: int | None) -> str:
    """Read a cell of the page."""
    _, _, rest = PAGE.read_text().partition(heading(scenario, times) + "\n")
    lines = [line.strip("|").split("|") for line in rest.partition("\n#")[0].splitlines() if line.startswith("|")]
    columns = [cell.strip() for cell in lines[0]]
    row = next(line for line in lines if line[0].strip() == f"`{operation}`")
    return row[columns.index(kind.name)].strip()


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (Cost(outcome="published", waited_seconds=0.0), "published"),
        (Cost(outcome="published", waited_seconds=0.5), "published, 0.5 s"),
        (Cost(outcome="`A`", waited_seconds=64.0), "`A`, 64 s"),
        (Cost(outcome="`A`", waited_seconds=265.0), "`A`, 4 min 25 s"),
        (Cost(outcome="`A`", waited_seconds=265.0, is_out_of_time=True), "`A`, until the deadline (4 min 25 s)"),
    ],
    ids=str,
)
def test_a_cell_states_the_duration(cost: Cost, said: str) -> None:
    assert str(cost) == said


@pytest.mark.usefixtures("plane")
@pytest.mark.parametrize(
    ("scenario", "operation", "face", "kind", "times"),
    [pytest.param(*case, id=f"{case[0].name}-{case[1]}-{case[3].name}-{TIMES[case[4]]}") for case in cases()],
)
def test_a_fault_has_the_documented_cost(
    registry: Registry, scenario: Scenario, operation: str, face: str, kind: Kind, times: int | None
) -> None:
    cost = run(scenario, kind.at(operation, face, times), registry)

    assert documented(scenario, operation, kind, times) == str(cost)
    assert registry.sandbox.requests.count(operation) > 0
