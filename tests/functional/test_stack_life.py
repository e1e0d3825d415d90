"""Complete histories of a stack: the requests of CloudFormation after each response, and the resulting registry."""

from __future__ import annotations

import json
import threading

import pytest

from cdk_ecrpublic.sandbox import Fault
from lambda_handler.oci import ManifestMediaType
from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import Lambda, Registry, declare
from tests.support.stack import INVENTED_ID, Stack

NOWHERE = "sha256:" + "0" * 64
EMPTY_INDEX = json.dumps({"schemaVersion": 2, "mediaType": ManifestMediaType.OCI_INDEX, "manifests": []})


def test_release_update_and_destroy_keep_every_image(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")

    stack.deploy(declare(first, "1.4.1", "latest"))
    stack.deploy(declare(second, "1.4.2", "latest"))
    stack.destroy()

    assert stack.events == ["Create", "Update", "Delete"]
    assert registry.tags() == {"1.4.1": first.digest, "1.4.2": second.digest, "latest": second.digest}


def test_the_rollback_of_a_failed_update_restores_every_tag(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1", "latest"))
    before = registry.tags()
    registry.sandbox.faults.add(Fault(operation="PutImage", reference="latest", code="LimitExceededException"))

    answer = stack.deploy(declare(second, "1", "latest"))

    assert not answer.succeeded
    assert stack.events == ["Create", "Update", "Update"]
    assert registry.tags() == before


def test_a_successful_update_is_rolled_back_if_another_resource_fails(stack: Stack, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    old, new = declare(first, "1", "latest"), declare(second, "2", "latest")
    stack.deploy(old)
    stack.deploy(new)
    stack.declared = old

    stack.roll_back(new)

    assert registry.tags()["latest"] == first.digest


def test_a_failed_create_is_cleaned_up_and_a_second_attempt_works(stack: Stack, registry: Registry) -> None:
    assert not stack.deploy(declare(NOWHERE, "latest")).succeeded
    assert stack.events == ["Create", "Delete"]
    assert registry.tags() == {}

    image = registry.push("first")
    assert stack.deploy(declare(image, "latest")).succeeded
    assert registry.tags() == {"latest": image.digest}


def test_invalid_properties_are_rolled_back_too(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1"))

    assert not stack.deploy({"RepositoryName": "NO", "Source": {}}).succeeded

    assert registry.tags() == {"1": image.digest}


def test_a_replacement_does_not_change_the_old_repository(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.client("ecr-public").create_repository(repositoryName="acme/other")
    stack.deploy(declare(image, "1"))
    old_id = stack.physical_id

    stack.deploy({"RepositoryName": "acme/other", "Source": {"Manifest": {"Body": EMPTY_INDEX}}})

    assert stack.events == ["Create", "Update", "Delete"]
    assert stack.physical_id != old_id
    assert registry.tags() == {"1": image.digest}


def test_a_renamed_construct_keeps_its_tags(cloudformation: CloudFormation, registry: Registry) -> None:
    """The new resource is created before the old one is deleted."""
    image = registry.push("first")
    before, after = Stack(cloudformation, "Release"), Stack(cloudformation, "Renamed")
    before.deploy(declare(image, "1"))

    after.deploy(declare(image, "1"))
    before.destroy()

    assert before.physical_id != after.physical_id
    assert registry.tags() == {"1": image.digest}


def test_a_delete_with_a_made_up_id_during_the_create_changes_nothing(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="PutImage", delay_seconds=0.3))
    event = cloudformation.event("Create", declare(image, "1"))
    creating = threading.Thread(target=Lambda(), args=[event, 900.0])
    creating.start()

    assert cloudformation.delete(INVENTED_ID, declare(image, "1")).succeeded

    creating.join()
    assert cloudformation.answer_to(event).succeeded
    assert registry.tags() == {"1": image.digest}


def test_resources_of_one_repository_can_be_created_concurrently(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    images = [registry.push(f"image {number}") for number in range(6)]
    events = [
        cloudformation.event("Create", declare(image, f"{number}.0", f"{number}"), f"Release{number}")
        for number, image in enumerate(images)
    ]
    running = [threading.Thread(target=Lambda(), args=[event, 900.0]) for event in events]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    ids = {cloudformation.answer_to(event).physical_id for event in events}
    assert len(ids) == len(images)
    assert registry.tags() == {
        tag: image.digest for number, image in enumerate(images) for tag in (f"{number}", f"{number}.0")
    }


def test_a_duplicate_update_gets_two_responses_and_moves_tags_once(
    stack: Stack, function: Lambda, registry: Registry
) -> None:
    first, second = registry.push("first"), registry.push("second")
    old, new = declare(first, "latest"), declare(second, "latest")
    stack.deploy(old)
    event = stack.cloudformation.event("Update", new, "Release", stack.physical_id, old)
    function(event, 900)

    function(event, 900)

    assert stack.cloudformation.answer_to(event, answers=2).succeeded
    assert registry.tags() == {"latest": second.digest}


@pytest.mark.parametrize("moved", ["away", "gone"])
def test_a_refresh_restores_a_tag_that_was_moved_by_hand(stack: Stack, registry: Registry, moved: str) -> None:
    image, other = registry.push("first"), registry.push("other")
    stack.deploy(declare(image, "1"))
    if moved == "away":
        registry.push("by hand", "1")
    else:
        registry.sandbox.client("ecr-public").batch_delete_image(
            repositoryName="acme/agent", imageIds=[{"imageTag": "1"}]
        )
        registry.push("first")

    stack.deploy(declare(image, "1", Refresh="again"))

    assert registry.tags()["1"] == image.digest
    assert other.digest != image.digest
