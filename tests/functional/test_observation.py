"""The observation of a repository before the plan: it needs few requests."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.protocol.conftest import Registry, declare
from tests.support.stack import Stack


def tags(count: int) -> list[str]:
    return [f"1.{number}" for number in range(count)]


def moves(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the moves of the plan in the log."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next(line["moves"] for line in lines if "moves" in line)


@pytest.mark.parametrize(
    ("there", "new", "requests"),
    [
        pytest.param(20, 0, 1, id="all there: one request"),
        pytest.param(0, 1, 1, id="one new tag: one request"),
        pytest.param(1, 3, 5, id="one of them there: each by itself"),
        pytest.param(100, 1, 2, id="all of the first hundred there: one for each hundred"),
    ],
)
def test_finds_tags_with_few_requests(
    stack: Stack, registry: Registry, capsys: pytest.CaptureFixture[str], there: int, new: int, requests: int
) -> None:
    old, image = registry.push("old", *tags(there)), registry.push("new")
    registry.sandbox.requests.clear()

    stack.deploy(declare(image, *tags(there + new)))

    assert registry.sandbox.requests.count("DescribeImages") == requests
    assert registry.tags() == dict.fromkeys(tags(there + new), image.digest)
    moved, made = tags(there + new)[:there], tags(there + new)[there:]
    assert moves(capsys) == [*(f"{tag} from {old.digest}" for tag in moved), *(f"{tag} (new)" for tag in made)]


def test_a_read_of_one_tag_says_nothing_about_another(stack: Stack, registry: Registry) -> None:
    first, second, image = registry.push("first", "moved"), registry.push("second"), registry.push("image")
    registry.push("second", "moved")
    registry.push("first", "fixed")
    # For "moved", the service returns the image of "fixed" as it was before it had that tag.
    registry.sandbox.faults.add(Fault(operation="DescribeImages", reference="moved", stale=True, times=None))

    answer = stack.deploy(declare(image, "fixed", "moved", "new", ImmutableTags=["fixed"]))

    assert f"tag 'fixed' is immutable: it points to {first.digest}" in answer.reason
    assert registry.tags() == {"fixed": first.digest, "moved": second.digest}
