"""Copies from private ECR with the function's own role, where an image may be archived."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, push
from lambda_handler.errors import NotFoundError

from .conftest import Publisher, two_platforms

NAME = "private/app"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def image(aws: SandboxProcess, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Iterator[Image]:
    """An image in private ECR, under the tag ``1``."""
    del publisher  # sets the environment that this changes
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", aws.url)
    private = aws.client("ecr")
    private.create_repository(repositoryName=NAME)
    data = private.get_authorization_token()["authorizationData"][0]
    login = base64.b64decode(data["authorizationToken"]).decode()
    image = two_platforms()
    push(f"{aws.registry_host}/{NAME}", image, ["1"], login=login)
    yield image
    private.delete_repository(repositoryName=NAME, force=True)


def store(aws: SandboxProcess, storage_class: str) -> None:
    aws.client("ecr").update_image_storage_class(
        repositoryName=NAME, imageId={"imageTag": "1"}, targetStorageClass=storage_class
    )


@pytest.mark.parametrize("by_digest", [False, True], ids=["by tag", "by digest"])
def test_the_error_for_an_archived_image_says_to_restore_it(
    publisher: Publisher, aws: SandboxProcess, image: Image, *, by_digest: bool
) -> None:
    source = {"Image": {"Reference": f"{HOST}/{NAME}{f'@{image.digest}' if by_digest else ':1'}"}}
    store(aws, "ARCHIVE")

    with pytest.raises(NotFoundError) as refused:
        publisher.publish(source, "1")

    assert "imageStatus ARCHIVED" in refused.value.explain()
    assert "needs credentials" not in refused.value.explain()
    store(aws, "STANDARD")
    publisher.publish(source, "1")
    assert publisher.pull("1") == image
