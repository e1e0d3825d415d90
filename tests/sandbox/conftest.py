"""Fixtures and helpers for the tests of the sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_ecrpublic.sandbox import Sandbox, SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image

REPOSITORY = "acme/agent"


@dataclass(frozen=True)
class Refused:
    """An error of the service, as a client sees it."""

    code: str
    message: str
    status: int
    members: dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The API of a sandbox, one attempt for each call."""

    sandbox: Sandbox | SandboxProcess
    client: Any

    def __getattr__(self, operation: str) -> Any:
        return getattr(self.client, operation)

    def refusal(self, operation: str, **arguments: Any) -> Refused:
        """Call an operation that must be refused."""
        with pytest.raises(ClientError) as caught:
            getattr(self.client, operation)(**arguments)
        answer: dict[str, Any] = dict(caught.value.response)
        error = answer.pop("Error")
        return Refused(error["Code"], error["Message"], answer["ResponseMetadata"]["HTTPStatusCode"], answer)

    def put(self, image: Image | bytes, tag: str | None = None, **arguments: Any) -> dict[str, Any]:
        """Put a manifest into the repository."""
        answer: dict[str, Any] = self.client.put_image(**{**_put_arguments(image, tag), **arguments})
        return answer

    def refused_put(self, image: Image | bytes, tag: str | None = None, **arguments: Any) -> Refused:
        """Put a manifest that must be refused."""
        return self.refusal("put_image", **{**_put_arguments(image, tag), **arguments})

    def digests(self) -> dict[str, str]:
        """Return the digest that each tag points to."""
        pages = self.client.get_paginator("describe_image_tags").paginate(repositoryName=REPOSITORY)
        details = [detail for page in pages for detail in page["imageTagDetails"]]
        return {detail["imageTag"]: detail["imageDetail"]["imageDigest"] for detail in details}


def _put_arguments(image: Image | bytes, tag: str | None) -> dict[str, str]:
    content = image if isinstance(image, bytes) else image.manifest
    tagged = {"imageTag": tag} if tag else {}
    return {"repositoryName": REPOSITORY, "imageManifest": content.decode(), **tagged}


def make_api(sandbox: Sandbox | SandboxProcess, **options: Any) -> Api:
    from botocore.config import Config  # noqa: PLC0415

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
    return Api(sandbox, sandbox.client("ecr-public", config=config, **options))


@pytest.fixture
def api(sandbox: Sandbox) -> Api:
    """The API, with one empty repository."""
    api = make_api(sandbox)
    api.create_repository(repositoryName=REPOSITORY)
    return api


@pytest.fixture
def image(api: Api) -> Image:
    """An index of two images, pushed by digest."""
    image = build_image({"etc/release": b"1\n"}, platforms=("linux/amd64", "linux/arm64"))
    push_image(api.sandbox, REPOSITORY, image)
    return image


@pytest.fixture
def other(api: Api) -> Image:
    """Another image, for one platform, pushed by digest."""
    image = build_image({"etc/release": b"2\n"})
    push_image(api.sandbox, REPOSITORY, image)
    return image


@pytest.fixture(scope="session")
def aws() -> Iterator[SandboxProcess]:
    """A sandbox with all of AWS, in a separate process."""
    with SandboxProcess() as process:
        yield process


def changed(image: Image, **fields: Any) -> bytes:
    """Return the image's manifest with other fields; None removes one."""
    data = {**json.loads(image.manifest), **fields}
    return json.dumps({name: value for name, value in data.items() if value is not None}).encode()


def wait_for_stack(client: Any, name: str) -> dict[str, Any]:
    """Return a stack as soon as nothing is in progress."""
    for _ in range(200):
        stack: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(0.05)
    message = f"stack {name} is still {stack['StackStatus']}"
    raise TimeoutError(message)
