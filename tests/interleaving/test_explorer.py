"""The explorer: it repeats schedules, skips only equivalent ones, and finds a broken handler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from .explore import Bounds, Explorer
from .run import Run, controlled
from .scenarios import Pair
from .schedule import Act, Fault, Schedule
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
        return {problem for violation in found for problem in violation.verdict.problems}


def steps(run: Run) -> list[tuple[str, str, str, str]]:
    return [(call.who, call.operation, repr(call.parameters), call.outcome) for call in run.trace]


class Forgetful(Client):
    """Reads the owners of tags once, and never again."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "get_parameters_by_path":
            return call
        seen: dict[str, Any] = self.agent.__dict__.setdefault("seen", {})

        def look(**asked: Any) -> Any:
            if asked["Path"] not in seen:
                seen[asked["Path"]] = call(**asked)
            return seen[asked["Path"]]

        return look


class Blind(Client):
    """Treats every rollback as a deployment."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method == "describe_stack_events":
            return lambda **_: {"StackEvents": []}
        if method != "describe_stacks":
            return call
        return lambda **asked: {"Stacks": [{**call(**asked)["Stacks"][0], "StackStatus": "UPDATE_IN_PROGRESS"}]}


class Careless(Client):
    """Removes tags from any image, and reports that it removed the requested ones."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "batch_delete_image":
            return call

        def remove(imageIds: list[dict[str, str]], **where: Any) -> Any:  # noqa: N803 - the API's name
            call(imageIds=[{"imageTag": each["imageTag"]} for each in imageIds], **where)
            return {"imageIds": imageIds, "failures": []}

        return remove


def test_the_name_of_a_schedule_repeats_it() -> None:
    for name in (
        "create.KEEP+delete.DESTROY/same/two/nothing/digest",
        "undo-gain.UNTAG+late.UNTAG/same/one/bump/tag/130",
    ):
        assert name == str(Pair.parse(name))
    schedule = Schedule.parse("B:5s,7s,9lost,12move:s:P")

    assert str(schedule) == "B:5s,7s,9lost,12move:s:P"
    assert [each.act for each in schedule.decisions if each.act] == [Act(verb="move", tag="s", image="P")]
    assert [each.fault for each in schedule.decisions if each.fault] == [Fault.LOST]


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("create.DESTROY+delete.DESTROY/same/two/nothing/digest", "A:4s,9s"),
        ("create.KEEP+undo-create.UNTAG/tag/far/person/digest", "B:3s"),
        ("gain.UNTAG/index/one/person/digest", "A:3stale"),
    ],
)
def test_a_schedule_does_the_same_again(name: str, schedule: str) -> None:
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
def test_a_skipped_schedule_ends_like_one_that_is_run(name: str) -> None:
    ends = []
    for reduces in (True, False):
        with controlled():
            runs = list(explorer(name, Bounds(reduces=reduces)).runs())
        ends.append({(*each.world.fingerprint()[:2], each.world.fingerprint()[3]) for each in runs})

    assert ends[0] == ends[1]


def test_less_is_run_than_there_is() -> None:
    name = "create.DESTROY+delete.DESTROY/same/two/nothing/digest"
    everything, enough = (explorer(name, Bounds(reduces=reduces)) for reduces in (False, True))
    with controlled():
        runs = len(list(everything.runs())), len(list(enough.runs()))

    assert runs[1] < runs[0]
    assert enough.tally.same > 0


def test_a_lost_response_is_of_something_that_was_done() -> None:
    lived = run("create.KEEP/same/one/nothing/digest", "A:4lost")

    first, *_, again = [call for call in lived.steps if call.parameters.get("imageTag") == "a"]
    assert [first.outcome, again.outcome] == ["ok, response lost", "ImageAlreadyExistsException"]


def test_a_late_read_sees_what_was_there_before() -> None:
    lived = run("undo-create.KEEP/same/one/person/digest", "A:6stale")

    look = next(step for step in lived.steps if step.operation == "DescribeImages")
    assert look.tags["s"] == "X"
    assert "image:W" in look.reads


def test_a_request_that_sleeps_lets_the_other_one_run() -> None:
    lived = run("create.KEEP+create.KEEP/tag/two/nothing/digest", "A:2throttled")

    assert [call.who for call in lived.steps[2:5]] == ["A", "A", "B"]
    assert lived.steps[3].operation == "sleep"


@pytest.mark.parametrize(
    ("client", "name", "bounds", "problem"),
    [
        (Forgetful, "create.DESTROY+delete.DESTROY/same/two/nothing/digest", Bounds(), "tag s is gone"),
        (Blind, "undo-create.KEEP/same/one/person/digest", ALONE, "tag s is at X; it must be at W"),
        (Careless, "delete.DESTROY/same/one/nothing/digest", Bounds(acts=("move:s:P",)), "tag s is gone"),
    ],
    ids=["no second look", "no undo", "no comparison"],
)
def test_a_broken_handler_is_found(client: type[Client], name: str, bounds: Bounds, problem: str) -> None:
    assert any(problem in found for found in problems(Pair.parse(name), bounds, client))


def test_what_a_person_moves_is_not_removed() -> None:
    pair = Pair.parse("delete.DESTROY/same/one/nothing/digest")

    assert problems(pair, Bounds(acts=("move:s:P", "move:s:W"))) == set()


def test_if_the_service_ignores_the_digest_the_image_is_deleted_with_its_only_tag() -> None:
    """Otherwise the function puts the image back, because the response lists it as removed."""
    pair = replace(Pair.parse("undo-gain.UNTAG/same/one/nothing/digest"), service=Service(ignores_digest=True))

    assert "image P is gone; it must not be" in problems(pair, Bounds(acts=("move:s:P",)))
    assert problems(pair, Bounds(acts=("move:s:V",))) == set()
