"""Apps that are really synthesized, reviewed against the sandbox, and deployed by the real handler."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aws_cdk import App, Stack

from cdk_ecrpublic import IPublicRepository, PublicRepository
from cdk_ecrpublic.review.app.assembly import Assembly, read_assembly
from cdk_ecrpublic.review.app.declared import DeclaredImage
from cdk_ecrpublic.review.effect import Effect
from cdk_ecrpublic.review.forecast import find_effects
from cdk_ecrpublic.review.live.registry import KnownObjects, Registry, ReviewClients
from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import Image, resolve_tags
from lambda_handler.cfn import Event, Response
from lambda_handler.cfn.event import RequestType
from lambda_handler.clock import Deadline
from lambda_handler.entrypoint import Adapters, Clients
from lambda_handler.log import Log
from lambda_handler.resources.public_image import PublicImageResource
from lambda_handler.retry import Retry
from lambda_handler.spec import Declaration
from tests.support.clock import SteppingClock
from tests.support.pushed import push_image

from .cloud import Cloud, running_cloud

HOME, UPSTREAM = "acme/agent", "up/stream"
SENT = 1_790_000_000.0

Body = Callable[[Stack, IPublicRepository], object]
"""Declares images of ``acme/agent`` in a stack."""


@dataclass
class World:
    """ECR Public with two repositories, and a folder for assemblies."""

    sandbox: Sandbox
    folder: Path
    clients: Clients = field(default_factory=Clients)
    told: list[str] = field(default_factory=list)

    def reset(self) -> None:
        self.sandbox.reset()
        for name in (HOME, UPSTREAM):
            self.sandbox.client("ecr-public").create_repository(repositoryName=name)

    def push(self, image: Image, *tags: str, repository: str = HOME) -> Image:
        push_image(self.sandbox, repository, image, tags)
        return image

    def tags(self, repository: str = HOME) -> dict[str, str]:
        return resolve_tags(self.sandbox, repository)

    def images(self, repository: str = HOME) -> set[str]:
        answer = self.sandbox.client("ecr-public").describe_images(repositoryName=repository)
        return {each["imageDigest"] for each in answer["imageDetails"]}

    @property
    def home(self) -> str:
        """``HOST/ALIAS``."""
        return self.uri(HOME).removesuffix(f"/{HOME}")

    def uri(self, repository: str) -> str:
        described = self.sandbox.client("ecr-public").describe_repositories(repositoryNames=[repository])
        uri: str = described["repositories"][0]["repositoryUri"]
        return uri

    def synthesize(self, body: Body) -> Path:
        """Synthesize an app of one stack; return its folder."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        app = App(outdir=str(folder))
        stack = Stack(app, "Agent")
        body(stack, PublicRepository.from_repository_name(stack, "Repository", HOME))
        app.synth()
        return folder

    def read(self, body: Body) -> Assembly:
        return read_assembly(self.synthesize(body))

    def review(self, assembly: Assembly, home: str = "", clients: ReviewClients | None = None) -> list[Effect]:
        clients = clients or ReviewClients()
        return find_effects(assembly, Registry(clients=clients, files=assembly.files, home=home, tell=self.told.append))

    def deploy(self, declared: DeclaredImage, assembly: Assembly) -> Response:
        """Create one image, as in a new stack."""
        retry = Retry(Deadline.after(600, SteppingClock()), Log())
        files = {(file.bucket, file.key): file for file in assembly.files}

        def connect(declaration: Declaration) -> Adapters:
            adapters = Adapters(declaration, self.clients, retry, retry)
            adapters.objects = KnownObjects(adapters.objects, files)
            return adapters

        event = Event(
            request_type=RequestType.CREATE,
            response_url="",
            sent=SENT,
            stack_id="arn:stack",
            request_id="1",
            logical_resource_id=declared.logical_id,
            resource_type="Custom::ECRPublicImage",
            properties={name: value for name, value in declared.properties.items() if name != "StateParameterName"},
        )
        return PublicImageResource(connect, Log()).create(event)


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def world(server: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    world = World(server, tmp_path)
    world.reset()
    return world


@pytest.fixture
def without_credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Read anonymously."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return world


@pytest.fixture
def cloud(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The account's stacks, none at first, and the function that works in them."""
    del world  # sets the environment variables for all clients
    with running_cloud() as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        yield cloud
