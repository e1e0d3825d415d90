"""The explorer: it repeats schedules, skips only equivalent ones, and finds a broken handler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from .explore import Bounds, Explorer
from .run import Run, controlled
from .scenarios import Pair
from .schedule import Fault, ManualAction, Schedule
from .services import Client
from .world import Service

ALONE = Bounds(switches=0)


def explorer(name: str, bounds: Bounds = ALONE) -> Explorer:
    with controlled():
        return Explorer(Pair.parse(name), bounds)


def run(name: str, schedule: str) -> Run:
    with controlled():
        return explorer(name).run(Schedule.parse(schedule))


def problems(pair: Pair, bounds: Bounds = ALONE, client: type[Client] = Client) -> set[str]:
    with controlled():
        found = Explorer(pair, bounds, client).violations()
        return {problem for violation in found for problem in violation.finding.problems}


def steps(run: Run) -> list[tuple[str, str, str, str]]:
    return [(call.caller, call.operation, repr(call.parameters), call.outcome) for call in run.trace]


class ReadsRecordsOnce(Client):
    """Reads the owners of tags once, and never again."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "get_parameters_by_path":
            return call
        seen: dict[str, Any] = self.invocation.__dict__.setdefault("seen", {})

        def read(**requested: Any) -> Any:
            if requested["Path"] not in seen:
                seen[requested["Path"]] = call(**requested)
            return seen[requested["Path"]]

        return read


class HidesRollbacks(Client):
    """Treats every rollback as a deployment."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method == "describe_stack_events":
            return lambda **_: {"StackEvents": []}
        if method != "describe_stacks":
            return call
        return lambda **requested: {"Stacks": [{**call(**requested)["Stacks"][0], "StackStatus": "UPDATE_IN_PROGRESS"}]}


class IgnoresDigests(Client):
    """Removes tags from any image, and reports that it removed the requested ones."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "batch_delete_image":
            return call

        def remove(imageIds: list[dict[str, str]], **where: Any) -> Any:  # noqa: N803 - the API's name
            call(imageIds=[{"imageTag": each["imageTag"]} for each in imageIds], **where)
            return {"imageIds": imageIds, "failures": []}

        return remove


def test_pairs_and_schedules_can_be_parsed_from_their_names() -> None:
    for name in (
        "create.KEEP+delete.DESTROY/same/two/nothing/digest",
        "undo-gain.UNTAG+late.UNTAG/same/one/bump/tag/130",
    ):
        assert name == str(Pair.parse(name))
    schedule = Schedule.parse("B:5s,7s,9lost,12move:s:P")

    assert str(schedule) == "B:5s,7s,9lost,12move:s:P"
    assert [each.action for each in schedule.decisions if each.action] == [
        ManualAction(verb="move", tag="s", image="P")
    ]
    assert [each.fault for each in schedule.decisions if each.fault] == [Fault.LOST]


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("create.DESTROY+delete.DESTROY/same/two/nothing/digest", "A:4s,9s"),
        ("create.KEEP+undo-create.UNTAG/tag/far/person/digest", "B:3s"),
        ("gain.UNTAG/index/one/person/digest", "A:3stale"),
    ],
)
def test_a_schedule_makes_the_same_calls_each_time(name: str, schedule: str) -> None:
    first, second = run(name, schedule), run(name, schedule)

    assert steps(first) == steps(second)
    assert first.world.fingerprint() == second.world.fingerprint()


@pytest.mark.parametrize(
    "name",
    [
        "create.DESTROY+delete.DESTROY/same/two/nothing/digest",
        "create.KEEP+drop.UNTAG/same/one/nothing/digest",
        "undo-create.UNTAG+gain.DESTROY/tag/far/person/digest",
    ],
)
def test_skipping_equivalent_schedules_misses_no_final_state(name: str) -> None:
    ends = []
    for reduces in (True, False):
        with controlled():
            runs = list(explorer(name, Bounds(reduces=reduces)).runs())
        ends.append({(*each.world.fingerprint()[:2], each.world.fingerprint()[3]) for each in runs})

    assert ends[0] == ends[1]


def test_equivalent_schedules_are_skipped() -> None:
    name = "create.DESTROY+delete.DESTROY/same/two/nothing/digest"
    everything, enough = (explorer(name, Bounds(reduces=reduces)) for reduces in (False, True))
    with controlled():
        runs = len(list(everything.runs())), len(list(enough.runs()))

    assert runs[1] < runs[0]
    assert enough.tally.same > 0


def test_a_call_whose_response_is_lost_takes_effect() -> None:
    done = run("create.KEEP/same/one/nothing/digest", "A:4lost")

    first, *_, again = [call for call in done.steps if call.parameters.get("imageTag") == "a"]
    assert [first.outcome, again.outcome] == ["ok, response lost", "ImageAlreadyExistsException"]


def test_a_stale_read_returns_the_previous_state() -> None:
    done = run("undo-create.KEEP/same/one/person/digest", "A:6stale")

    read = next(step for step in done.steps if step.operation == "DescribeImages")
    assert read.tags["s"] == "X"
    assert "image:W" in read.reads


def test_a_request_that_sleeps_lets_the_other_one_run() -> None:
    done = run("create.KEEP+create.KEEP/tag/two/nothing/digest", "A:2throttled")

    assert [call.caller for call in done.steps[2:5]] == ["A", "A", "B"]
    assert done.steps[3].operation == "sleep"


@pytest.mark.parametrize(
    ("client", "name", "bounds", "problem"),
    [
        (ReadsRecordsOnce, "create.DESTROY+delete.DESTROY/same/two/nothing/digest", Bounds(), "tag s is gone"),
        (HidesRollbacks, "undo-create.KEEP/same/one/person/digest", ALONE, "tag s is at X; it must be at W"),
        (IgnoresDigests, "delete.DESTROY/same/one/nothing/digest", Bounds(actions=("move:s:P",)), "tag s is gone"),
    ],
    ids=["no second read", "no undo", "no digest"],
)
def test_a_broken_handler_is_found(client: type[Client], name: str, bounds: Bounds, problem: str) -> None:
    assert any(problem in found for found in problems(Pair.parse(name), bounds, client))


def test_a_tag_that_a_person_moves_is_not_removed() -> None:
    pair = Pair.parse("delete.DESTROY/same/one/nothing/digest")

    assert problems(pair, Bounds(actions=("move:s:P", "move:s:W"))) == set()


def test_if_the_service_ignores_the_digest_the_image_is_deleted_with_its_only_tag() -> None:
    """Otherwise the function puts the image back, because the response lists it as removed."""
    pair = replace(Pair.parse("undo-gain.UNTAG/same/one/nothing/digest"), service=Service(ignores_digest=True))

    assert "image P is gone; it must not be" in problems(pair, Bounds(actions=("move:s:P",)))
    assert problems(pair, Bounds(actions=("move:s:V",))) == set()
