"""``ImageAlreadyExistsException`` is a success only if it is about this image and this tag."""

from __future__ import annotations

import base64
import json

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import build_image, push, tags_of
from lambda_handler.oci import Digest
from lambda_handler.retry import CONSISTENCY_TIMEOUT_SECONDS
from tests.protocol.conftest import Lambda, Registry, declare
from tests.support.stack import Stack

OTHER_ACCOUNT = "222222222222"
OTHER_DIGEST = str(Digest.of(b"another image"))


def exists(digest: str, tag: str, name: str = "acme/agent") -> str:
    return (
        f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' in registry "
        "with id '123456789012'"
    )


def says(text: str, *, times: int | None = None, reference: str | None = None) -> Fault:
    return Fault(
        operation="PutImage", code="ImageAlreadyExistsException", message=text, times=times, reference=reference
    )


def test_t3_a_message_that_names_digest_and_tag_is_a_success_without_a_read(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(says(exists(image.digest, "1")))
    registry.sandbox.requests.clear()

    assert stack.deploy(declare(image, "1")).succeeded

    assert registry.sandbox.requests.count("PutImage") == 1
    assert registry.sandbox.requests.count("DescribeImages") == 1


@pytest.mark.parametrize(
    "text",
    [
        exists(OTHER_DIGEST, "1"),
        exists("<this>", "2"),
        exists("<this>", "null"),
        exists("", ""),
        "already exists",
        "ünprintable",
        "x" * 10_000,
    ],
    ids=lambda text: text[:60],
)
@pytest.mark.parametrize("points", ["nowhere", "elsewhere"])
def test_t3_a_tag_that_was_not_moved_is_a_specific_error(
    stack: Stack, function: Lambda, registry: Registry, text: str, points: str
) -> None:
    image = registry.push("new")
    old = registry.push("old", *["1"] if points == "elsewhere" else []).digest
    registry.sandbox.faults.add(says(text.replace("<this>", image.digest), times=1))

    answer = stack.deploy(declare(image, "1"))

    assert not answer.succeeded
    where = f"points to {old}" if points == "elsewhere" else "does not exist"
    assert f"UNCONFIRMED: ECR Public says that the image exists already, but tag '1' {where}: " in answer.reason
    assert "Hint: check where the tag points, and deploy again" in answer.reason
    assert CONSISTENCY_TIMEOUT_SECONDS <= function.clock.time < CONSISTENCY_TIMEOUT_SECONDS + 10
    assert registry.tags() == ({"1": old} if points == "elsewhere" else {})


def test_t3_an_unconfirmed_tag_is_moved_back_with_the_others(stack: Stack, registry: Registry) -> None:
    """The response is ambiguous, so the tag may have moved. A release moves all of its tags or none."""
    registry.push("old", "1", "2")
    image, before = registry.push("new"), registry.tags()
    registry.sandbox.faults.add(says(exists(OTHER_DIGEST, "2"), times=1, reference="2"))

    answer = stack.deploy(declare(image, "1", "2"))

    assert answer.reason.startswith("RELEASE_FAILED: tag '2' could not be put: UNCONFIRMED: ")
    assert registry.tags() == before


def test_t3_a_read_confirms_what_the_message_does_not_say(stack: Stack, function: Lambda, registry: Registry) -> None:
    """The first put takes effect, but its response is lost. The second one gets a message without details."""
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="PutImage", drop="after"), says("already exists"))

    assert stack.deploy(declare(image, "1")).succeeded
    assert registry.tags() == {"1": image.digest}
    assert function.clock.time < 1


def test_t3_a_stale_read_is_repeated(stack: Stack, function: Lambda, registry: Registry) -> None:
    registry.push("old", "1")
    image = registry.push("new")
    registry.sandbox.faults.add(
        Fault(operation="PutImage", drop="after"),
        says("already exists"),
        # The first read is that of the plan.
        Fault(operation="DescribeImages", skip=1, times=8, stale=True),
    )

    assert stack.deploy(declare(image, "1")).succeeded
    assert 10 < function.clock.time < CONSISTENCY_TIMEOUT_SECONDS


