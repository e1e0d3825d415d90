"""Publish through the real adapters and real sockets, on a clock whose ``sleep`` returns at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from cdk_ecrpublic.sandbox import Sandbox, SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, pull, push_image
from lambda_handler.cfn import Event, Response
from lambda_handler.cfn.event import RequestType
from lambda_handler.clock import Deadline
from lambda_handler.entrypoint import Adapters, Clients
from lambda_handler.log import Log
from lambda_handler.resources.public_image import PublicImageResource
from lambda_handler.retry import Retry
from tests.protocol.cloudformation import STACK_ID
from tests.protocol.conftest import plane, running_plane
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.s3 import Bucket, serve_bucket

__all__ = ["plane", "running_plane"]


@dataclass
class Publisher:
    """Publishes into ``acme/agent``; sources come from ``up/stream`` of the same sandbox."""

    sandbox: Sandbox
    clock: SteppingClock
    seconds: float = 600.0

    def publish(self, source: Mapping[str, object], *tags: str, **properties: object) -> Response:
        deadline = Deadline.after(self.seconds, self.clock)
        clients = Clients()
        retry = Retry(deadline, Log())
        event = Event(
            request_type=RequestType.CREATE,
            response_url="",
            sent=self.clock.wall(),
            stack_id=STACK_ID,
            request_id="1",
            logical_resource_id="Image",
            resource_type="Custom::ECRPublicImage",
            properties={"RepositoryName": "acme/agent", "ImageTags": list(tags), "Source": source, **properties},
        )
        resource = PublicImageResource(lambda declaration: Adapters(declaration, clients, retry, retry), Log())
        return resource.create(event)

    def copy(self, reference: str, *tags: str, **properties: object) -> Response:
        """Publish an image of ``up/stream``."""
        mark = "@" if reference.startswith("sha256:") else ":"
        return self.publish({"Image": {"Reference": f"{self.uri('up/stream')}{mark}{reference}"}}, *tags, **properties)

    def push(self, image: Image, *tags: str, repository: str = "up/stream") -> Image:
        push_image(self.sandbox, repository, image, tags)
        return image

    def pull(self, reference: str) -> Image:
        return pull(self.uri("acme/agent"), reference)

    def puts(self) -> list[tuple[str, str]]:
        """Return each put: its tag, if any, and the error of its response."""
        return [(call.reference, call.error) for call in self.sandbox.requests.all("PutImage")]

    def uri(self, repository: str) -> str:
        described = self.sandbox.client("ecr-public").describe_repositories(repositoryNames=[repository])
        uri: str = described["repositories"][0]["repositoryUri"]
        return uri

    def is_empty(self) -> bool:
        """Whether nothing was published."""
        images = self.sandbox.client("ecr-public").describe_images(repositoryName="acme/agent")
        return not images["imageDetails"]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def publisher(server: Sandbox, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    del plane  # sets the environment variables for records
    server.reset()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    client = server.client("ecr-public")
    for name in ("acme/agent", "up/stream"):
        client.create_repository(repositoryName=name)
    return Publisher(server, SteppingClock())


@pytest.fixture(scope="module")
def aws() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture(scope="module")
def running_bucket(aws: SandboxProcess) -> Iterator[Bucket]:
    with serve_bucket(aws) as bucket:
        yield bucket


@pytest.fixture
def bucket(running_bucket: Bucket, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    del publisher  # sets the environment that this changes
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running_bucket.url)
    running_bucket.mend()
    return running_bucket


def two_platforms(text: str = "an image", size: int = 0) -> Image:
    """An index of two images that share a layer of about *size* bytes."""
    noise = bytes((7 * n * n + n // 251) % 256 for n in range(size))
    return build_image({"etc/text": text.encode(), "usr/noise": noise}, platforms=("linux/amd64", "linux/arm64/v8"))
