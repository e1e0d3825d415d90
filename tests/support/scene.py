"""A registry, its users, and stacks that declare images in it. A test moves the time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image
from cdk_ecrpublic.sandbox.store.state import Repository
from tests.protocol.cloudformation import AnswerAddress, CloudFormation
from tests.protocol.conftest import Lambda
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.course import Template
from tests.support.deployment import DeployedStack
from tests.support.hooks import Action, Hook, Hooks, Moment
from tests.support.pushed import push_image

HOME, ELSEWHERE, UPSTREAM = "acme/agent", "acme/other", "up/stream"
SOURCE_TAG, UPSTREAM_TAG = "stable", "edge"

REGION, REGISTRY_REGION = "eu-west-1", "us-east-1"

PLATFORMS = ("linux/amd64", "linux/arm64")

WRITES = ("PutImage", "BatchDeleteImage", "PutManifest", "DeleteManifest", "StartUpload", "CompleteUpload")
PARAMETER_WRITES = ("PutParameter", "DeleteParameter", "DeleteParameters")

Kind = Literal["digest", "copy", "tag", "moving copy"]

Properties = dict[str, Any]

Options = Mapping[str, Any]
"""The removal options of a declaration."""

KEEP: Options = {}
UNTAG: Options = {"OnTagRemoved": "Untag"}
DESTROY: Options = {"OnDelete": "Delete"}

OPTIONS = pytest.mark.parametrize("options", [KEEP, UNTAG, DESTROY], ids=["keep", "untag", "destroy"])
REMOVING = pytest.mark.parametrize("options", [UNTAG, DESTROY], ids=["untag", "destroy"])
KINDS = pytest.mark.parametrize("kind", ["digest", "copy", "tag", "moving copy"])
TWO_KINDS = pytest.mark.parametrize("kind", ["digest", "moving copy"])
MOVING = pytest.mark.parametrize("kind", ["tag", "moving copy"])
LAG = pytest.mark.parametrize("lag", [0, 5], ids=["fresh reads", "reads five seconds old"])


@dataclass
class Instances:
    """
    The instances of the function of one stack in its Region.

    Attributes:
        warm: The warm instance that serves the next request.
    """

    clock: SteppingClock
    region: str
    warm: Lambda = field(init=False)
    made: list[Lambda] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_cold()

    def __call__(self, event: Mapping[str, object], remaining_seconds: float) -> None:
        # A client is created for the Region that is set at its first use. The fixture restores the Region.
        os.environ.update(AWS_REGION=self.region, AWS_DEFAULT_REGION=self.region)
        self.warm(event, remaining_seconds)

    def start_cold(self) -> None:
        """Serve later requests with a cold instance."""
        self.warm = Lambda(clock=self.clock)
        self.made.append(self.warm)


@dataclass(frozen=True)
class Release:
    """
    An image, and its source in a declaration.

    Attributes:
        is_resident: Whether the repository had the image before it was declared.
    """

    name: str
    image: Image
    source: Properties
    is_resident: bool

    def left(self, options: Options) -> set[str]:
        """Return the images that stay when its creation is undone. Only DESTROY deletes those that were published."""
        return set() if options == DESTROY and not self.is_resident else whole(self.name)


@dataclass
class Scene:
    """
    Everything around the handler.

    Attributes:
        hooks: The hooks for requests to the registry; the control plane has its own.
        instances: All functions.
        names: The names of images in tests, by digest.
    """

    sandbox: Sandbox
    plane: ControlPlane
    address: AnswerAddress
    hooks: Hooks
    clock: SteppingClock
    instances: list[Instances] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def stack(self, name: str = "Agent", region: str = REGION, pace: float = 5.0) -> DeployedStack:
        """Create a stack with its own function."""
        formation = CloudFormation(self.function(region), self.address, clock=self.clock)
        return DeployedStack(formation, self.plane, name=name, region=region, pace=pace)

    def function(self, region: str = REGION) -> Instances:
        """Create a function."""
        function = Instances(self.clock, region)
        self.instances.append(function)
        return function

    def start_cold(self) -> None:
        """Serve later requests with cold instances of all functions."""
        for function in self.instances:
            function.start_cold()

    def close(self) -> None:
        for function in self.instances:
            for made in function.made:
                made.close()

    def when(self, moment: Moment, operation: str, action: Action) -> Hook:
        """Run *action* before or after the next request for this operation, of any service."""
        hooks = self.plane.hooks if "Parameter" in operation else self.hooks
        return hooks.before(operation, action) if moment == "before" else hooks.after(operation, action)

    def lag(self, seconds: float) -> None:
        """Make reads return the state of *seconds* ago."""
        self.sandbox.settings = Settings(read_lag_describe_seconds=seconds, read_lag_digest_seconds=seconds)

    def push(self, name: str, *tags: str, to: str = HOME) -> Image:
        """Push an image of two platforms, as a person or a build does. The same name always gives the same image."""
        image = build_image({"etc/name": name.encode()}, platforms=PLATFORMS)
        self.names |= {image.digest: name}
        self.names |= {child.digest: f"{name} {each}" for child, each in zip(image.children, PLATFORMS, strict=True)}
        push_image(self.sandbox, to, image, tags)
        return image

    def variants(self, count: int) -> dict[str, str]:
        """Push *count* images that share only their layers, each with a tag; return the digests by tag."""
        base = build_image({"etc/name": b"variants"})
        push_image(self.sandbox, HOME, base)
        for number in range(count):
            manifest = {**json.loads(base.manifest), "annotations": {"number": str(number)}}
            put = self.sandbox.client("ecr-public").put_image(
                repositoryName=HOME,
                imageManifest=json.dumps(manifest),
                imageManifestMediaType=base.media_type,
                imageTag=f"t{number}",
            )
            self.names[put["image"]["imageId"]["imageDigest"]] = f"variant {number}"
        return {f"t{number}": f"variant {number}" for number in range(count)}

    def move(self, image: Image, *tags: str, in_repository: str = HOME) -> None:
        """Point tags to an image as a person does."""
        push_image(self.sandbox, in_repository, image, tags)

    def delete(self, *digests: str, in_repository: str = HOME) -> None:
        """Delete images, with their tags, as a person does."""
        names = [{"imageDigest": digest} for digest in digests]
        self.sandbox.client("ecr-public").batch_delete_image(repositoryName=in_repository, imageIds=names)

    def untag(self, *tags: str) -> None:
        """Delete tags, as a person does."""
        names = [{"imageTag": tag} for tag in tags]
        self.sandbox.client("ecr-public").batch_delete_image(repositoryName=HOME, imageIds=names)

    def release(self, kind: Kind, name: str) -> Release:
        """Create an image, and point the mutable sources to it."""
        if kind in {"digest", "tag"}:
            image = self.push(name, *([SOURCE_TAG] if kind == "tag" else []))
            source: Properties = {"Digest": image.digest} if kind == "digest" else {"Tag": SOURCE_TAG}
            return Release(name, image, source, is_resident=True)
        image = self.push(name, UPSTREAM_TAG, to=UPSTREAM)
        reference = f":{UPSTREAM_TAG}" if kind == "moving copy" else f"@{image.digest}"
        source = {"Image": {"Reference": f"{self.uri(UPSTREAM)}{reference}"}}
        return Release(name, image, source, is_resident=False)

    def uri(self, repository: str) -> str:
        client = self.sandbox.client("ecr-public")
        described = client.describe_repositories(repositoryNames=[repository])["repositories"][0]
        return str(described["repositoryUri"])

    def tags(self, repository: str = HOME) -> dict[str, str]:
        """Return the name of each tag's image, regardless of lagging reads, without the tags that are sources."""
        tags = self._repository(repository).all_tags()
        return {name: self._named(tag.digest) for name, tag in sorted(tags) if name not in {SOURCE_TAG, UPSTREAM_TAG}}

    def images(self, repository: str = HOME) -> set[str]:
        """Return the names of all images, with or without tags."""
        return {self._named(image.digest) for image in self._repository(repository).all_images()}

    def _named(self, digest: object) -> str:
        return self.names.get(str(digest), str(digest))

    def parameters(self) -> dict[str, dict[str, str]]:
        """Return all parameters by Region, without empty Regions."""
        return {region: dict(names) for region, names in self.plane.regions.items() if names}

    def forget_all_parameters(self, text: str | None = None) -> None:
        """Delete all parameters, or replace their values with *text*."""
        for names in self.plane.regions.values():
            names.update(dict.fromkeys(names, text or ""))
            if text is None:
                names.clear()

    def registry_writes(self) -> list[str]:
        """Return the operations that wrote to the registry, or tried to, since the last ``forget_requests``."""
        return [request.operation for request in self.sandbox.requests.all(*WRITES) if request.repository != UPSTREAM]

    def wrote(self) -> list[str]:
        """Return the operations that wrote to the registry or to parameters."""
        parameters = [operation for operation in self.plane.requests if operation in PARAMETER_WRITES]
        return [*self.registry_writes(), *parameters]

    def forget_requests(self) -> None:
        """Forget all requests."""
        self.sandbox.requests.clear()
        self.plane.requests.clear()
        self.plane.calls.clear()

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        """Assert that the block writes nothing to the registry or to parameters."""
        repositories = list(self.sandbox.store.registry_of(self.sandbox.account).repositories)
        self.forget_requests()
        before = [(self.tags(name), self.images(name)) for name in repositories], self.parameters()
        yield
        written = self.wrote()
        assert not written, f"there were requests to write: {written}"
        after = [(self.tags(name), self.images(name)) for name in repositories], self.parameters()
        assert before == after, f"there was {before}, and is {after}"

    def _repository(self, name: str) -> Repository:
        return self.sandbox.store.registry_of(self.sandbox.account).repositories[name]


