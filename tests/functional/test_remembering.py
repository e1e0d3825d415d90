"""Immutable tags, and rollbacks that restore an image although its source has moved."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler.oci import Digest
from lambda_handler.resources.record import RECORD_MAX_BYTES, Record
from tests.protocol.cloudformation import STACK_ID
from tests.protocol.conftest import Lambda, Registry, declare
from tests.support.control_plane import ControlPlane
from tests.support.pushed import push_image
from tests.support.stack import Stack

NAME = "/cdk-ecrpublic/acme/agent/Agent.Release"
"""As the CDK names it; version 0.1 kept its record there."""

RECORDS = "/cdk-ecrpublic/state/123456789012/acme--agent"
MOVING = f"{RECORDS}/moving/eu-west-1.Agent.Release"


def promote(tag: str, *tags: str, **more: Any) -> dict[str, Any]:
    """Declare the image that another tag points to."""
    source = {"Source": {"Tag": tag}}
    return {"RepositoryName": "acme/agent", "ImageTags": list(tags), **source, "StateParameterName": NAME, **more}


def test_a_rollback_restores_the_image_that_a_moved_tag_was_resolved_to(stack: Stack, registry: Registry) -> None:
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


def test_a_new_deployment_resolves_a_tag_again(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    second = registry.push("second", "stable")

    stack.deploy(promote("stable", "latest", Refresh="1"))
    assert registry.tags()["latest"] == second.digest

    third = registry.push("third", "stable")
    stack.deploy(promote("stable", "latest"))
    assert registry.tags()["latest"] == third.digest
    # Each update asks once whether it is a rollback.
    assert plane.requests.count("DescribeStacks") == 2


def test_the_rollback_of_a_rollback_restores_too(stack: Stack, registry: Registry) -> None:
    first = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    for number in range(3):
        registry.push(f"moved {number}", "stable")
        tried = promote("stable", "latest", Refresh=str(number))
        assert stack.cloudformation.update(stack.physical_id, tried, promote("stable", "latest")).succeeded
        stack.roll_back(tried)

        assert registry.tags()["latest"] == first.digest


def test_a_mutable_source_is_always_recorded(stack: Stack, registry: Registry) -> None:
    first = registry.push("first", "stable")
    old = promote("stable", "latest")
    del old["StateParameterName"]
    stack.deploy(old)
    registry.push("second", "stable")
    tried = {**old, "Refresh": "1"}
    stack.cloudformation.update(stack.physical_id, tried, old)

    stack.roll_back(tried)

    assert registry.tags()["latest"] == first.digest


def test_the_record_is_written_before_anything_else(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    registry.push("first", "stable")
    registry.sandbox.requests.clear()
    puts: list[int] = []
    plane.hooks.after("PutParameter", lambda: puts.append(registry.sandbox.requests.count("PutImage")))

    assert stack.deploy(promote("stable", "latest")).succeeded

    assert puts == [0]


def test_publishes_nothing_if_the_record_cannot_be_written(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    registry.push("first", "stable")
    plane.busy["PutParameter"] = 5000
    registry.sandbox.requests.clear()

    answer = stack.deploy(promote("stable", "latest"))

    assert answer.reason.startswith("THROTTLED: ssm:PutParameter failed: ThrottlingException")
    assert registry.sandbox.requests.count("PutImage") == 0


@pytest.mark.parametrize("operation", ["PutParameter", "GetParameter"])
def test_publishes_with_a_warning_if_the_role_may_not_write_records(
    stack: Stack, registry: Registry, plane: ControlPlane, operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The roles of functions of version 0.1 that were set up by hand do not have this permission."""
    image = registry.push("first", "stable")
    before = registry.push("before", "latest")
    plane.denied.add(operation)

    assert stack.deploy(promote("stable", "latest")).succeeded

    assert registry.tags()["latest"] == image.digest
    said = capsys.readouterr().out
    assert "no record was written for a rollback or a removal; a rollback will leave latest at" in said
    assert f"ACCESS_DENIED: ssm:{operation} failed: AccessDeniedException" in said
    assert f"allow ssm:{operation} in the role of the handler function" in said
    assert before.digest != image.digest


