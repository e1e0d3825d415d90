"""Immutable tags, and rollbacks that restore what was there although its source has moved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import build_image, push_image
from tests.protocol.conftest import Registry, declare
from tests.support.control_plane import ControlPlane
from tests.support.stack import Stack

NAME = "/cdk-ecrpublic/acme/agent/Agent.Release"


def promote(tag: str, *tags: str, **more: Any) -> dict[str, Any]:
    """Declare the image that another tag points to."""
    source = {"Source": {"Tag": tag}}
    return {"RepositoryName": "acme/agent", "ImageTags": list(tags), **source, "StateParameterName": NAME, **more}


def test_a_rollback_restores_what_a_moved_tag_was_resolved_to(stack: Stack, registry: Registry) -> None:
    first = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    registry.push("second", "stable")
    tried = declare(registry.push("third"), "latest", StateParameterName=NAME)
    assert stack.cloudformation.update(stack.physical_id, tried, promote("stable", "latest")).succeeded

    stack.roll_back(tried)

    assert registry.tags()["latest"] == first.digest


def test_a_rollback_restores_a_copy_whose_source_has_moved(stack: Stack, registry: Registry) -> None:
    registry.sandbox.client("ecr-public").create_repository(repositoryName="up/stream")
    uri = registry.sandbox.client("ecr-public").describe_repositories(repositoryNames=["up/stream"])
    reference = f"{uri['repositories'][0]['repositoryUri']}:stable"
    first = build_image({"a": b"1"})
    push_image(registry.sandbox, "up/stream", first, ["stable"])
    copy = promote("x", "latest", Source={"Image": {"Reference": reference}})
    stack.deploy(copy)
    push_image(registry.sandbox, "up/stream", build_image({"a": b"2"}), ["stable"])
    tried = {**copy, "Refresh": "again"}
    assert stack.cloudformation.update(stack.physical_id, tried, copy).succeeded
    assert registry.tags()["latest"] != first.digest

    stack.roll_back(tried)

    assert registry.tags()["latest"] == first.digest


def test_going_forward_a_tag_is_resolved_anew(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    second = registry.push("second", "stable")

    stack.deploy(promote("stable", "latest", Refresh="1"))
    assert registry.tags()["latest"] == second.digest

    third = registry.push("third", "stable")
    stack.deploy(promote("stable", "latest"))
    assert registry.tags()["latest"] == third.digest
    assert plane.requests.count("DescribeStacks") == 1


def test_the_rollback_of_a_rollback_restores_too(stack: Stack, registry: Registry) -> None:
    first = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    for number in range(3):
        registry.push(f"moved {number}", "stable")
        tried = promote("stable", "latest", Refresh=str(number))
        assert stack.cloudformation.update(stack.physical_id, tried, promote("stable", "latest")).succeeded
        stack.roll_back(tried)

        assert registry.tags()["latest"] == first.digest


def test_without_a_memory_the_tag_is_resolved_anew(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    registry.push("first", "stable")
    old = {**promote("stable", "latest")}
    del old["StateParameterName"]
    stack.deploy(old)
    second = registry.push("second", "stable")
    tried = {**old, "Refresh": "1"}
    stack.cloudformation.update(stack.physical_id, tried, old)

    stack.roll_back(tried)

    assert registry.tags()["latest"] == second.digest
    assert plane.requests == []


def test_what_is_remembered_is_written_before_anything_else(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    registry.push("first", "stable")
    plane.denied.add("PutParameter")
    registry.sandbox.requests.clear()

    answer = stack.deploy(promote("stable", "latest"))

    assert answer.reason.startswith("ACCESS_DENIED: ssm:PutParameter failed: AccessDeniedException")
    assert answer.reason.endswith("Hint: allow ssm:PutParameter in the role of the handler's function")
    assert registry.sandbox.requests.count("PutImage") == 0


def test_a_declaration_that_needs_no_memory_any_more_leaves_its_claims(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    first = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    registry.push("second", "stable")
    tried = declare(first, "latest")
    assert stack.cloudformation.update(stack.physical_id, tried, promote("stable", "latest")).succeeded

    state = json.loads(plane.parameters[NAME])
    assert (state["resource"], state["tags"]) == (stack.physical_id, ["latest"])
    assert list(state["digests"].values())[-1] == first.digest
    stack.roll_back(tried)

    assert registry.tags()["latest"] == first.digest
    assert json.loads(plane.parameters[NAME])["tags"] == ["latest"]


def test_the_memory_is_deleted_with_the_resource(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    image = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    assert list(plane.parameters) == [NAME]

    stack.destroy()

    assert plane.parameters == {}
    assert registry.tags() == {"latest": image.digest, "stable": image.digest}


def test_the_memory_stays_within_a_parameter_however_often_it_is_used(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    registry.push("first", "stable")
    for number in range(60):
        assert stack.deploy(promote("stable", "latest", Refresh=str(number))).succeeded

    assert len(plane.parameters[NAME]) <= 4096
    assert len(json.loads(plane.parameters[NAME])["digests"]) > 20


def test_more_tags_than_can_be_remembered_are_refused(stack: Stack, registry: Registry) -> None:
    registry.push("first", "stable")
    registry.sandbox.requests.clear()

    answer = stack.deploy(promote("stable", *(f"a-rather-long-tag-{number}" for number in range(200))))

    assert answer.reason.startswith("INVALID_PROPERTIES: ImageTags: has 200 tags, more than the 4096 bytes")
    assert registry.sandbox.requests.count("PutImage") == 0


@pytest.mark.parametrize("text", ["", "null", "{}", '{"resource": 1, "tags": 2, "digests": 3}', "[" * 5000])
def test_a_memory_that_somebody_changed_is_no_obstacle(
    stack: Stack, registry: Registry, plane: ControlPlane, text: str
) -> None:
    registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    plane.parameters[NAME] = text

    assert stack.deploy(promote("stable", "latest", "2")).succeeded


@pytest.mark.parametrize("pattern", ["1.4.2", "1.*", "?.4.2", "*"])
def test_an_immutable_tag_does_not_move(stack: Stack, registry: Registry, pattern: str) -> None:
    first, second = registry.push("first"), registry.push("second")
    rules = {"ImmutableTags": [pattern]}
    stack.deploy(declare(first, "1.4.2", **rules))
    before = registry.tags()
    registry.sandbox.requests.clear()

    answer = stack.cloudformation.update(
        stack.physical_id, declare(second, "latest", "1.4.2", **rules), declare(first, "1.4.2", **rules)
    )

    assert answer.reason.startswith(
        f"RULE_VIOLATION: tag '1.4.2' is immutable: it points to {first.digest}, and may not move to {second.digest}"
    )
    assert registry.tags() == before
    assert registry.sandbox.requests.count("PutImage") == 0


def test_a_tag_of_somebody_else_is_immutable_too(stack: Stack, registry: Registry) -> None:
    theirs, ours = registry.push("theirs", "1.0"), registry.push("ours")

    answer = stack.deploy(declare(ours, "1.0", ImmutableTags=["1.*"]))

    assert not answer.succeeded
    assert registry.tags() == {"1.0": theirs.digest}


def test_immutable_tags_are_put_first(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.requests.clear()

    stack.deploy(declare(image, "latest", "1.4", "1.4.2", ImmutableTags=["1.4.?"]))

    puts = [call.reference for call in registry.sandbox.requests.all("PutImage")]
    assert puts == ["1.4.2", "latest", "1.4"]


def test_a_rollback_may_move_an_immutable_tag_back(stack: Stack, registry: Registry) -> None:
    """The release that fails no longer said that the tag is immutable."""
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1.0", ImmutableTags=["1.*"]))
    tried = declare(second, "1.0")
    old = declare(first, "1.0", ImmutableTags=["1.*"])
    assert stack.cloudformation.update(stack.physical_id, tried, old).succeeded

    stack.roll_back(tried)

    assert registry.tags() == {"1.0": first.digest}


def test_going_forward_it_may_not(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1.0"))

    answer = stack.cloudformation.update(
        stack.physical_id, declare(second, "1.0", ImmutableTags=["1.*"]), declare(first, "1.0")
    )

    assert not answer.succeeded
    assert registry.tags() == {"1.0": first.digest}


def test_an_immutable_tag_is_named_also_when_nobody_may_ask_for_the_stack(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1.0"))
    plane.denied.add("DescribeStacks")

    answer = stack.cloudformation.update(
        stack.physical_id, declare(second, "1.0", ImmutableTags=["1.*"]), declare(first, "1.0")
    )

    assert answer.reason.startswith("RULE_VIOLATION: tag '1.0' is immutable")


def test_a_parameter_that_cannot_be_deleted_does_not_hold_the_stack_up(
    stack: Stack, registry: Registry, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    plane.denied.add("DeleteParameter")

    assert stack.destroy().succeeded
    assert f"the parameter {NAME} stays: ACCESS_DENIED" in capsys.readouterr().out


def test_what_is_remembered_already_is_not_written_again(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    registry.push("first", "stable")
    event = stack.cloudformation.event("Create", promote("stable", "latest"))
    stack.cloudformation.send(event)
    plane.requests.clear()

    stack.cloudformation.send(event)

    assert plane.requests == ["GetParameter"]
