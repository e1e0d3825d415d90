"""The model of the contract: the states that the action of a person, and each request, may leave."""

from __future__ import annotations

from typing import Any

import pytest

from .model import Expectation, Model, Operation, States, apply, perform
from .schedule import ManualAction
from .stacks import Declared, Kind, Policy

OWNER, OTHER = ("Alpha", "A"), ("Beta", "B")


def declared(policy: Policy, *tags: str, image: str = "X", **more: Any) -> Declared:
    return Declared(image=image, tags=tags, policy=policy, has_parameter_name=policy is not Policy.KEEP, **more)


def created(states: States, new: Declared, owner: tuple[str, str] = OWNER) -> States:
    return apply(states, Operation(kind=Kind.CREATE, owner=owner, new=new, old=None))


def undone(states: States, new: Declared, owner: tuple[str, str] = OWNER) -> States:
    return apply(states, Operation(kind=Kind.UNDO_CREATE, owner=owner, new=None, old=new))


def deleted(states: States, old: Declared, owner: tuple[str, str] = OWNER) -> States:
    return apply(states, Operation(kind=Kind.DELETE, owner=owner, new=None, old=old))


def tags(states: States) -> list[dict[str, str]]:
    return sorted((dict(state.tags) for state in states), key=str)


BEFORE: States = frozenset({Model.of({"latest": "W"}, {"W", "X", "Y"})})


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (Policy.KEEP, {"latest": "W", "1.0": "X"}),
        (Policy.UNTAG, {"latest": "W"}),
        (Policy.DESTROY, {"latest": "W"}),
    ],
)
def test_the_undo_of_a_creation_gives_back_and_removes_tags_as_its_policy_says(
    policy: Policy, left: dict[str, str]
) -> None:
    new = declared(policy, "latest", "1.0")

    states = undone(created(BEFORE, new), new)

    assert tags(states) == [left]
    assert all("X" in state.images for state in states)


def test_an_ordinary_deletion_gives_nothing_back() -> None:
    new = declared(Policy.DESTROY, "latest")

    states = deleted(created(BEFORE, new), new)

    assert tags(states) == [{}]
    assert all("X" not in state.images for state in states)


def test_a_tag_stays_until_its_last_declaration_is_deleted() -> None:
    new = declared(Policy.DESTROY, "latest")
    both = created(created(BEFORE, new), new, OTHER)

    assert tags(deleted(both, new)) == [{"latest": "X"}]
    assert tags(deleted(deleted(both, new), new, OTHER)) == [{}]


def test_an_image_stays_while_an_index_lists_it_and_is_deleted_with_the_index() -> None:
    states: States = frozenset({Model.of({}, {"X", "Y", "I"})})
    child, index = declared(Policy.DESTROY, "x"), declared(Policy.DESTROY, "i", image="I")
    states = deleted(created(created(states, child), index, OTHER), child)

    assert tags(states) == [{"i": "I", "x": "X"}]

    states = deleted(states, index, OTHER)
    assert [(state.tags, state.images) for state in states] == [(frozenset(), frozenset())]


def test_a_tag_that_a_person_moved_stays_there() -> None:
    new = declared(Policy.DESTROY, "latest")
    moved = perform(created(BEFORE, new), ManualAction.parse("move:latest:P"))

    assert tags(deleted(moved, new)) == [{"latest": "P"}]
    assert tags(undone(moved, new)) == [{"latest": "P"}]


def test_reports_each_tag_and_image_in_a_state_that_is_not_allowed() -> None:
    expectation = Expectation(BEFORE)

    assert list(expectation.problems({"latest": "W"}, frozenset({"W", "X", "Y"}))) == []
    assert list(expectation.problems({"latest": "X", "1": "X"}, frozenset({"X", "Y"}))) == [
        "tag 1 is at X; it must be gone",
        "tag latest is at X; it must be at W",
        "image W is gone; it must not be",
    ]
