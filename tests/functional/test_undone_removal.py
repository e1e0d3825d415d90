"""A rollback removes what its deployment added, and nothing that existed before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Settings
from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.resources.record import Record
from tests.protocol.conftest import Registry, declare
from tests.support.control_plane import ControlPlane
from tests.support.pushed import push_image
from tests.support.stack import Stack

from .test_removal import DELETE, UNTAG, images, whole


def copy(registry: Registry, name: str) -> tuple[Image, dict[str, Any]]:
    """Return an image that is only in another repository, and the source for copying it."""
    image = build_image({"etc/name": name.encode()}, platforms=("linux/amd64", "linux/arm64"))
    client = registry.sandbox.client("ecr-public")
    client.create_repository(repositoryName="acme/other")
    push_image(registry.sandbox, "acme/other", image)
    uri = client.describe_repositories(repositoryNames=["acme/other"])["repositories"][0]["repositoryUri"]
    return image, {"Source": {"Image": {"Reference": f"{uri}@{image.digest}"}}}


def create_and_undo(
    stack: Stack, plane: ControlPlane, properties: dict[str, Any], status: str = "ROLLBACK_IN_PROGRESS"
) -> None:
    """Create the resource; another one of the stack fails."""
    assert stack.deploy(properties).succeeded
    plane.status = status
    assert stack.destroy().succeeded
    assert plane.parameters == {}


def test_removes_what_a_create_added(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    image, source = copy(registry, "new")

    create_and_undo(stack, plane, {**declare(image, "1", **DELETE), **source})

    assert registry.tags() == {}
    assert images(registry) == set()


@pytest.mark.parametrize(
    "status", ["ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"]
)
def test_keeps_a_tag_that_already_pointed_to_the_image(
    stack: Stack, registry: Registry, plane: ControlPlane, status: str
) -> None:
    image = registry.push("first", "1")

    create_and_undo(stack, plane, declare(image, "1", "2", **DELETE), status)

    assert registry.tags() == {"1": image.digest}
    assert images(registry) == whole(image)


@pytest.mark.parametrize("parts", [(), ("linux/arm/v7", "linux/s390x")], ids=["by its digest", "in an index"])
def test_keeps_images_that_were_pushed_a_moment_before(
    stack: Stack, registry: Registry, plane: ControlPlane, parts: tuple[str, ...]
) -> None:
    """DescribeImages does not show them yet, but they were read from the repository, so they existed."""
    pushed = [registry.push("first")]
    pushed += [build_image({"etc/name": name.encode()}, platforms=(name,)) for name in parts]
    for image in pushed[1:]:
        push_image(registry.sandbox, "acme/agent", image)
    sources = [{"Source": {"Digest": image.digest}} for image in pushed]
    source = {"Index": {"Manifests": sources}} if parts else sources[0]["Source"]
    before = images(registry)
    registry.sandbox.settings = Settings(read_lag_describe_seconds=3600)

    assert stack.deploy({**declare("", "1", **DELETE), "Source": source}).succeeded
    registry.sandbox.settings = Settings()
    plane.status = "ROLLBACK_IN_PROGRESS"
    assert stack.destroy().succeeded

    assert images(registry) == before
    assert registry.tags() == {}


def test_gives_back_a_tag_that_a_create_took_over(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    before = registry.push("by hand", "latest")
    image, source = copy(registry, "new")

    create_and_undo(stack, plane, {**declare(image, "latest", "1", **DELETE), **source})

    assert registry.tags() == {"latest": before.digest}
    assert images(registry) == whole(before)


def test_keeps_an_untagged_image_without_a_tag(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """It is removed with its last tag, and put again."""
    image = registry.push("first")

    create_and_undo(stack, plane, declare(image, "1", "2", **DELETE))

    assert images(registry) == whole(image)
    assert registry.tags() == {}


def test_keeps_children_that_existed_before(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """A build pushes one image for each platform; the next deployment needs them again."""
    children = registry.push("first").children
    parts = [{"Source": {"Digest": child.digest}} for child in children]
    index = {"Index": {"Manifests": parts, "Annotations": {"index": "another"}}}
    before = images(registry)

    create_and_undo(stack, plane, {**declare("", "1", **DELETE), "Source": index})

    assert registry.tags() == {}
    assert images(registry) == before


def test_gives_back_a_tag_that_an_update_took_over(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    by_hand = registry.push("by hand", "latest")
    stack.deploy(declare(first, "1", **UNTAG))
    tried = declare(second, "1", "latest", "2", **UNTAG)
    assert stack.cloudformation.update(stack.physical_id, tried, declare(first, "1", **UNTAG)).succeeded

    stack.roll_back(tried)
    stack.roll_back(tried)

    assert registry.tags()["latest"] == by_hand.digest
    assert registry.tags()["1"] == first.digest


def test_after_a_success_a_dropped_tag_is_not_given_back(stack: Stack, registry: Registry) -> None:
    """Only a rollback restores the previous state; dropping a tag is a decision."""
    image = registry.push("first", "1", "2")
    stack.deploy(declare(image, "1", "2", **UNTAG))

    assert stack.deploy(declare(image, "1", **UNTAG)).succeeded

    assert registry.tags() == {"1": image.digest}


def test_removes_nothing_if_the_previous_state_is_unknown(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    """Version 0.1 left such a record if it stopped before it had read the repository."""
    image, source = copy(registry, "new")
    stack.deploy({**declare(image, "1", **DELETE), **source})
    name, text = next(iter(plane.parameters.items()))
    plane.parameters[name] = replace(Record.parse(text), found=None).text()

    with plane.rolling_back():
        assert stack.destroy().succeeded

    assert registry.tags() == {"1": image.digest}


@pytest.mark.parametrize("number", [30, 120])
def test_gives_back_as_many_tags_as_fit_into_a_record(
    stack: Stack, registry: Registry, plane: ControlPlane, number: int
) -> None:
    tags = [f"a-rather-long-tag-{place}" for place in range(number)]
    image = registry.push("first", *tags)

    create_and_undo(stack, plane, declare(image, *tags, "new", **DELETE))

    assert registry.tags() == dict.fromkeys(sorted(tags), image.digest)
    assert images(registry) == whole(image)


def test_removes_the_new_ones_of_many_tags(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """More tags are declared than fit into a record, so all tags of the image count as declared."""
    tags = [f"a-rather-long-tag-{number}" for number in range(250)]
    image = registry.push("first", *tags[:15])

    create_and_undo(stack, plane, declare(image, *tags, **DELETE))

    assert set(registry.tags()) == set(tags[:15])


def test_keeps_all_children_if_they_do_not_fit_into_a_record(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    """We do not know which of them existed before, so all stay, with the index, but without its new tags."""
    built = build_image({"etc/name": b"first"}, platforms=[f"linux/arm/v{number}" for number in range(60)])
    push_image(registry.sandbox, "acme/agent", built)
    parts = [{"Source": {"Digest": child.digest}} for child in built.children]
    index = {"Index": {"Manifests": parts, "Annotations": {"index": "another"}}}

    create_and_undo(stack, plane, {**declare("", "1", "2", **DELETE), "Source": index})

    assert registry.tags() == {}
    assert {child.digest for child in built.children} <= images(registry)


@pytest.mark.parametrize("same_image", [True, False])
def test_ignores_a_parameter_that_outlived_its_resource(
    stack: Stack, registry: Registry, plane: ControlPlane, *, same_image: bool
) -> None:
    """It could not be deleted. Since then the tag was pushed by hand, and the resource is created again."""
    image, source = copy(registry, "new")
    properties = {**declare(image, "1", **DELETE), **source}
    stack.deploy(properties)
    plane.busy["DeleteParameter"] = 5000
    assert stack.destroy().succeeded
    plane.busy.clear()
    assert plane.parameters
    by_hand = image if same_image else build_image({"etc/name": b"by hand"})
    push_image(registry.sandbox, "acme/agent", by_hand, ["1"])

    create_and_undo(stack, plane, properties)

    assert registry.tags() == {"1": by_hand.digest}


def test_a_duplicate_request_counts_what_the_first_one_put_as_new(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    """Lambda delivers at least once. What the first delivery has put did not exist before the request."""
    image, source = copy(registry, "new")
    cloudformation = stack.cloudformation
    properties = {**declare(image, "1", **DELETE), **source}
    create = cloudformation.event("Create", properties)
    for _ in range(2):
        cloudformation.function(create, cloudformation.remaining_seconds)
    answer = cloudformation.answer_to(create, answers=2)

    with plane.rolling_back():
        assert cloudformation.delete(answer.physical_id, properties).succeeded

    assert registry.tags() == {}
    assert images(registry) == set()
