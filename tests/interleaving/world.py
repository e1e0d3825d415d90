"""
A fake AWS in memory: a repository of ECR Public, parameters, stacks, and the time.

A world is copied for each schedule. Copies share everything that never changes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cdk_ecrpublic._assets.lambda_handler.oci import Digest as StoredDigest
from cdk_ecrpublic.sandbox.images import Image, build_image
from cdk_ecrpublic.sandbox.settings import Settings
from cdk_ecrpublic.sandbox.store.images import ImageId, ImageStore
from cdk_ecrpublic.sandbox.store.state import Layer, Repository
from cdk_ecrpublic.sandbox.store.timeline import LATEST, Timeline, View

from .stacks import Stack

ACCOUNT = "123456789012"
REPOSITORY = "acme/agent"
HOST = "public.ecr.aws"
URI = f"{HOST}/a1b2c3d4/{REPOSITORY}"

START = 1_800_000_000.0
"""The time at the start of each history, in seconds since the epoch."""

INDEXES = {"I": ("X", "Y")}
"""The indexes. All other images are single images, each with its own layer."""

SINGLES = ("P", "V", "W", "X", "Y")


@dataclass(frozen=True, kw_only=True)
class Service:
    """
    How the registry treats a removal that names a tag and a digest. The default is the assumed behavior.

    Attributes:
        ignores_digest: Whether the registry ignores the digest beside a tag.
        takes_image: Whether the pair deletes the whole image with all its tags.
    """

    ignores_digest: bool = False
    takes_image: bool = False


DOCUMENTED = Service()


@functools.cache
def sample_images() -> Mapping[str, Image]:
    """Return all images by name. They are the same in each process."""
    singles = {name: build_image({"etc/name": name.encode()}) for name in SINGLES}
    pairs = {name: tuple(singles[child] for child in children) for name, children in INDEXES.items()}
    return singles | {name: _index(children) for name, children in pairs.items()}


def _index(children: tuple[Image, ...]) -> Image:
    """Return an index of existing images. The sandbox's own index would have other children."""
    template = build_image({"a": b"a"}, platforms=("linux/amd64", "linux/arm64"))
    text = template.manifest.decode()
    for old, new in zip(template.children, children, strict=True):
        text = text.replace(old.digest, new.digest).replace(
            f'"size": {len(old.manifest)}', f'"size": {len(new.manifest)}'
        )
    return Image(manifest=text.encode(), media_type=template.media_type, children=children)


@functools.cache
def names() -> Mapping[str, str]:
    """Return the name of each image by its digest."""
    return {image.digest: name for name, image in sample_images().items()}


def digest(name: str) -> str:
    return sample_images()[name].digest


@functools.cache
def settings() -> Settings:
    """Return the same settings each time, because creating them takes longer than a request."""
    return Settings()


@dataclass(kw_only=True)
class World:
    """
    The world.

    Attributes:
        time: The time, in seconds since the epoch.
        parameters: The parameters, by Region and name.
        answers: The bodies of the responses, by request.
        next_id: The number of the next request.
    """

    service: Service = DOCUMENTED
    time: float = START
    repository: Repository
    parameters: dict[tuple[str, str], str] = field(default_factory=dict)
    stacks: dict[str, Stack] = field(default_factory=dict)
    answers: dict[str, list[bytes]] = field(default_factory=dict)
    next_id: int = 1

    def copy(self) -> World:
        repository = replace(
            self.repository, images=_copied(self.repository.images), tags=_copied(self.repository.tags)
        )
        return replace(
            self,
            repository=repository,
            parameters=dict(self.parameters),
            stacks={name: stack.copy() for name, stack in self.stacks.items()},
            answers={request: list(bodies) for request, bodies in self.answers.items()},
        )

    @property
    def store(self) -> ImageStore:
        return ImageStore(self.repository, ACCOUNT, settings(), self.time)

    def stack(self, name_or_id: str) -> Stack | None:
        return next((each for each in self.stacks.values() if name_or_id in {each.name, each.id}), None)

    def push(self, name: str, *tags: str) -> None:
        """Push an image as other tools do: first its children by digest, then its tags."""
        for child in INDEXES.get(name, ()):
            self.push(child)
        for tag in tags or (None,):
            self._put(sample_images()[name], tag)

    def _put(self, image: Image, tag: str | None) -> None:
        existing = self.repository.image(StoredDigest(image.digest))
        pointer = self.repository.tag(tag) if tag else None
        if existing is None or (tag and (pointer is None or pointer.digest != existing.digest)):
            self.store.put(image.manifest, image.media_type, tag=tag, digest=image.digest)

    def remove_tag(self, tag: str) -> None:
        self.store.delete(ImageId(tag=tag))

    def remove_image(self, name: str) -> None:
        self.store.delete(ImageId(digest=digest(name)))

    def tags(self, view: View = LATEST) -> dict[str, str]:
        """Return the name of the image that each tag points to."""
        return {tag: names()[str(found.digest)] for tag, found in self.repository.all_tags(view)}

    def images(self) -> frozenset[str]:
        return frozenset(names()[str(image.digest)] for image in self.repository.all_images())

    def fingerprint(self) -> tuple[object, ...]:
        """Return a value that is equal for worlds in which further requests have the same results."""
        answers = tuple(sorted((request, *bodies) for request, bodies in self.answers.items()))
        return (tuple(sorted(self.tags().items())), self.images(), tuple(sorted(self.parameters.items())), answers)


def new_world(service: Service = DOCUMENTED) -> World:
    """Create a world with an empty repository that has the layers of all images."""
    repository = Repository(account=ACCOUNT, name=REPOSITORY, created_at=START)
    for image in sample_images().values():
        for blob, content in image.blobs.items():
            layer = StoredDigest(blob)
            repository.layers[layer] = Layer(digest=layer, size=len(content), path=Path(blob))
    return World(service=service, repository=repository)


def _copied(timelines: dict[Any, Timeline[Any]]) -> dict[Any, Timeline[Any]]:
    # A timeline has only its list of changes. Every other way to copy it takes ten times as long.
    return {key: Timeline([*timeline._changes]) for key, timeline in timelines.items()}  # noqa: SLF001
