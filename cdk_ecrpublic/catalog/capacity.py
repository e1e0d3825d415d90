"""
How images are spread over nested stacks, and how much fits into one.

Each repository has a stack of its own choice: the one with the highest hash of
number and name. Its images are there as long as there is room, and move for
nothing that happens to others. What has no room goes, image by image, to the
stack of the image's own choice that has some.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .._assets.lambda_handler.oci import Reference
from .model import Image, ManifestFile, Repository, private_ecr

STACKS_MAX = 100
"""A hundred nested stacks hold 45,000 images."""

IMAGES_MAX = 450
"""
In one stack. CloudFormation allows 500 resources, and each image is one.

The rest is left for the function, its role, policies and log, and the app's own.
"""

PERMISSIONS_MAX = 350
"""
In one stack. The function's role names each repository once to publish, and
once more for copies, and each repository of private ECR that is copied from.

IAM attaches ten managed policies to a role by default, of 36 ARNs each (see
the provider's ``STATEMENT_MAX_RESOURCES``); the role's own policy has some too.
"""

TEMPLATE_MAX_BYTES = 900_000
"""Of CloudFormation's 1 MB; the rest is left for what is not an image."""

_IMAGE_BYTES = 700
"""What a resource has beside the texts that differ: measured, and rounded up."""

_INLINE_MAX_BYTES = 16 * 1024
"""Larger manifests do not stand in the template."""


@dataclass(frozen=True, slots=True)
class Load:
    """
    What an image takes of its stack.

    Attributes:
        permissions: Of the function, as kind and repository.
        template_bytes: Estimated.
    """

    permissions: frozenset[tuple[str, str]]
    template_bytes: int


@dataclass(slots=True)
class Part:
    """What one stack holds so far."""

    images: int = 0
    permissions: set[tuple[str, str]] = field(default_factory=set)
    template_bytes: int = 0

    def add(self, load: Load) -> None:
        """Hold one more image."""
        self.images += 1
        self.permissions |= load.permissions
        self.template_bytes += load.template_bytes

    def has_room(self, load: Load) -> bool:
        """Whether one more image fits."""
        return (
            self.images < IMAGES_MAX
            and self.template_bytes + load.template_bytes <= TEMPLATE_MAX_BYTES
            and len(self.permissions) + len(load.permissions - self.permissions) <= PERMISSIONS_MAX
        )

    @property
    def too_much(self) -> str | None:
        """What does not fit, in words; None if all does."""
        found = (
            f"{amount} {what}, and a stack takes {limit}" for amount, limit, what in self.amounts if amount > limit
        )
        return next(found, None)

    @property
    def amounts(self) -> tuple[tuple[int, int, str], ...]:
        """How much there is of everything, how much one stack takes, and of what."""
        return (
            (self.images, IMAGES_MAX, "images"),
            (len(self.permissions), PERMISSIONS_MAX, "permissions on repositories"),
            (self.template_bytes, TEMPLATE_MAX_BYTES, "bytes of template"),
        )


ImageId = tuple[str, str]
"""The name of a repository, and the key of an image."""


class Spread:
    """
    The images of a catalog, over nested stacks or in one.

    Args:
        repositories: All of them.
    """

    def __init__(self, repositories: Sequence[Repository]) -> None:
        # By hash, so that another repository or image stands between two others, and moves few of them.
        self._images = [
            ((repository.name, image.key), _load_of(repository.name, image))
            for repository in sorted(repositories, key=lambda each: _hash(each.name))
            for image in sorted(repository.images, key=lambda each: _hash(repository.name, each.key))
        ]

    def places(self, stacks: int) -> Mapping[ImageId, int] | None:
        """Choose one of *stacks* for each image; None if they have no room for all."""
        parts = [Part() for _ in range(stacks)]
        homes = {name: stack_of(name, stacks) for (name, _), _ in self._images}
        places: dict[ImageId, int] = {}
        away = []
        for image, load in self._images:
            home = homes[image[0]]
            if parts[home].has_room(load):
                parts[home].add(load)
                places[image] = home
            else:
                away.append((image, load))
        # Last, so that they take no room from images that are at home.
        for image, load in away:
            number = next((each for each in _ranking(stacks, *image) if parts[each].has_room(load)), None)
            if number is None:
                return None
            parts[number].add(load)
            places[image] = number
        return places

    def excess(self, stacks: int | None) -> str | None:
        """Say what does not fit, and what would; None if all does."""
        total = Part()
        for _, load in self._images:
            total.add(load)
        if stacks is None and total.too_much is None:
            return None
        if stacks is not None and self.places(stacks) is not None:
            return None
        least = max(math.ceil(amount / limit) for amount, limit, _ in total.amounts)
        least = max(least, (stacks or 1) + 1)
        enough = next((number for number in range(least, STACKS_MAX + 1) if self.places(number) is not None), None)
        remedy = f"pass stacks={enough}, or more to leave room" if enough else "take it in several catalogs, with only="
        where = f"{stacks} nested stacks have no room for it: there are" if stacks else "there are"
        return f"{where} {total.too_much}; {remedy}"


def stack_of(repository_name: str, stacks: int) -> int:
    """
    Choose one of *stacks* for a repository, whatever other repositories there are.

    By the highest hash: when *stacks* grows, repositories move to the new
    stacks only, and when it shrinks, only those of the stacks that go.
    Deployed catalogs rely on it: another choice would move their resources.
    """
    return next(_ranking(stacks, repository_name))


def _ranking(stacks: int, *names: str) -> Iterator[int]:
    yield from sorted(range(stacks), key=lambda number: _hash(str(number), *names), reverse=True)


def _hash(*names: str) -> bytes:
    return hashlib.sha256(":".join(names).encode()).digest()


def _load_of(repository_name: str, image: Image) -> Load:
    permissions = {("publish", repository_name)}
    if isinstance(image.source, ManifestFile):
        permissions.add(("check", repository_name))
    elif isinstance(image.source, Reference):
        permissions.add(("copy", repository_name))
        if private_ecr(image.source):
            permissions.add(("read", str(image.source.repository)))
    return Load(frozenset(permissions), _bytes_of(image))


def _bytes_of(image: Image) -> int:
    size = _IMAGE_BYTES + sum(len(tag.text) + 4 for tag in image.tags) + len(str(image.source))
    if isinstance(image.source, ManifestFile):
        text = image.source.path.read_text(encoding="utf-8")
        size += len(json.dumps(text)) if len(text) <= _INLINE_MAX_BYTES else 0
    return size