def whole(*names: str) -> set[str]:
    """Return the names of images and of all their children."""
    return {*names, *(f"{name} {platform}" for name in names for platform in PLATFORMS)}


def declare(release: Release | Image, *tags: str, **more: object) -> Properties:
    """Declare an image in the repository."""
    source = release.source if isinstance(release, Release) else {"Digest": release.digest}
    return {"RepositoryName": HOME, "ImageTags": list(tags), "Source": source, **more}


def template(stack: DeployedStack, **resources: Properties) -> Template:
    """
    Return a template as the construct library renders it.

    A resource has a parameter name if its source is mutable, or if something may
    be removed from its repository.
    """
    removing = {each["RepositoryName"] for each in resources.values() if {"OnTagRemoved", "OnDelete"} & each.keys()}
    written = {}
    for name, each in resources.items():
        repository = each["RepositoryName"]
        is_moving = "Tag" in each["Source"] or "@" not in str(each["Source"].get("Image", "@"))
        state = {"StateParameterName": f"/cdk-ecrpublic/{repository}/{stack.name}.{name}"}
        written[name] = {**each, **(state if is_moving or repository in removing else {})}
    return written


def messages(output: str, level: str = "") -> list[str]:
    """Return the messages in the function's log, of one level or of all."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if level in ("", line["level"])]
