"""The registry that stacks live beside: a few images, and people who move and delete tags by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from cdk_ecrpublic.sandbox.state import Registry, Repository
from lambda_handler.oci import Digest, ManifestMediaType
from tests.support.clock import SteppingClock

HOMES = ("acme/agent", "acme/other")
"""Repositories that stacks publish to."""

UPSTREAM = "acme/upstream"
"""Where they copy from; nothing of theirs may change here."""

SOURCE_TAG = "build"
"""A tag of the homes that stacks take images from, and never put."""

UPSTREAM_TAGS = ("edge", "stable")

BYSTANDER = "somebody-else"
"""A tag of the homes that no stack declares."""

IMAGES = tuple(build_image({"etc/name": name.encode()}) for name in ("first", "second", "third"))
MULTI_ARCH = build_image({"etc/name": b"both"}, platforms=("linux/amd64", "linux/arm64"))
RESIDENT = (*IMAGES, MULTI_ARCH)
"""Images of the homes."""

FOREIGN = (
    build_image({"etc/name": b"upstream"}),
    build_image({"etc/name": b"upstream of both"}, platforms=("linux/amd64", "linux/arm64")),
)
"""Images of the upstream repository."""


def index_of(*images: Image) -> str:
    """Write an index of images."""
    entries = [{"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)} for image in images]
    return json.dumps({"schemaVersion": 2, "mediaType": ManifestMediaType.OCI_INDEX, "manifests": entries})


NEW_INDEX = index_of(*IMAGES[:2])
"""In no repository at the beginning, but all that it lists is in the homes."""

PARTS = {
    **{image.digest: frozenset(child.digest for child in image.children) for image in (*RESIDENT, *FOREIGN)},
    str(Digest.of(NEW_INDEX.encode())): frozenset(image.digest for image in IMAGES[:2]),
}
"""What an image lists."""

SETTLED_SECONDS = 600.0
"""So long after a write, every read sees it."""

Tags = dict[tuple[str, str], str]
"""Repository and tag to digest."""


@dataclass(frozen=True)
class State:
    """
    All that is in the registry.

    Attributes:
        images: Digests by repository, tagged or not.
    """

    tags: Tags
    images: Mapping[str, frozenset[str]]


@dataclass
class ManualClock(SteppingClock):
    """Each look at the clock costs *tick* seconds, so that a deadline can fall between any two steps."""

    tick: float = 0.0

    def now(self) -> float:
        self.time += self.tick
        return self.time


@dataclass
class World:
    """A sandbox that is set back in an instant, and a clock that both it and the function go by."""

    sandbox: Sandbox
    clock: ManualClock = field(default_factory=ManualClock)
    beginning: dict[str, Registry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sandbox.store.clock = lambda: self.clock.time
        for name in (*HOMES, UPSTREAM):
            self._client.create_repository(repositoryName=name)
        for home in HOMES:
            for image in RESIDENT:
                push_image(self.sandbox, home, image)
            push_image(self.sandbox, home, IMAGES[0], [SOURCE_TAG, BYSTANDER])
        for image, tag in zip(FOREIGN, UPSTREAM_TAGS, strict=True):
            push_image(self.sandbox, UPSTREAM, image, [tag])
        self.beginning = copy.deepcopy(self.sandbox.store.registries)

    def begin_anew(self) -> None:
        """Set everything back to the beginning."""
        with self.sandbox.store.lock:
            self.sandbox.store.registries.clear()
            self.sandbox.store.registries.update(copy.deepcopy(self.beginning))
        self.calm_down()

    def calm_down(self) -> None:
        """End all faults, and let time pass until every write is seen."""
        self.sandbox.faults.clear()
        self.sandbox.requests.clear()
        self.sandbox.settings = type(self.sandbox.settings)()
        self.clock.tick = 0.0
        self.clock.time += SETTLED_SECONDS

    def lag(self, seconds: float) -> None:
        """Let reads be as old as that."""
        self.sandbox.settings = type(self.sandbox.settings)(
            read_lag_describe_seconds=seconds, read_lag_digest_seconds=seconds
        )

    def state(self) -> State:
        tags = {(name, tag): str(found.digest) for name, home in self._repositories for tag, found in home.all_tags()}
        images = {
            name: frozenset(str(image.digest) for image in home.all_images()) for name, home in self._repositories
        }
        return State(tags, images)

    def put_tag(self, repository: str, tag: str, image: Image) -> None:
        """Move a tag as a person does, with the image if it is gone."""
        push_image(self.sandbox, repository, image, [tag])

    def delete_tag(self, repository: str, tag: str) -> None:
        """Delete a tag as a person does; the last one takes its image along."""
        self._client.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])

    def mend(self) -> None:
        """Bring back what people deleted of the images and tags that stacks take images from."""
        tags = self.state().tags
        for home in HOMES:
            for image in (*RESIDENT, *FOREIGN):
                push_image(self.sandbox, home, image)
            if (home, SOURCE_TAG) not in tags:
                push_image(self.sandbox, home, IMAGES[0], [SOURCE_TAG])

    def upstream(self, reference: str) -> str:
        """Name an image of the upstream repository: ``:edge`` or ``@sha256:…``."""
        return f"{self._repository(UPSTREAM)}{reference}"

    def resolve(self, properties: Mapping[str, Any]) -> str | None:
        """Return the digest that the source of *properties* has now; None when there is no such image."""
        home, source = str(properties["RepositoryName"]), properties["Source"]
        state = self.state()
        match source:
            case {"Digest": digest}:
                return str(digest) if digest in state.images[home] else None
            case {"Tag": tag}:
                return state.tags.get((home, tag))
            case {"Manifest": {"Body": body}}:
                known = all(child in state.images[home] for child in _children(json.loads(body)))
                return str(Digest.of(body.encode())) if known else None
            case {"Image": {"Reference": reference}}:
                tag = reference.rpartition(":")[2]
                return reference.partition("@")[2] or state.tags.get((UPSTREAM, tag))
        raise AssertionError(source)

    @cached_property
    def _client(self) -> Any:
        return self.sandbox.client("ecr-public")

    @property
    def _repositories(self) -> Iterator[tuple[str, Repository]]:
        return iter(self.sandbox.store.registry_of(self.sandbox.account).repositories.items())

    def _named(self, name: str) -> Repository:
        return self.sandbox.store.registry_of(self.sandbox.account).repositories[name]

    def _repository(self, name: str) -> str:
        described = self._client.describe_repositories(repositoryNames=[name])["repositories"][0]
        return str(described["repositoryUri"])


def _children(manifest: Mapping[str, Any]) -> list[str]:
    return [child["digest"] for child in manifest.get("manifests", [])]