def test_t3_a_failed_read_reports_the_cause(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(
        says("already exists"), Fault(operation="DescribeImages", skip=1, times=None, code="ServerException")
    )

    answer = stack.deploy(declare(image, "1"))

    assert answer.reason.startswith("UNAVAILABLE: ecr-public:DescribeImages failed")


@pytest.mark.parametrize("text", [exists("<this>", "null"), exists("<this>", "old"), "already exists"])
def test_t3_an_image_without_a_tag_is_confirmed_by_digest(stack: Stack, registry: Registry, text: str) -> None:
    """The index is new, so it is put, and the response is lost."""
    images = [registry.push(name) for name in ("one", "two")]
    parts = [
        {"Source": {"Digest": image.digest}, "Platform": platform}
        for image, platform in zip(images, ("linux/amd64", "linux/arm64"), strict=True)
    ]
    properties = {"RepositoryName": "acme/agent", "ImageTags": [], "Source": {"Index": {"Manifests": parts}}}
    digest = stack.deploy(properties).data["ImageDigest"]
    registry.sandbox.client("ecr-public").batch_delete_image(
        repositoryName="acme/agent", imageIds=[{"imageDigest": digest}]
    )
    registry.sandbox.faults.add(
        Fault(operation="PutImage", drop="after"), says(text.replace("<this>", digest), times=1)
    )

    assert stack.deploy({**properties, "Refresh": "again"}).succeeded
    assert registry.sandbox.requests.count("PutImage") == 3


def test_t3_a_missing_image_without_a_tag_is_an_error(stack: Stack, registry: Registry) -> None:
    image = registry.push("one")
    part = {"Source": {"Digest": image.digest}, "Platform": "linux/amd64"}
    registry.sandbox.faults.add(says(exists(OTHER_DIGEST, "null")))

    answer = stack.deploy({"RepositoryName": "acme/agent", "ImageTags": [], "Source": {"Index": {"Manifests": [part]}}})

    assert answer.reason.startswith("UNCONFIRMED: ECR Public says that the image exists already, but sha256:")
    assert " does not exist: ecr-public:PutImage failed: ImageAlreadyExistsException" in answer.reason


def test_t3_a_tag_named_null_needs_a_read(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(says(exists(image.digest, "null")))

    assert stack.deploy(declare(image, "null")).reason.startswith("UNCONFIRMED: ")


@pytest.fixture
def theirs(registry: Registry) -> str:
    """Create a repository of another account that lets us put images, with the tag ``build``; return its URI."""
    client = registry.sandbox.client("ecr-public", aws_access_key_id=OTHER_ACCOUNT)
    uri: str = client.create_repository(repositoryName="theirs/shared")["repository"]["repositoryUri"]
    actions = ["ecr-public:PutImage", "ecr-public:BatchCheckLayerAvailability"]
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": actions}
    client.set_repository_policy(
        repositoryName="theirs/shared", policyText=json.dumps({"Version": "2008-10-17", "Statement": [statement]})
    )
    login = client.get_authorization_token()["authorizationData"]["authorizationToken"]
    push(uri, build_image({"a": b"1"}), ["build"], login=base64.b64decode(login).decode())
    return uri


@pytest.mark.parametrize("is_there", [True, False])
def test_t3_a_repository_of_another_account_is_read_over_http(
    stack: Stack,
    registry: Registry,
    theirs: str,
    is_there: bool,  # noqa: FBT001 - a table
) -> None:
    if is_there:
        registry.sandbox.faults.add(Fault(operation="PutImage", drop="after"))
    registry.sandbox.faults.add(says("already exists"))
    properties = {"RegistryId": theirs.split("/")[1], "RepositoryName": "theirs/shared", "Source": {"Tag": "build"}}

    answer = stack.deploy({**properties, "ImageTags": ["1"]})

    assert answer.succeeded is is_there
    assert ("1" in tags_of(theirs)) is is_there
    assert is_there or answer.reason.startswith("UNCONFIRMED: ")
    assert registry.sandbox.requests.count("DescribeImages") == 0
