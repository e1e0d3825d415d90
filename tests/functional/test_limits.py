"""The limits of ECR Public stop a release before anything is copied, and never an undo."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox import Settings
from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler.publish import limits
from tests.protocol.conftest import Registry, declare
from tests.support.pushed import push_image
from tests.support.stack import Stack

UPSTREAM = "up/stream"


def copy_of(registry: Registry, name: str) -> dict[str, object]:
    """Push an image to another repository, and declare a copy of it."""
    image = build_image({"etc/name": name.encode()})
    registry.sandbox.client("ecr-public").create_repository(repositoryName=UPSTREAM)
    push_image(registry.sandbox, UPSTREAM, image, ["v1"])
    described = registry.sandbox.client("ecr-public").describe_repositories(repositoryNames=[UPSTREAM])
    uri = described["repositories"][0]["repositoryUri"]
    return {"Image": {"Reference": f"{uri}@{image.digest}"}}


WRITES = ("PutImage", "StartUpload", "CompleteUpload")


def test_refuses_too_large_a_layer_before_copying_it(
    stack: Stack, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy_of(registry, "large")
    monkeypatch.setattr(limits, "LAYER_MAX_BYTES", 100)
    registry.sandbox.settings = Settings(layer_max_bytes=100)
    registry.sandbox.requests.clear()

    answer = stack.deploy({**declare(build_image({"x": b""}), "1.0"), "Source": source})

    assert answer.status == "FAILED"
    assert " bytes; ECR Public allows 100 " in answer.reason
    assert "split the layer, and build again" in answer.reason
    assert registry.sandbox.requests.count(*WRITES) == 0


def test_the_limits_are_those_of_the_service() -> None:
    """The sandbox has the same limits, from the service's documentation."""
    settings = Settings()

    assert settings.layer_max_bytes == limits.LAYER_MAX_BYTES
    assert settings.tags_per_image == limits.IMAGE_TAGS_MAX
    assert settings.images_per_repository == limits.REPOSITORY_IMAGES_MAX


def test_refuses_too_many_tags_of_a_copied_image_before_the_first_write(
    stack: Stack, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy_of(registry, "copied")
    push_image(registry.sandbox, "acme/agent", build_image({"etc/name": b"copied"}), ["a", "b"])
    monkeypatch.setattr(limits, "IMAGE_TAGS_MAX", 3)
    registry.sandbox.requests.clear()

    refused = stack.deploy({"RepositoryName": "acme/agent", "ImageTags": ["b", "c", "d"], "Source": source})
    count = registry.sandbox.requests.count(*WRITES)
    allowed = stack.deploy({"RepositoryName": "acme/agent", "ImageTags": ["b", "c"], "Source": source})

    assert "has 2 tags, and would have 4; ECR Public allows 3 for one image: remove tags" in refused.reason
    assert count == 0
    assert allowed.succeeded


def test_leaves_the_limit_of_tags_to_the_service_if_an_image_is_only_retagged(stack: Stack, registry: Registry) -> None:
    """The tags of the image are not read, because that would cost every release a request."""
    old, image = registry.push("old", "latest"), registry.push("new", "a", "b")
    registry.sandbox.settings = Settings(tags_per_image=3)

    answer = stack.deploy(declare(image, "latest", "1.0"))

    assert "QUOTA_EXCEEDED: ecr-public:PutImage failed: LimitExceededException" in answer.reason
    assert "exceeds the maximum allowed number of tags per image which is '3'" in answer.reason
    assert "an image can have 1,000 tags" in answer.reason
    assert registry.tags() == {"latest": old.digest, "a": image.digest, "b": image.digest}


def test_the_error_for_a_full_repository_has_the_number_and_a_remedy(stack: Stack, registry: Registry) -> None:
    source = copy_of(registry, "one more")
    registry.push("first")
    registry.sandbox.settings = Settings(images_per_repository=3)

    answer = stack.deploy({"RepositoryName": "acme/agent", "ImageTags": ["1.0"], "Source": source})

    assert "already has the maximum allowed number of images which is '3'" in answer.reason
    assert "a repository 100,000 images, which can be raised: remove tags or images" in answer.reason


def test_no_limit_stops_an_undo(stack: Stack, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """By now, both images have more tags than allowed."""
    first, second = registry.push("first"), registry.push("second", "latest")
    assert stack.deploy(declare(first, "1", "2", "latest")).succeeded
    monkeypatch.setattr(limits, "IMAGE_TAGS_MAX", 1)

    stack.declared = declare(first, "1", "2", "latest")
    stack.roll_back(declare(second, "1", "2", "latest"))

    assert registry.tags() == dict.fromkeys(("1", "2", "latest"), first.digest)
