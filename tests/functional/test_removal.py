"""Tags and images are removed only on request, and only if the declaration put them there."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image, build_image
from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import Registry, declare
from tests.support.control_plane import ControlPlane
from tests.support.pushed import push_image
from tests.support.stack import Stack

UNTAG: dict[str, Any] = {"OnTagRemoved": "Untag", "StateParameterName": "/cdk-ecrpublic/acme/agent/Agent.Release"}
DELETE: dict[str, Any] = {"OnDelete": "Delete", "StateParameterName": "/cdk-ecrpublic/acme/agent/Agent.Release"}


def images(registry: Registry) -> set[str]:
    answer = registry.sandbox.client("ecr-public").describe_images(repositoryName="acme/agent")
    return {each["imageDigest"] for each in answer["imageDetails"]}


def whole(image: Image) -> set[str]:
    return {image.digest, *(child.digest for child in image.children)}


def other(stack: Stack, name: str = "Other") -> Stack:
    """Return another resource of the same stack."""
    return Stack(stack.cloudformation, name, stack.plane)


def record_of(image: Image, name: str = "Release", repository: str = "acme--agent") -> str:
    """Name the parameter of a declaration of *image*."""
    digest = image.digest.removeprefix("sha256:")
    return f"/cdk-ecrpublic/state/123456789012/{repository}/{digest}/eu-west-1.Agent.{name}"


def named(properties: dict[str, Any], name: str) -> dict[str, Any]:
    return {**properties, "StateParameterName": f"/cdk-ecrpublic/acme/agent/Agent.{name}"}


@pytest.mark.parametrize("tags", [(), ("kept",)], ids=["by its digest", "by a tag"])
def test_keeps_what_another_resource_without_removal_still_declares(
    stack: Stack, registry: Registry, plane: ControlPlane, tags: tuple[str, ...]
) -> None:
    """If nothing is removed from a repository any more, its images are declared without a parameter name."""
    image, neighbour = registry.push("first"), other(stack, "Neighbour")
    stack.deploy(declare(image, "preview", **DELETE))
    neighbour.deploy(declare(image, *tags, **named({**DELETE, "OnDelete": "Keep"}, "Neighbour")))

    assert neighbour.deploy(declare(image, *tags)).succeeded
    assert stack.destroy().succeeded

    assert images(registry) == whole(image)
    assert registry.tags() == dict.fromkeys(tags, image.digest)
    assert list(plane.parameters) == [record_of(image, "Neighbour")]


@pytest.mark.parametrize("properties", [UNTAG, {"OnTagRemoved": "Untag"}], ids=["with a record", "without a record"])
def test_removes_a_tag_that_is_no_longer_declared(stack: Stack, registry: Registry, properties: dict[str, Any]) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", "3", **properties))

    assert stack.deploy(declare(image, "1", **properties)).succeeded

    assert registry.tags() == {"1": image.digest}


def test_keeps_a_dropped_tag_by_default(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2"))

    stack.deploy(declare(image, "1"))

    assert registry.tags() == {"1": image.digest, "2": image.digest}
    assert registry.sandbox.requests.count("BatchDeleteImage") == 0


def test_keeps_a_tag_that_was_moved_by_hand(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", **UNTAG))
    moved = registry.push("by hand", "2")

    answer = stack.deploy(declare(image, "1", **UNTAG))

    assert registry.tags() == {"1": image.digest, "2": moved.digest}
    assert answer.data["KeptTags"] == "2"


def test_keeps_and_reports_the_last_tag_of_an_image(
    stack: Stack, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1", "old", "older", **UNTAG))

    answer = stack.deploy(declare(second, "1", **UNTAG))

    assert registry.tags() == {"1": second.digest, "old": first.digest}
    assert answer.data["KeptTags"] == "old"
    assert "tag old stays: it is the last tag of its image" in capsys.readouterr().out


def test_keeps_an_immutable_tag(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    rules = {**UNTAG, "ImmutableTags": ["1.*"]}
    stack.deploy(declare(image, "1.0", "latest", **rules))

    answer = stack.deploy(declare(image, "latest", **rules))

    assert registry.tags() == {"1.0": image.digest, "latest": image.digest}
    assert answer.data["KeptTags"] == "1.0"


def test_accepts_that_a_tag_is_already_gone(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", **UNTAG))
    registry.sandbox.client("ecr-public").batch_delete_image(repositoryName="acme/agent", imageIds=[{"imageTag": "2"}])

    assert stack.deploy(declare(image, "1", **UNTAG)).succeeded


def test_the_rollback_of_a_failed_release_removes_its_new_tags(stack: Stack, registry: Registry) -> None:
    """The rollback is an Update that drops them."""
    first, second = registry.push("first"), registry.push("second", "kept")
    stack.deploy(declare(first, "latest", **UNTAG))
    tried = declare(second, "latest", "2.0", **UNTAG)
    answer = stack.cloudformation.update(stack.physical_id, tried, declare(first, "latest", **UNTAG))
    assert answer.succeeded

    stack.roll_back(tried)

    assert registry.tags() == {"kept": second.digest, "latest": first.digest}


IN_ANY_ORDER = pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["in order", "reversed"])


@IN_ANY_ORDER
@pytest.mark.parametrize("name", ["first", "second"], ids=["same image", "another image"])
def test_keeps_a_tag_that_moves_to_another_resource(stack: Stack, registry: Registry, order: slice, name: str) -> None:
    """CloudFormation may update the two resources in either order."""
    first, second = registry.push("first"), registry.push(name)
    neighbour = other(stack)
    stack.deploy(declare(first, "a", "b", **UNTAG))
    neighbour.deploy(named(declare(second, "c", **UNTAG), "Other"))
    changes = [
        (stack, declare(first, "a", **UNTAG)),
        (neighbour, named(declare(second, "b", "c", **UNTAG), "Other")),
    ]

    for resource, properties in changes[order]:
        assert resource.deploy(properties).succeeded

    assert registry.tags() == {"a": first.digest, "b": second.digest, "c": second.digest}


@IN_ANY_ORDER
def test_two_resources_swap_tags(stack: Stack, registry: Registry, order: slice) -> None:
    first, second = registry.push("first"), registry.push("second")
    neighbour = other(stack)
    stack.deploy(declare(first, "x", "1", **UNTAG))
    neighbour.deploy(named(declare(second, "y", "2", **UNTAG), "Other"))
    changes = [
        (stack, declare(first, "y", "1", **UNTAG)),
        (neighbour, named(declare(second, "x", "2", **UNTAG), "Other")),
    ]

    for resource, properties in changes[order]:
        assert resource.deploy(properties).succeeded

    assert registry.tags() == {"x": second.digest, "y": first.digest, "1": first.digest, "2": second.digest}


@pytest.mark.parametrize("name", ["first", "second"], ids=["same image", "another image"])
def test_puts_back_a_tag_that_another_resource_takes_during_its_removal(
    stack: Stack, registry: Registry, plane: ControlPlane, name: str
) -> None:
    """CloudFormation updates both at the same time. The record of the owner appears just after the read."""
    first, second = registry.push("first"), registry.push(name)
    neighbour = other(stack)
    stack.deploy(declare(first, "a", "b", **UNTAG))
    neighbour.deploy(named(declare(second, "c", **UNTAG), "Other"))
    taken = named(declare(second, "b", "c", **UNTAG), "Other")
    hook = plane.hooks.after("GetParametersByPath", lambda: neighbour.deploy(taken))

    assert stack.deploy(declare(first, "a", **UNTAG)).succeeded

    assert hook.ran
    assert neighbour.declared == taken
    assert registry.tags() == {"a": first.digest, "b": second.digest, "c": second.digest}


@pytest.mark.parametrize("properties", [DELETE, {"OnDelete": "Delete"}], ids=["with a record", "without a record"])
def test_delete_removes_tags_index_and_children(
    stack: Stack, registry: Registry, properties: dict[str, Any], plane: ControlPlane
) -> None:
    bystander = registry.push("bystander", "other")
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", **properties))

    assert stack.destroy().succeeded

    assert registry.tags() == {"other": bystander.digest}
    assert images(registry) == whole(bystander)
    assert plane.parameters == {}


def test_delete_removes_an_image_without_tags(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, **DELETE))

    stack.destroy()

    assert images(registry) == set()


def test_delete_keeps_an_image_that_has_another_tag(stack: Stack, registry: Registry) -> None:
    image = registry.push("first", "build-77")
    stack.deploy(declare(image, "1", **DELETE))

    stack.destroy()

    assert registry.tags() == {"build-77": image.digest}
    assert images(registry) == whole(image)


def test_delete_keeps_children_that_are_in_use(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    push_image(registry.sandbox, "acme/agent", image.children[0], ["amd64"])
    stack.deploy(declare(image, "1", **DELETE))

    stack.destroy()

    assert registry.tags() == {"amd64": image.children[0].digest}
    assert images(registry) == {image.children[0].digest}


def test_delete_keeps_children_of_another_index(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    child = build_image({"etc/name": b"first"}, platforms=("linux/amd64",))
    assert child.digest == image.children[0].digest
    index = {
        "Index": {
            "Manifests": [{"Source": {"Digest": child.digest}}],
            "Annotations": {"another": "index"},
        }
    }
    stack.deploy(declare(image, "1", **DELETE))
    neighbour = other(stack)
    assert neighbour.deploy({"RepositoryName": "acme/agent", "ImageTags": ["2"], "Source": index}).succeeded

    stack.destroy()

    assert set(registry.tags()) == {"2"}
    assert child.digest in images(registry)
    assert image.children[1].digest not in images(registry)


def test_delete_keeps_a_child_whose_index_exists(stack: Stack, registry: Registry) -> None:
    image = registry.push("first", "whole")
    stack.deploy(declare(image.children[0].digest, "amd64", **DELETE))

    assert stack.destroy().succeeded

    assert images(registry) == whole(image)


def test_delete_keeps_a_tag_that_was_moved_by_hand(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", **DELETE))
    moved = registry.push("by hand", "2")

    stack.destroy()

    assert registry.tags() == {"2": moved.digest}
    assert images(registry) == whole(moved)


def test_delete_of_a_missing_image_succeeds(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", **DELETE))
    client = registry.sandbox.client("ecr-public")
    client.batch_delete_image(repositoryName="acme/agent", imageIds=[{"imageTag": "1"}])

    assert stack.destroy().succeeded


def test_delete_succeeds_if_the_repository_is_gone(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", **DELETE))
    registry.sandbox.client("ecr-public").delete_repository(repositoryName="acme/agent", force=True)

    assert stack.destroy().succeeded


def test_the_delete_after_a_failed_create_changes_nothing(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    image = registry.push("first", "1")

    answer = stack.deploy(declare(image, "1", ImageDigest="sha256:" + "0" * 64, **DELETE))

    assert not answer.succeeded
    assert registry.tags() == {"1": image.digest}
    assert plane.parameters == {}


def test_a_renamed_resource_keeps_its_image(stack: Stack, registry: Registry) -> None:
    """CloudFormation creates the new resource first and deletes the old one at the end."""
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", **DELETE))
    renamed = other(stack, "Renamed")
    renamed.deploy(named(declare(image, "1", "2", **DELETE), "Renamed"))

    assert stack.destroy().succeeded

    assert registry.tags() == {"1": image.digest, "2": image.digest}
    assert images(registry) == whole(image)
    renamed.destroy()
    assert images(registry) == set()


def test_keeps_an_image_that_another_resource_declares_by_digest(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", **DELETE))
    other(stack).deploy(named(declare(image, **DELETE), "Other"))

    stack.destroy()

    assert images(registry) == whole(image)


def test_changing_the_repository_replaces_the_resource_and_leaves_nothing_behind(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    registry.sandbox.client("ecr-public").create_repository(repositoryName="acme/new")
    image = registry.push("first")
    push_image(registry.sandbox, "acme/new", image)
    stack.deploy(declare(image, "1", **DELETE))

    there = {**declare(image, "1"), "RepositoryName": "acme/new", "OnDelete": "Delete"}
    assert stack.deploy({**there, "StateParameterName": "/cdk-ecrpublic/acme/new/Agent.Release"}).succeeded

    assert images(registry) == set()
    assert list(plane.parameters) == [record_of(image, repository="acme--new")]


def test_an_undone_replacement_keeps_the_record_of_the_old_resource(
    stack: Stack, registry: Registry, plane: ControlPlane
) -> None:
    """The rollback deletes the new resource, and may send no request for the old one."""
    registry.sandbox.client("ecr-public").create_repository(repositoryName="acme/new")
    image = registry.push("first")
    push_image(registry.sandbox, "acme/new", image)
    old = declare(image, "1", **DELETE)
    stack.deploy(old)
    tried = {**old, "RepositoryName": "acme/new", "StateParameterName": "/cdk-ecrpublic/acme/new/Agent.Release"}
    replaced = stack.cloudformation.update(stack.physical_id, tried, old)
    assert stack.cloudformation.delete(replaced.physical_id, tried).succeeded
    assert list(plane.parameters) == [record_of(image)]

    renamed = other(stack, "Renamed")
    renamed.deploy(named(declare(image, "1", **DELETE), "Renamed"))
    renamed.destroy()

    assert registry.tags() == {"1": image.digest}


def test_a_record_that_cannot_be_deleted_fails_nothing(
    stack: Stack, registry: Registry, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    """All tags are put by then, and a leftover record can only prevent removals."""
    first, second, third = (registry.push(name) for name in ("first", "second", "third"))
    stack.deploy(declare(first, "1", **UNTAG))
    stack.deploy(declare(second, "1", **UNTAG))
    plane.busy["DeleteParameter"] = 5000

    assert stack.deploy(declare(third, "1", **UNTAG)).succeeded

    assert registry.tags() == {"1": third.digest}
    assert "a record of the resource stays: THROTTLED: ssm:DeleteParameter failed" in capsys.readouterr().out
    assert set(plane.parameters) == {record_of(image) for image in (first, second, third)}


def test_keeps_only_the_record_of_the_previous_release(stack: Stack, registry: Registry, plane: ControlPlane) -> None:
    """A rollback may need it."""
    images = [registry.push(str(number)) for number in range(4)]
    for image in images:
        assert stack.deploy(declare(image, "1", **UNTAG)).succeeded

    assert set(plane.parameters) == {record_of(image) for image in images[-2:]}
    assert stack.destroy().succeeded
    assert plane.parameters == {}


def test_a_denied_removal_fails_and_names_the_missing_permission(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1", "2", **UNTAG))
    registry.sandbox.faults.add(Fault(operation="BatchDeleteImage", code="AccessDeniedException", times=None))

    answer = stack.cloudformation.update(
        stack.physical_id, declare(image, "1", **UNTAG), declare(image, "1", "2", **UNTAG)
    )

    assert answer.reason.startswith("ACCESS_DENIED: ecr-public:BatchDeleteImage failed")
    assert registry.tags() == {"1": image.digest, "2": image.digest}


def test_removes_nothing_from_the_registry_of_another_account(cloudformation: CloudFormation) -> None:
    answer = cloudformation.create(declare("sha256:" + "a" * 64, "1", RegistryId="elsewhere", **DELETE))

    assert "must be Keep: in the registry 'elsewhere' of another account" in answer.reason