def test_a_declaration_that_no_longer_needs_a_record_keeps_it_for_a_rollback(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    first = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    registry.push("second", "stable")
    tried = declare(first, "latest")
    assert stack.cloudformation.update(stack.physical_id, tried, promote("stable", "latest")).succeeded

    record = Record.parse(plane.parameters[MOVING])
    assert (record.stack, record.tags, record.latest) == (STACK_ID, ("latest",), Digest(first.digest))
    stack.roll_back(tried)

    assert registry.tags()["latest"] == first.digest
    assert list(plane.parameters) == [MOVING]
    assert Record.parse(plane.parameters[MOVING]).tags == ("latest",)


def test_the_record_is_deleted_with_the_resource(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    image = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    assert {region: list(names) for region, names in plane.regions.items() if names} == {"us-east-1": [MOVING]}

    stack.destroy()

    assert plane.parameters == {}
    assert registry.tags() == {"latest": image.digest, "stable": image.digest}


def test_the_record_does_not_grow_with_the_number_of_deployments(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    registry.push("first", "stable")
    lengths = []
    for number in range(100, 130):
        assert stack.deploy(promote("stable", "latest", Refresh=str(number))).succeeded
        lengths.append(len(plane.parameters[MOVING]))

    assert max(lengths) < RECORD_MAX_BYTES / 2
    assert max(lengths[20:]) <= max(lengths[:20])


MANY = [f"a-rather-long-tag-{number}" for number in range(200)]


def test_publishes_more_tags_than_fit_into_a_record(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """Then all tags of the image count as declared."""
    image = registry.push("first", "stable")

    assert stack.deploy(promote("stable", *MANY)).succeeded

    assert registry.tags() == dict.fromkeys(["stable", *MANY], image.digest)
    assert Record.parse(plane.parameters[MOVING]).tags is None


@pytest.mark.parametrize("is_update", [False, True])
def test_refuses_more_tags_to_give_back_than_fit_into_a_record(
    stack: Stack, registry: Registry, *, is_update: bool
) -> None:
    registry.push("before", *MANY)
    image = registry.push("first")
    if is_update:
        assert stack.deploy(declare(image, "1")).succeeded
    before = registry.tags()
    registry.sandbox.requests.clear()

    answer = stack.deploy(declare(image, "1", *MANY))

    assert answer.reason.startswith("INVALID_PROPERTIES: ImageTags: takes over 200 tags that point to other images, ")
    assert answer.reason.endswith("in another PublicImage, or take them over in several deployments")
    assert registry.tags() == before
    puts = {call.reference for call in registry.sandbox.requests.all("PutImage")}
    assert puts.isdisjoint(MANY)


BROKEN = ["", "null", "{}", '{"resource": 1, "tags": 2, "digests": 3}', '{"version": 2}', "[" * 5000]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:20] or "nothing")
@pytest.mark.parametrize("name", [NAME, MOVING], ids=["of version 0.1", "of this version"])
def test_an_edited_record_does_not_block_a_deployment(
    stack: Stack, registry: Registry, plane: ControlPlane, name: str, text: str
) -> None:
    image = registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    plane.parameters = {name: text}

    assert stack.deploy(promote("stable", "latest", "2")).succeeded

    assert registry.tags() == dict.fromkeys(["stable", "latest", "2"], image.digest)


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:20] or "nothing")
def test_a_rollback_without_its_record_writes_nothing_and_gives_a_remedy(
    stack: Stack, registry: Registry, plane: ControlPlane, text: str
) -> None:
    registry.push("first", "stable")
    old = promote("stable", "latest")
    stack.deploy(old)
    registry.push("second", "stable")
    tried = promote("stable", "latest", Refresh="1")
    assert stack.cloudformation.update(stack.physical_id, tried, old).succeeded
    plane.parameters = {MOVING: text}
    before = registry.tags()

    with plane.rolling_back():
        answer = stack.cloudformation.roll_back(stack.physical_id, tried, old)

    assert answer.reason.startswith("NOT_FOUND: this is a rollback, and the image that the source was resolved to at ")
    assert "nothing was written. Hint: continue the rollback without this resource" in answer.reason
    assert registry.tags() == before


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
        f"RULE_VIOLATION: tag '1.4.2' is immutable: it points to {first.digest} and must not move to {second.digest}"
    )
    assert registry.tags() == before
    assert registry.sandbox.requests.count("PutImage") == 0


def test_an_immutable_tag_of_another_owner_does_not_move(stack: Stack, registry: Registry) -> None:
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
    """The failed release no longer declared the tag as immutable."""
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1.0", ImmutableTags=["1.*"]))
    tried = declare(second, "1.0")
    old = declare(first, "1.0", ImmutableTags=["1.*"])
    assert stack.cloudformation.update(stack.physical_id, tried, old).succeeded

    stack.roll_back(tried)

    assert registry.tags() == {"1.0": first.digest}


def test_a_new_deployment_may_not_move_an_immutable_tag_back(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1.0"))

    answer = stack.cloudformation.update(
        stack.physical_id, declare(second, "1.0", ImmutableTags=["1.*"]), declare(first, "1.0")
    )

    assert not answer.succeeded
    assert registry.tags() == {"1.0": first.digest}


def test_reports_an_immutable_tag_even_without_access_to_the_stack(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1.0"))
    plane.denied.add("DescribeStacks")

    answer = stack.cloudformation.update(
        stack.physical_id, declare(second, "1.0", ImmutableTags=["1.*"]), declare(first, "1.0")
    )

    assert answer.reason.startswith("RULE_VIOLATION: tag '1.0' is immutable")


def test_a_parameter_that_cannot_be_deleted_does_not_block_the_stack(
    stack: Stack, registry: Registry, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.push("first", "stable")
    stack.deploy(promote("stable", "latest"))
    plane.denied.add("DeleteParameter")

    assert stack.destroy().succeeded
    assert "a record of the resource stays: ACCESS_DENIED: ssm:DeleteParameter failed" in capsys.readouterr().out


def test_a_repeated_request_gets_the_same_response_without_any_calls(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    """Lambda repeats a request if its response was accepted but the confirmation was lost."""
    registry.push("first", "stable")
    event = stack.cloudformation.event("Create", promote("stable", "latest"))
    answer = stack.cloudformation.send(event)
    registry.push("second", "stable")
    plane.requests.clear()
    registry.sandbox.requests.clear()

    assert stack.cloudformation.send(event) == answer

    assert plane.requests == []
    assert registry.sandbox.requests.all() == []


def test_an_unchanged_record_is_not_written_again(
    stack: Stack, function: Lambda, registry: Registry, plane: ControlPlane
) -> None:
    """A new function does not know the responses of earlier ones."""
    image = registry.push("first", "stable")
    event = stack.cloudformation.event("Create", promote("stable", "latest"))
    stack.cloudformation.send(event)
    plane.requests.clear()

    with closing(Lambda(clock=function.clock)) as another:
        another(event, 900)

    assert stack.cloudformation.answer_to(event).succeeded
    assert plane.requests == ["GetParameter"]
    assert registry.tags() == dict.fromkeys(["stable", "latest"], image.digest)
