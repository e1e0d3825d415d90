"""The contract holds for two requests in any order of their calls, and with any insertion."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .checker import Checker
from .explore import Bounds, Explorer, Tally
from .grid import ACTIONS, all_pairs, second_deliveries, singles
from .report import render
from .run import controlled
from .scenarios import Pair
from .schedule import Fault, Schedule

TOGETHER = [
    *(f"undo-{name}.UNTAG+undo-{name}.UNTAG/same/one/nothing/digest" for name in ("create", "gain")),
    "delete.DESTROY+delete.DESTROY/image/two/nothing/digest",
]
"""Two resources that are undone at once could each leave the tag to the other, or bring the other's record back."""

PAIRS = [*list(all_pairs())[::149], *list(second_deliveries())[::6], *map(Pair.parse, TOGETHER)]
ALONE = list(singles())[::11]
"""A few pairs of each kind. ``make interleavings`` explores all of them."""

EVERYTHING = Bounds(faults=tuple(Fault), actions=ACTIONS)

RecordProperty = Callable[[str, object], None]


def assert_contract_holds(pair: Pair, bounds: Bounds, record: RecordProperty) -> None:
    """Explore a pair, and fail with a report for each kind of violation."""
    with controlled():
        explorer = Explorer(pair, bounds)
        found = {
            problem: render(violation, explorer.prepared.simulation.world)
            for violation in explorer.violations()
            for problem in violation.finding.problems
        }
    record(Tally.__name__, vars(explorer.tally))
    if found:
        pytest.fail("\n\n".join(dict.fromkeys(found.values())), pytrace=False)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_two_requests_keep_the_contract_in_any_order_of_their_calls(
    pair: Pair, record_property: RecordProperty
) -> None:
    assert_contract_holds(pair, Bounds(), record_property)


@pytest.mark.parametrize("pair", ALONE, ids=str)
def test_a_request_keeps_the_contract_with_any_insertion_between_its_calls(
    pair: Pair, record_property: RecordProperty
) -> None:
    assert_contract_holds(pair, EVERYTHING, record_property)


@pytest.mark.parametrize(
    "schedule",
    [
        "undo-create.UNTAG+delete.DESTROY/child/two/nothing/digest#A:8s",
        "undo-gain.DESTROY+undo-gain.UNTAG/child/one/nothing/digest#A:15s",
        "undo-gain.UNTAG/same/one/nothing/digest#A:16slow",
        "delete.DESTROY/index/one/nothing/digest#A:8late",
        "delete.DESTROY/index/one/nothing/digest#A:10slow",
        "delete.DESTROY+delete.DESTROY/image/far/nothing/digest#A:14s",
        "undo-gain.KEEP+again.KEEP/same/one/nothing/digest#A:2slow,3s",
        "gain.KEEP+again.KEEP/same/one/nothing/digest#A:3s,15slow",
        "undo-create.KEEP+undo-gain.KEEP/tag/two/person/digest#A:",
        "undo-create.KEEP+undo-gain.KEEP/tag/two/person/digest#A:9s",
    ],
)
def test_a_schedule_that_once_broke_the_contract_keeps_it(schedule: str) -> None:
    """Most combine a switch with a fault, which the tests above do not."""
    name, _, decisions = schedule.partition("#")
    with controlled():
        explorer = Explorer(Pair.parse(name), Bounds())
        findings = list(Checker(explorer.prepared).check(explorer.run(Schedule.parse(decisions))))

    assert findings == []
