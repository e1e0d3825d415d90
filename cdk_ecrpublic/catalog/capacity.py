"""
Distribute images over nested stacks.

Each repository has a home stack, chosen by rendezvous hashing: the one with the
highest hash of stack number and repository name. Its images stay there as long
as there is room, whatever happens to other repositories. An image without room
goes to the stack with room that ranks highest for that image.
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
Images in one stack. CloudFormation allows 500 resources, and each image is one.

The rest is for the function, its role, policies and log, and the app's resources.
"""

PERMISSIONS_MAX = 350
"""
Repository ARNs in the policies of one stack. The role lists each repository once
for publishing, once more for copying, and each private ECR repository that is
a source.

By default a role can have ten managed policies, of 36 ARNs each (see the
provider's ``STATEMENT_MAX_RESOURCES``); its inline policy has some more.
"""

TEMPLATE_MAX_BYTES = 900_000
"""Of the 1 MB that CloudFormation allows; the rest is for everything but images."""

_IMAGE_BYTES = 700
"""The size of a resource without its variable strings: measured, and rounded up."""

_INLINE_MAX_BYTES = 16 * 1024
"""Larger manifests are assets and not in the template."""


@dataclass(frozen=True, slots=True)
class Load:
    """
    What an image adds to its stack.

    Attributes:
        permissions: The permissions of the function, as kind and repository.
        template_bytes: The estimated size.
    """

    permissions: frozenset[tuple[str, str]]
    template_bytes: int


@dataclass(slots=True)
class Part:
    """The content of one stack so far."""

    images: int = 0
    permissions: set[tuple[str, str]] = field(default_factory=set)
    template_bytes: int = 0

    def add(self, load: Load) -> None:
        """Add an image."""
        self.images += 1
        self.permissions |= load.permissions
        self.template_bytes += load.template_bytes

    def has_room(self, load: Load) -> bool:
        """Whether another image fits."""
        return (
            self.images < IMAGES_MAX
            and self.template_bytes + load.template_bytes <= TEMPLATE_MAX_BYTES
            and len(self.permissions) + len(load.permissions - self.permissions) <= PERMISSIONS_MAX
        )

    @property
    def too_much(self) -> str | None:
        """A description of what does not fit; None if everything does."""
        found = (
            f"{amount} {what}, but a stack can have only {limit}"
            for amount, limit, what in self.amounts
            if amount > limit
        )
        return next(found, None)

    @property
    def amounts(self) -> tuple[tuple[int, int, str], ...]:
        """The amount, the limit for one stack, and the unit of each quantity."""
        return (
            (self.images, IMAGES_MAX, "images"),
            (len(self.permissions), PERMISSIONS_MAX, "permissions on repositories"),
            (self.template_bytes, TEMPLATE_MAX_BYTES, "bytes of template"),
        )


ImageId = tuple[str, str]
"""The name of a repository, and the key of an image."""


class Spread:
    """
    Distributes the images of a catalog over nested stacks.

    Args:
        repositories: All repositories of the catalog.
    """

    def __init__(self, repositories: Sequence[Repository]) -> None:
        # Ordered by hash, so that a new repository or image moves only a few others.
        self._images = [
            ((repository.name, image.key), _load_of(repository.name, image))
            for repository in sorted(repositories, key=lambda each: _hash(each.name))
            for image in sorted(repository.images, key=lambda each: _hash(repository.name, each.key))
        ]

    def places(self, stacks: int) -> Mapping[ImageId, int] | None:
        """Assign each image to one of *stacks* stacks; None if not all images fit."""
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
        # Last, so that they do not take room from images in their home stack.
        for image, load in away:
            number = next((each for each in _ranking(stacks, *image) if parts[each].has_room(load)), None)
            if number is None:
                return None
            parts[number].add(load)
            places[image] = number
        return places

    def excess(self, stacks: int | None) -> str | None:
        """Describe what does not fit, and how many stacks are needed; None if everything fits."""
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
        remedy = (
            f"set stacks={enough}, or more to leave room" if enough else "split it into several catalogs with only="
        )
        where = f"the catalog does not fit into {stacks} nested stacks: it has" if stacks else "the catalog has"
        return f"{where} {total.too_much}; {remedy}"


def stack_of(repository_name: str, stacks: int) -> int:
    """
    Return the home stack of a repository, independent of all other repositories.

    It has the highest hash. If *stacks* grows, repositories only move to new
    stacks; if it shrinks, only those in removed stacks move. Deployed catalogs
    depend on this function: a change would move their resources.
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
