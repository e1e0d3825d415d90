"""A rollback removes what its deployment brought, and nothing that was there before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from lambda_handler.resources.record import Record
from tests.protocol.conftest import Registry, declare
from tests.support.control_plane import ControlPlane
from tests.support.stack import Stack

from .test_removal import DELETE, UNTAG, images, whole


def copy(registry: Registry, name: str) -> tuple[Image, dict[str, Any]]:
    """Return an image that is in another repository only, and the source to copy it with."""
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


def test_what_a_create_brought_goes(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    image, source = copy(registry, "new")

    create_and_undo(stack, plane, {**declare(image, "1", **DELETE), **source})

    assert registry.tags() == {}
    assert images(registry) == set()


@pytest.mark.parametrize(
    "status", ["ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"]
)
def test_a_tag_that_pointed_there_already_stays(
    stack: Stack, registry: Registry, plane: ControlPlane, status: str
) -> None:
    image = registry.push("first", "1")

    create_and_undo(stack, plane, declare(image, "1", "2", **DELETE), status)

    assert registry.tags() == {"1": image.digest}
    assert images(registry) == whole(image)


@pytest.mark.parametrize("parts", [(), ("linux/arm/v7", "linux/s390x")], ids=["by its digest", "in an index"])
def test_images_that_were_pushed_a_moment_ago_stay(
    stack: Stack, registry: Registry, plane: ControlPlane, parts: tuple[str, ...]
) -> None:
    """DescribeImages does not show them yet; that they were read from the repository says that they were there."""
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


def test_a_tag_that_a_create_took_over_goes_back(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    before = registry.push("by hand", "latest")
    image, source = copy(registry, "new")

    create_and_undo(stack, plane, {**declare(image, "latest", "1", **DELETE), **source})

    assert registry.tags() == {"latest": before.digest}
    assert images(registry) == whole(before)


def test_an_image_that_had_no_tag_stays_without_one(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """It goes with the last tag, and is put again."""
    image = registry.push("first")

    create_and_undo(stack, plane, declare(image, "1", "2", **DELETE))

    assert images(registry) == whole(image)
    assert registry.tags() == {}


def test_children_that_were_there_stay(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """A build pushes one image for each platform; the next deployment needs them again."""
    children = registry.push("first").children
    parts = [{"Source": {"Digest": child.digest}} for child in children]
    index = {"Index": {"Manifests": parts, "Annotations": {"index": "another"}}}
    before = images(registry)

    create_and_undo(stack, plane, {**declare("", "1", **DELETE), "Source": index})

    assert registry.tags() == {}
    assert images(registry) == before


def test_a_tag_that_an_update_took_over_goes_back(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    by_hand = registry.push("by hand", "latest")
    stack.deploy(declare(first, "1", **UNTAG))
    tried = declare(second, "1", "latest", "2", **UNTAG)
    assert stack.cloudformation.update(stack.physical_id, tried, declare(first, "1", **UNTAG)).succeeded

    stack.roll_back(tried)
    stack.roll_back(tried)

    assert registry.tags()["latest"] == by_hand.digest
    assert registry.tags()["1"] == first.digest


def test_the_next_deployment_takes_it_for_its_own(stack: Stack, registry: Registry) -> None:
    """Only a rollback cares for what was there before; a person who drops a tag means it."""
    image = registry.push("first", "1", "2")
    stack.deploy(declare(image, "1", "2", **UNTAG))

    assert stack.deploy(declare(image, "1", **UNTAG)).succeeded

    assert registry.tags() == {"1": image.digest}


def test_where_it_is_not_known_what_was_there_nothing_goes(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    """Version 0.1 wrote such a record when it died before it had looked."""
    image, source = copy(registry, "new")
    stack.deploy({**declare(image, "1", **DELETE), **source})
    name, text = next(iter(plane.parameters.items()))
    plane.parameters[name] = replace(Record.parse(text), found=None).text()

    with plane.rolling_back():
        assert stack.destroy().succeeded

    assert registry.tags() == {"1": image.digest}


@pytest.mark.parametrize("number", [30, 120])
def test_as_many_tags_as_a_record_holds_stay_where_they_were(
    stack: Stack, registry: Registry, plane: ControlPlane, number: int
) -> None:
    tags = [f"a-rather-long-tag-{place}" for place in range(number)]
    image = registry.push("first", *tags)

    create_and_undo(stack, plane, declare(image, *tags, "new", **DELETE))

    assert registry.tags() == dict.fromkeys(sorted(tags), image.digest)
    assert images(registry) == whole(image)


def test_of_many_tags_those_that_are_new_go(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """More than a record holds are declared: all tags of the image count as declared then."""
    tags = [f"a-rather-long-tag-{number}" for number in range(250)]
    image = registry.push("first", *tags[:15])

    create_and_undo(stack, plane, declare(image, *tags, **DELETE))

    assert set(registry.tags()) == set(tags[:15])


def test_more_children_than_a_record_holds_stay(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """Which of them were there is not known then: all stay, and the index with them, without the tags that came."""
    built = build_image({"etc/name": b"first"}, platforms=[f"linux/arm/v{number}" for number in range(60)])
    push_image(registry.sandbox, "acme/agent", built)
    parts = [{"Source": {"Digest": child.digest}} for child in built.children]
    index = {"Index": {"Manifests": parts, "Annotations": {"index": "another"}}}

    create_and_undo(stack, plane, {**declare("", "1", "2", **DELETE), "Source": index})

    assert registry.tags() == {}
    assert {child.digest for child in built.children} <= images(registry)


@pytest.mark.parametrize("same_image", [True, False])
def test_a_parameter_that_outlived_its_resource_tells_nothing(
    stack: Stack, registry: Registry, plane: ControlPlane, *, same_image: bool
) -> None:
    """It could not be deleted. Since then, a person has pushed the tag, and the resource is created again."""
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


def test_a_request_that_comes_twice_made_what_it_finds(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """Lambda delivers at least once: the second time, what the first has put is not what was there before."""
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
