"""The explorer itself: it repeats what it ran, leaves out only what is the same, and finds what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .explore import Bounds, Explorer
from .run import Run, controlled
from .scenarios import Pair
from .schedule import Decision, Fault, Schedule
from .services import Client
from .world import names

NONE = Bounds(switches=0)


@pytest.fixture(autouse=True)
def _controlled() -> Iterator[None]:
    with controlled():
        yield


class Forgetful(Client):
    """Looks at who owns what once, and never again."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "get_parameters_by_path":
            return call
        seen = self.agent.__dict__.setdefault("seen", {})
        return lambda **asked: (
            seen.setdefault(asked["Path"], None) or seen.update({asked["Path"]: call(**asked)}) or seen[asked["Path"]]
        )


class Blind(Client):
    """Takes every rollback for a deployment."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "describe_stacks":
            return call
        return lambda **asked: {"Stacks": [{**call(**asked)["Stacks"][0], "StackStatus": "UPDATE_IN_PROGRESS"}]}


class Careless(Client):
    """Removes tags wherever they point, and says it removed what it was asked to."""

    def __getattr__(self, method: str) -> Any:
        call = super().__getattr__(method)
        if method != "batch_delete_image":
            return call

        def remove(imageIds: list[dict[str, str]], **where: Any) -> Any:  # noqa: N803 - the API's name
            call(imageIds=[{"imageTag": each["imageTag"]} for each in imageIds], **where)
            return {"imageIds": imageIds, "failures": []}

        return remove


def problems(name: str, bounds: Bounds, client: type[Client] = Client) -> set[str]:
    found = Explorer(Pair.parse(name), bounds, client).violations()
    return {problem for violation in found for problem in violation.verdict.problems}


def ends(run: Run) -> tuple[object, ...]:
    return (run.world.tags(), run.world.images(), [*run.world.parameters.items()])
