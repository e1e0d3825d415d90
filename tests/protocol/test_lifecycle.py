"""Create, Update, rollback, Delete and duplicates, as CloudFormation sends them."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from cdk_ecrpublic.sandbox import Fault
from tests.support.pushed import push_image

from .cloudformation import CloudFormation
from .conftest import Lambda, Registry, declare

PHYSICAL_ID = "ecr-public:123456789012/acme/agent:Release"
NOWHERE = "sha256:" + "0" * 64


def test_a_created_image_has_its_tags_and_attributes(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")

    answer = cloudformation.create(declare(image, "1.4.2", "1.4", "latest"))

    assert registry.tags() == dict.fromkeys(("1.4", "1.4.2", "latest"), image.digest)
    assert answer.physical_id == PHYSICAL_ID
    uri = answer.data.pop("RepositoryUri")
    assert answer.data == {
        "RegistryId": "123456789012",
        "RepositoryName": "acme/agent",
        "ImageDigest": image.digest,
        "ImageManifestMediaType": image.media_type,
        "ImageUri": f"{uri}@{image.digest}",
        "SkippedTags": "",
    }


def test_an_update_moves_tags_in_place_and_leaves_dropped_ones(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    first, second = registry.push("first"), registry.push("second")
    old, new = declare(first, "1.4.1", "latest"), declare(second, "1.4.2", "latest")
    created = cloudformation.create(old)

    answer = cloudformation.update(created.physical_id, new, old)

    assert answer.physical_id == created.physical_id
    assert registry.tags() == {"1.4.1": first.digest, "1.4.2": second.digest, "latest": second.digest}


def test_a_rollback_puts_the_tags_back(cloudformation: CloudFormation, registry: Registry) -> None:
    first, second = registry.push("first"), registry.push("second")
    old, new = declare(first, "latest"), declare(second, "latest")
    created = cloudformation.create(old)
    cloudformation.update(created.physical_id, new, old)

    assert cloudformation.roll_back(created.physical_id, new, old).succeeded

    assert registry.tags() == {"latest": first.digest}


def test_a_rollback_is_not_fooled_by_a_stale_read(cloudformation: CloudFormation, registry: Registry) -> None:
    """Just after the update, the service still shows the previous image of the tag."""
    first, second = registry.push("first"), registry.push("second")
    old, new = declare(first, "latest"), declare(second, "latest")
    created = cloudformation.create(old)
    cloudformation.update(created.physical_id, new, old)
    registry.sandbox.faults.add(Fault(operation="DescribeImages", stale=True, times=None))

    assert cloudformation.roll_back(created.physical_id, new, old).succeeded

    registry.sandbox.faults.clear()
    assert registry.tags() == {"latest": first.digest}


@pytest.mark.parametrize(
    "tried",
    [{"ImageTags": ["other"]}, {"RepositoryName": "acme/other"}],
    ids=["the tag was declared elsewhere", "the repository was another"],
)
def test_a_rollback_takes_a_tag_back_from_another_resource_despite_a_stale_read(
    cloudformation: CloudFormation, registry: Registry, tried: dict[str, object]
) -> None:
    """The image is the same before and after, but another resource owned the tag for a moment."""
    image, other = registry.push("first"), registry.push("other")
    push_image(registry.sandbox, create_repository(registry, "acme/other"), image)
    old = declare(image, "latest")
    created = cloudformation.create(old)
    new = {**old, **tried}
    updated = cloudformation.update(created.physical_id, new, old)
    cloudformation.create(declare(other, "latest"), "Other")
    registry.sandbox.faults.add(Fault(operation="DescribeImages", stale=True, times=None))

    assert cloudformation.roll_back(updated.physical_id, new, old).succeeded

    registry.sandbox.faults.clear()
    assert registry.tags()["latest"] == image.digest


def create_repository(registry: Registry, name: str) -> str:
    registry.sandbox.client("ecr-public").create_repository(repositoryName=name)
    return name


def test_neither_a_failed_update_nor_its_rollback_changes_anything(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    old, new = declare(registry.push("first"), "latest"), declare(NOWHERE, "latest")
    created = cloudformation.create(old)
    before = registry.tags()

    assert not cloudformation.update(created.physical_id, new, old).succeeded
    assert cloudformation.roll_back(created.physical_id, new, old).succeeded

    assert registry.tags() == before


def test_the_delete_after_a_failed_create_changes_nothing(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("somebody's", "latest")
    wrong = declare(NOWHERE, "latest")

    created = cloudformation.create(wrong)
    assert not created.succeeded
    assert created.physical_id == "create-failed:Release"
    assert cloudformation.delete(created.physical_id, wrong).succeeded

    assert registry.tags() == {"latest": image.digest}


@pytest.mark.parametrize("physical_id", ["Agent-Release-1ABCDEFGHIJKL", "2024/01/01/[$LATEST]abc", PHYSICAL_ID])
def test_a_delete_succeeds_and_changes_nothing(
    cloudformation: CloudFormation, registry: Registry, physical_id: str
) -> None:
    image = registry.push("live", "latest")
    registry.sandbox.requests.clear()

    assert cloudformation.delete(physical_id, declare(image, "latest")).succeeded

    assert registry.sandbox.requests.all() == []
    assert registry.tags() == {"latest": image.digest}


def test_a_delete_succeeds_with_any_properties(cloudformation: CloudFormation) -> None:
    assert cloudformation.delete(PHYSICAL_ID, {"Nonsense": "yes"}).succeeded


@pytest.mark.parametrize("is_warm", [True, False])
def test_a_duplicate_changes_nothing(
    cloudformation: CloudFormation, registry: Registry, function: Lambda, *, is_warm: bool
) -> None:
    image = registry.push("first")
    event = cloudformation.event("Create", declare(image, "1", "latest"))
    function(event, 900)
    registry.sandbox.requests.clear()

    with closing(Lambda(clock=function.clock)) as another:
        (function if is_warm else another)(event, 900)

    assert cloudformation.answer_to(event, answers=2).succeeded
    assert registry.tags() == dict.fromkeys(("1", "latest"), image.digest)
    # A cold function cannot know whether its reads are fresh, so it puts the tags again.
    assert registry.sandbox.requests.count("PutImage") == (0 if is_warm else 2)


def test_duplicates_at_the_same_time_both_succeed(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    event = cloudformation.event("Create", declare(image, "1", "latest"))
    both = [threading.Thread(target=Lambda(), args=[event, 900.0]) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    assert cloudformation.answer_to(event, answers=2).succeeded
    assert registry.tags() == dict.fromkeys(("1", "latest"), image.digest)


def test_changing_the_repository_replaces_the_resource_and_deletes_nothing(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    image = registry.push("first")
    registry.sandbox.client("ecr-public").create_repository(repositoryName="acme/other")
    old = declare(image, "1")
    new = {
        "RepositoryName": "acme/other",
        "Source": {"Manifest": {"Body": '{"schemaVersion": 2, "manifests": []}', "MediaType": INDEX}},
    }
    created = cloudformation.create(old)

    replaced = cloudformation.update(created.physical_id, new, old)

    assert replaced.physical_id == "ecr-public:123456789012/acme/other:Release"
    assert cloudformation.delete(created.physical_id, old).succeeded
    assert registry.tags() == {"1": image.digest}


def test_the_alias_and_the_account_give_the_same_physical_id(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    image = registry.push("first")
    alias = registry.sandbox.store.registry_of("123456789012").aliases[0]

    answers = [
        cloudformation.create(declare(image, "1", **more))
        for more in ({}, {"RegistryId": "123456789012"}, {"RegistryId": alias})
    ]

    assert {answer.physical_id for answer in answers} == {PHYSICAL_ID}


def test_a_warm_retag_takes_one_manifest_read_one_tag_read_and_one_put(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    first, second = registry.push("first"), registry.push("second")
    created = cloudformation.create(declare(first, "latest"))
    registry.sandbox.requests.clear()

    cloudformation.update(created.physical_id, declare(second, "latest"), declare(first, "latest"))

    *reads, write = [request.operation for request in registry.sandbox.requests.all()]
    assert (sorted(reads), write) == (["DescribeImages", "GetManifest"], "PutImage")


def test_a_warm_function_notices_a_deleted_or_recreated_repository(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    image = registry.push("image")
    cloudformation.create(declare(image, "1"))
    client = registry.sandbox.client("ecr-public")
    client.delete_repository(repositoryName="acme/agent", force=True)

    gone = cloudformation.create(declare(image, "1"))
    client.create_repository(repositoryName="acme/agent")
    registry.push("image")
    created_again = cloudformation.create(declare(image, "1"))

    assert "RepositoryNotFoundException" in gone.reason
    assert (gone.status, created_again.status) == ("FAILED", "SUCCESS")


def test_when_the_third_tag_fails_the_moved_tags_go_back(cloudformation: CloudFormation, registry: Registry) -> None:
    old, new = registry.push("old", "1", "latest"), registry.push("new")
    before = registry.tags()
    registry.sandbox.faults.add(
        Fault(operation="PutImage", reference="stable", code="LimitExceededException", times=None)
    )

    answer = cloudformation.create(declare(new, "1", "latest", "stable", "2"))

    assert not answer.succeeded
    assert answer.reason.startswith("RELEASE_FAILED: tag 'stable' could not be put: QUOTA_EXCEEDED")
    assert "moved back: latest, 1" in answer.reason
    assert registry.tags() == before == {"1": old.digest, "latest": old.digest}


def test_when_a_later_tag_fails_the_new_tags_are_named(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("new")
    registry.sandbox.faults.add(Fault(operation="PutImage", reference="2", code="LimitExceededException", times=None))

    answer = cloudformation.create(declare(image, "1", "2"))

    assert f"new and left in place at {image.digest}: 1" in answer.reason


def test_the_response_is_sent_again_until_it_is_accepted(cloudformation: CloudFormation, registry: Registry) -> None:
    cloudformation.address.failures += [500, 503]

    assert cloudformation.create(declare(registry.push("first"), "1")).succeeded


INDEX = "application/vnd.oci.image.index.v1+json"
