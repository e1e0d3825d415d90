"""The real handler, the simulator of CloudFormation and the sandbox, with a clock whose ``sleep`` returns at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import Image, build_image, resolve_tags
from lambda_handler.entrypoint import Clients, serve
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane, control_plane
from tests.support.pushed import push_image

from .cloudformation import CloudFormation, answer_address


@dataclass(frozen=True)
class Context:
    remaining_seconds: float
    aws_request_id: str = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining_seconds * 1000)


@dataclass
class Registry:
    """``acme/agent`` in the sandbox."""

    sandbox: Sandbox

    def push(self, name: str, *tags: str) -> Image:
        image = build_image({"etc/name": name.encode()}, platforms=("linux/amd64", "linux/arm64"))
        push_image(self.sandbox, "acme/agent", image, tags)
        return image

    def tags(self) -> dict[str, str]:
        return resolve_tags(self.sandbox, "acme/agent")


@dataclass
class Lambda:
    """The function, which stays warm between events."""

    clients: Clients = field(default_factory=Clients)
    clock: SteppingClock = field(default_factory=SteppingClock)

    def __call__(self, event: Mapping[str, object], remaining_seconds: float) -> None:
        serve(event, Context(remaining_seconds), self.clients, self.clock)

    def close(self) -> None:
        """Drop all connections: a test run has hundreds of functions and a limited number of descriptors."""
        self.clients.pool.clear()
        for client in self.clients._clients.values():  # noqa: SLF001 - Lambda itself never closes anything
            client.close()


@pytest.fixture
def registry(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    sandbox.client("ecr-public").create_repository(repositoryName="acme/agent")
    return Registry(sandbox)


@pytest.fixture(scope="session")
def running_plane() -> Iterator[ControlPlane]:
    with control_plane() as plane:
        yield plane


@pytest.fixture
def plane(running_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """Systems Manager without parameters, and a stack that is being updated."""
    running_plane.clear()
    running_plane.wall = time.time
    for name, value in running_plane.environment().items():
        monkeypatch.setenv(name, value)
    yield running_plane
    assert running_plane.hooks.problems == []


@pytest.fixture
def function(registry: Registry, plane: ControlPlane) -> Iterator[Lambda]:
    del registry  # like the plane, sets the environment variables for the function's clients
    function = Lambda()
    plane.wall = function.clock.wall
    yield function
    function.close()


@pytest.fixture
def cloudformation(function: Lambda) -> Iterator[CloudFormation]:
    with answer_address() as address:
        yield CloudFormation(function, address, clock=function.clock)
        assert address.problems == []


def declare(image: Image | str, *tags: str, **more: object) -> dict[str, object]:
    """Declare a retag."""
    digest = image if isinstance(image, str) else image.digest
    return {"RepositoryName": "acme/agent", "ImageTags": list(tags), "Source": {"Digest": digest}, **more}
