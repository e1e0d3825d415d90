"""A registry, the people around it, and stacks that declare images in it; time passes when a test says so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from cdk_ecrpublic.sandbox.store.state import Repository
from tests.protocol.cloudformation import AnswerAddress, CloudFormation
from tests.protocol.conftest import Lambda
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.course import Template
from tests.support.deployment import DeployedStack
from tests.support.hooks import Action, Hook, Hooks, Moment

HOME, ELSEWHERE, UPSTREAM = "acme/agent", "acme/other", "up/stream"
SOURCE_TAG, UPSTREAM_TAG = "stable", "edge"

REGION, REGISTRY_REGION = "eu-west-1", "us-east-1"

PLATFORMS = ("linux/amd64", "linux/arm64")

WRITES = ("PutImage", "BatchDeleteImage", "PutManifest", "DeleteManifest", "StartUpload", "CompleteUpload")
PARAMETER_WRITES = ("PutParameter", "DeleteParameter", "DeleteParameters")

Kind = Literal["digest", "copy", "tag", "moving copy"]

Properties = dict[str, Any]

Options = Mapping[str, Any]
"""Which removal a declaration asks for."""

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
    The function of one stack in its Region.

    Attributes:
        warm: The instance that serves the next request.
    """

    clock: SteppingClock
    region: str
    warm: Lambda = field(init=False)
    made: list[Lambda] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_anew()

    def __call__(self, event: Mapping[str, object], remaining_seconds: float) -> None:
        # Clients are made for the Region that is set when they are first needed; the fixture sets it back.
        os.environ.update(AWS_REGION=self.region, AWS_DEFAULT_REGION=self.region)
        self.warm(event, remaining_seconds)

    def start_anew(self) -> None:
        """Let a cold instance serve what follows."""
        self.warm = Lambda(clock=self.clock)
        self.made.append(self.warm)


@dataclass(frozen=True)
class Release:
    """
    An image, and how a declaration names it.

    Attributes:
        is_resident: Whether the repository held the image before it was declared.
    """

    name: str
    image: Image
    source: Properties
    is_resident: bool

    def left(self, options: Options) -> set[str]:
        """Name what stays of it when its creation is undone: only DESTROY takes it, and only if it came along."""
        return set() if options == DESTROY and not self.is_resident else whole(self.name)


@dataclass
class Scene:
    """
    Everything around the handler.

    Attributes:
        hooks: Of the registry's requests; the control plane has its own.
        instances: All functions.
        names: What tests call the images, by digest.
    """

    sandbox: Sandbox
    plane: ControlPlane
    address: AnswerAddress
    hooks: Hooks
    clock: SteppingClock
    instances: list[Instances] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def stack(self, name: str = "Agent", region: str = REGION, pace: float = 5.0) -> DeployedStack:
        """Make a stack, which has a function of its own."""
        formation = CloudFormation(self.function(region), self.address, clock=self.clock)
        return DeployedStack(formation, self.plane, name=name, region=region, pace=pace)

    def function(self, region: str = REGION) -> Instances:
        """Make a function."""
        function = Instances(self.clock, region)
        self.instances.append(function)
        return function

    def start_anew(self) -> None:
        """Let cold instances of all functions serve what follows."""
        for function in self.instances:
            function.start_anew()

    def close(self) -> None:
        for function in self.instances:
            for made in function.made:
                made.close()

    def when(self, moment: Moment, operation: str, action: Action) -> Hook:
        """Run *action* before or after the next request of this kind, to whichever service it belongs."""
        hooks = self.plane.hooks if "Parameter" in operation else self.hooks
        return hooks.before(operation, action) if moment == "before" else hooks.after(operation, action)

    def lag(self, seconds: float) -> None:
        """Let reads be as old as that."""
        self.sandbox.settings = Settings(read_lag_describe_seconds=seconds, read_lag_digest_seconds=seconds)

    def push(self, name: str, *tags: str, to: str = HOME) -> Image:
        """Push an image of two platforms as a person or a build does; the same name is the same image."""
        image = build_image({"etc/name": name.encode()}, platforms=PLATFORMS)
        self.names |= {image.digest: name}
        self.names |= {child.digest: f"{name} {each}" for child, each in zip(image.children, PLATFORMS, strict=True)}
        push_image(self.sandbox, to, image, tags)
        return image

    def variants(self, count: int) -> dict[str, str]:
        """Push so many images that have only their layers in common, under a tag each; return the tags' images."""
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

    def release(self, kind: Kind, name: str) -> Release:
        """Make an image, and point the moving sources to it."""
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
        """Name the image of each tag, whatever reads would show; without the tags that sources are taken from."""
        tags = self._repository(repository).all_tags()
        return {name: self._named(tag.digest) for name, tag in sorted(tags) if name not in {SOURCE_TAG, UPSTREAM_TAG}}

    def images(self, repository: str = HOME) -> set[str]:
        """Name all images, with a tag or without."""
        return {self._named(image.digest) for image in self._repository(repository).all_images()}

    def _named(self, digest: object) -> str:
        return self.names.get(str(digest), str(digest))

    def parameters(self) -> dict[str, dict[str, str]]:
        """Return all parameters by Region; Regions without any are left out."""
        return {region: dict(names) for region, names in self.plane.regions.items() if names}

    def forget_all_parameters(self, text: str | None = None) -> None:
        """Delete all parameters, or put *text* into them."""
        for names in self.plane.regions.values():
            names.update(dict.fromkeys(names, text or ""))
            if text is None:
                names.clear()

    def registry_writes(self) -> list[str]:
        """Return the operations that wrote to the registry, or tried to, since the last ``nothing_so_far``."""
        return [request.operation for request in self.sandbox.requests.all(*WRITES) if request.repository != UPSTREAM]

    def wrote(self) -> list[str]:
        """Return those that wrote parameters, too."""
        parameters = [operation for operation in self.plane.requests if operation in PARAMETER_WRITES]
        return [*self.registry_writes(), *parameters]

    def nothing_so_far(self) -> None:
        """Forget all requests."""
        self.sandbox.requests.clear()
        self.plane.requests.clear()
        self.plane.calls.clear()

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        """See to it that nothing is written, to the registry or to parameters."""
        repositories = list(self.sandbox.store.registry_of(self.sandbox.account).repositories)
        self.nothing_so_far()
        before = [(self.tags(name), self.images(name)) for name in repositories], self.parameters()
        yield
        written = self.wrote()
        assert not written, f"there were requests to write: {written}"
        after = [(self.tags(name), self.images(name)) for name in repositories], self.parameters()
        assert before == after, f"there was {before}, and is {after}"

    def _repository(self, name: str) -> Repository:
        return self.sandbox.store.registry_of(self.sandbox.account).repositories[name]


def whole(*names: str) -> set[str]:
    """Name images and all that they list."""
    return {*names, *(f"{name} {platform}" for name in names for platform in PLATFORMS)}


def declare(release: Release | Image, *tags: str, **more: object) -> Properties:
    """Declare an image in the repository."""
    source = release.source if isinstance(release, Release) else {"Digest": release.digest}
    return {"RepositoryName": HOME, "ImageTags": list(tags), "Source": source, **more}


def template(stack: DeployedStack, **resources: Properties) -> Template:
    """
    Write a template as the construct library does.

    A resource has a parameter's name if its source may move, and wherever
    something may be removed from its repository.
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
    """Return what the function's log says, on one level or on all."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if level in ("", line["level"])]
