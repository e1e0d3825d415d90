"""Describing and deleting images, through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault, Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image

from .conftest import REPOSITORY, Api, changed

MISSING = "sha256:" + "0" * 64


def delete(api: Api, *ids: dict[str, str]) -> tuple[list[dict[str, str]], list[tuple[str, str]]]:
    """Delete images; return the deleted ones, and the failures."""
    answer = api.batch_delete_image(repositoryName=REPOSITORY, imageIds=list(ids))
    failures = [(failure["failureCode"], failure["failureReason"]) for failure in answer["failures"]]
    return answer["imageIds"], failures


def digests(api: Api) -> set[str]:
    return {image["imageDigest"] for image in api.describe_images(repositoryName=REPOSITORY)["imageDetails"]}


def test_deleting_one_of_several_tags_keeps_the_image(api: Api, other: Image) -> None:
    api.put(other, "1")
    api.put(other, "2")

    gone, failures = delete(api, {"imageTag": "1"})

    assert (gone, failures) == ([{"imageDigest": other.digest, "imageTag": "1"}], [])
    assert api.digests() == {"2": other.digest}


def test_deleting_the_last_tag_deletes_the_image(api: Api, other: Image) -> None:
    api.put(other, "1")

    delete(api, {"imageTag": "1"})

    assert digests(api) == set()


def test_deleting_by_digest_deletes_and_lists_all_tags(api: Api, other: Image) -> None:
    api.put(other, "1")
    api.put(other, "2")

    gone, failures = delete(api, {"imageDigest": other.digest})

    assert sorted(image["imageTag"] for image in gone) == ["1", "2"]
    assert (failures, digests(api), api.digests()) == ([], set(), {})


def test_deleting_an_untagged_image_returns_only_its_digest(api: Api, other: Image) -> None:
    assert delete(api, {"imageDigest": other.digest}) == ([{"imageDigest": other.digest}], [])


def test_a_pair_of_digest_and_tag_deletes_the_tag(api: Api, other: Image) -> None:
    api.put(other, "1")
    api.put(other, "2")

    delete(api, {"imageDigest": other.digest, "imageTag": "1"})

    assert api.digests() == {"2": other.digest}


def test_refuses_to_delete_what_an_index_refers_to(api: Api, image: Image) -> None:
    child = image.children[0]
    api.put(child, "child")

    by_tag = delete(api, {"imageTag": "child"})[1]
    by_digest = delete(api, {"imageDigest": child.digest})[1]

    expected = [("ImageReferencedByManifestList", f"Requested image referenced by manifest list: [{image.digest}]")]
    assert (by_tag, by_digest) == (expected, expected)
    assert api.digests() == {"child": child.digest}


def test_children_cannot_be_deleted_immediately_after_their_index_if_the_service_lags(api: Api, image: Image) -> None:
    api.sandbox.settings = Settings(removed_index_lag_seconds=60)
    delete(api, {"imageDigest": image.digest})

    reasons = {code for code, _ in delete(api, *({"imageDigest": each.digest} for each in image.children))[1]}

    assert reasons == {"ImageReferencedByManifestList"}
    api.sandbox.settings = Settings()
    assert delete(api, *({"imageDigest": each.digest} for each in image.children))[1] == []


def test_children_can_be_deleted_after_their_index(api: Api, image: Image) -> None:
    delete(api, {"imageDigest": image.digest})

    gone, failures = delete(api, *({"imageDigest": child.digest} for child in image.children))

    assert (len(gone), failures, digests(api)) == (2, [], set())


@pytest.mark.parametrize(
    ("image_id", "code"),
    [
        ({}, "MissingDigestAndTag"),
        ({"imageTag": "unknown"}, "ImageNotFound"),
        ({"imageDigest": MISSING}, "ImageNotFound"),
        ({"imageDigest": "no digest"}, "InvalidImageDigest"),
        ({"imageTag": "a:b"}, "InvalidImageTag"),
        ({"imageTag": "1", "imageDigest": MISSING}, "ImageTagDoesNotMatchDigest"),
    ],
)
def test_says_why_an_image_cannot_be_deleted(api: Api, other: Image, image_id: dict[str, str], code: str) -> None:
    api.put(other, "1")

    gone, failures = delete(api, image_id)

    assert (gone, [failure[0] for failure in failures]) == ([], [code])
    assert api.digests() == {"1": other.digest}


def test_one_failure_does_not_affect_the_others(api: Api, other: Image) -> None:
    api.put(other, "1")
    api.put(other, "2")

    gone, failures = delete(api, {"imageTag": "unknown"}, {"imageTag": "1"})

    assert (len(gone), failures) == (1, [("ImageNotFound", "Requested image not found")])


def test_refuses_to_delete_more_than_100_at_once(api: Api) -> None:
    ids = [{"imageTag": f"t{number}"} for number in range(101)]

    refusal = api.refusal("batch_delete_image", repositoryName=REPOSITORY, imageIds=ids)

    assert refusal.message == (
        "Invalid parameter at 'imageIds' failed to satisfy constraint: 'Member must have length less than or equal to "
        "100'"
    )


def test_a_deleted_image_can_be_put_again(api: Api, other: Image) -> None:
    api.put(other, "1")
    delete(api, {"imageTag": "1"})

    api.put(other, "1")

    assert api.digests() == {"1": other.digest}


def test_describes_an_image_by_tag_and_by_digest(api: Api, other: Image) -> None:
    api.put(other, "1")

    answers = [
        api.describe_images(repositoryName=REPOSITORY, imageIds=[image_id])["imageDetails"][0]
        for image_id in (
            {"imageTag": "1"},
            {"imageDigest": other.digest},
            {"imageTag": "1", "imageDigest": other.digest},
        )
    ]

    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["imageDigest"] == other.digest
    assert answers[0]["imageManifestMediaType"] == other.media_type
    assert answers[0]["artifactMediaType"] == "application/vnd.oci.image.config.v1+json"


def test_one_unknown_image_refuses_the_whole_description(api: Api, other: Image) -> None:
    ids = [{"imageDigest": other.digest}, {"imageTag": "unknown"}]

    refusal = api.refusal("describe_images", repositoryName=REPOSITORY, imageIds=ids)

    assert refusal.code == "ImageNotFoundException"
    assert refusal.message == (
        "The image with imageId {imageDigest:'null', imageTag:'unknown'} does not exist within the repository with "
        f"name '{REPOSITORY}' in the registry with id '123456789012'"
    )


def test_refuses_a_page_size_with_image_ids(api: Api, other: Image) -> None:
    refusal = api.refusal(
        "describe_images", repositoryName=REPOSITORY, imageIds=[{"imageDigest": other.digest}], maxResults=5
    )

    assert refusal.code == "InvalidParameterException"


@pytest.mark.parametrize("operation", ["describe_images", "describe_image_tags", "describe_repositories"])
def test_refuses_pages_of_more_than_1000(api: Api, operation: str) -> None:
    arguments: dict[str, Any] = {} if operation == "describe_repositories" else {"repositoryName": REPOSITORY}

    refusal = api.refusal(operation, maxResults=1001, **arguments)

    assert refusal.message == (
        "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to "
        "1000'"
    )


@pytest.mark.parametrize("operation", ["describe_images", "describe_image_tags", "describe_repositories"])
def test_refuses_made_up_page_tokens(api: Api, operation: str) -> None:
    arguments: dict[str, Any] = {} if operation == "describe_repositories" else {"repositoryName": REPOSITORY}

    refusal = api.refusal(operation, nextToken="t5", **arguments)

    assert refusal.message == (
        "Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'"
    )


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_paginates_tags(api: Api, other: Image, size: int) -> None:
    names = {f"t{number}" for number in range(150)}
    for name in names:
        api.put(other, name)

    found: list[str] = []
    for page in api.get_paginator("describe_image_tags").paginate(
        repositoryName=REPOSITORY, PaginationConfig={"PageSize": size}
    ):
        assert len(page["imageTagDetails"]) <= size
        found += [detail["imageTag"] for detail in page["imageTagDetails"]]

    assert (set(found), len(found)) == (names, 150)


def test_a_page_has_100_items_by_default(api: Api, other: Image) -> None:
    for number in range(101):
        api.put(other, f"t{number}")

    assert len(api.describe_image_tags(repositoryName=REPOSITORY)["imageTagDetails"]) == 100


def test_pages_do_not_shift_when_tags_are_removed(api: Api, other: Image) -> None:
    for number in range(20):
        api.put(other, f"t{number}")
    first = api.describe_image_tags(repositoryName=REPOSITORY, maxResults=10)
    seen = [detail["imageTag"] for detail in first["imageTagDetails"]]

    delete(api, *({"imageTag": tag} for tag in seen))
    rest = api.describe_image_tags(repositoryName=REPOSITORY, maxResults=20, nextToken=first["nextToken"])

    assert len({*seen, *(detail["imageTag"] for detail in rest["imageTagDetails"])}) == 20


def test_paginates_images(sandbox: Sandbox, api: Api) -> None:
    images = [build_image({"n": str(number).encode()}) for number in range(5)]
    for image in images:
        push_image(sandbox, REPOSITORY, image)

    pages = api.get_paginator("describe_images").paginate(repositoryName=REPOSITORY, PaginationConfig={"PageSize": 2})

    found = [detail["imageDigest"] for page in pages for detail in page["imageDetails"]]
    assert sorted(found) == sorted(image.digest for image in images)


def test_descriptions_lag_behind_writes_if_configured(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = Settings(read_lag_describe_seconds=60)

    api.put(other, "1")

    assert api.digests() == {}
    assert api.refusal("describe_images", repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}]).code == (
        "ImageNotFoundException"
    )


def test_a_stale_description_shows_the_previous_image_of_the_tag(
    sandbox: Sandbox, api: Api, image: Image, other: Image
) -> None:
    api.put(image, "latest")
    api.put(other, "latest")
    sandbox.faults.add(Fault(operation="DescribeImageTags", stale=True))

    assert [api.digests(), api.digests()] == [{"latest": image.digest}, {"latest": other.digest}]


def test_an_artifact_has_the_type_of_its_config(api: Api, other: Image) -> None:
    config = {**_config(other), "mediaType": "application/vnd.cncf.helm.config.v1+json"}
    api.put(changed(other, config=config), "chart")

    detail = api.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "chart"}])["imageDetails"][0]

    assert detail["artifactMediaType"] == "application/vnd.cncf.helm.config.v1+json"


def test_throttles_descriptions_and_deletions_at_the_configured_rates(sandbox: Sandbox, api: Api, image: Image) -> None:
    sandbox.settings = Settings(describe_images_per_second=0.01, batch_delete_images_per_second=0.01)
    names = {"repositoryName": REPOSITORY, "imageIds": [{"imageDigest": image.digest}]}

    api.describe_images(**names)
    api.batch_delete_image(**names)

    assert api.refusal("describe_images", **names).code == "ThrottlingException"
    assert api.refusal("batch_delete_image", **names).code == "ThrottlingException"


def _config(image: Image) -> dict[str, Any]:
    digest, content = next(iter(image.blobs.items()))
    return {"digest": digest, "size": len(content)}
