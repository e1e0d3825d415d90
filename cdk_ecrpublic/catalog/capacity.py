"""How images are spread over nested stacks, and how much fits into one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .model import Image, ManifestFile, Repository

STACKS_MAX = 100
"""More nested stacks than anybody needs: a hundred of them hold tens of thousands of images."""

IMAGES_MAX = 450
"""
In one stack. CloudFormation allows 500 resources, and each image is one.

The rest is left for the function, its role, policies and log, and the app's own.
"""

REPOSITORIES_MAX = 150
"""
In one stack. The function's role names each, once more for copies.

What CDK splits over a policy of the role and ten managed policies, the most
that IAM attaches by default, is some 400 ARNs.
"""

TEMPLATE_MAX_BYTES = 900_000
"""Of CloudFormation's 1 MB; the rest is left for what is not an image."""

_IMAGE_BYTES = 700
"""What a resource has beside the texts that differ: measured, and rounded up."""

_INLINE_MAX_BYTES = 16 * 1024
"""Larger manifests do not stand in the template."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one stack would have to hold."""

    images: int = 0
    repositories: int = 0
    template_bytes: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(
            self.images + other.images,
            self.repositories + other.repositories,
            self.template_bytes + other.template_bytes,
        )

    @property
    def excess(self) -> str | None:
        """What is too much, in words; None if it fits."""
        for amount, limit, what in (
            (self.images, IMAGES_MAX, "images"),
            (self.repositories, REPOSITORIES_MAX, "repositories"),
            (self.template_bytes, TEMPLATE_MAX_BYTES, "bytes of template"),
        ):
            if amount > limit:
                return f"{amount} {what}, and one stack takes {limit}"
        return None


def stack_of(repository_name: str, stacks: int) -> int:
    """
    Choose one of *stacks* for a repository, whatever other repositories there are.

    By the highest hash: when *stacks* grows, repositories move to the new
    stacks only, and when it shrinks, only those of the stacks that go.
    """
    return max(range(stacks), key=lambda number: hashlib.sha256(f"{number}:{repository_name}".encode()).digest())


def load_of(repository: Repository) -> Load:
    """Estimate what a repository takes of a stack."""
    size = sum(_bytes_of(image) for image in repository.images)
    return Load(len(repository.images), 1 if repository.images else 0, size)


def excess(repositories: Sequence[Repository], stacks: int | None) -> str | None:
    """Say what does not fit, and what would; None if all fits."""
    loads = {repository.name: load_of(repository) for repository in repositories}
    for name, load in loads.items():
        if load.excess:
            return f"repository {name!r} alone has {load.excess}; split its images over two catalogs"
    found = _excess(loads, stacks or 1)
    if found is None:
        return None
    enough = next((number for number in range(stacks or 2, STACKS_MAX + 1) if _excess(loads, number) is None), None)
    remedy = f"pass stacks={enough} or more" if enough else "split it over several catalogs"
    return f"there are {found}; {remedy}"


def _excess(loads: Mapping[str, Load], stacks: int) -> str | None:
    totals = [Load() for _ in range(stacks)]
    for name, load in loads.items():
        number = stack_of(name, stacks)
        totals[number] += load
    return _first(total.excess for total in totals)


def _first(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text), None)


def _bytes_of(image: Image) -> int:
    size = _IMAGE_BYTES + sum(len(tag.text) + 4 for tag in image.tags) + len(str(image.digest))
    if isinstance(image.source, ManifestFile):
        text = image.source.path.read_text(encoding="utf-8")
        size += len(json.dumps(text)) if len(text) <= _INLINE_MAX_BYTES else 0
    return size
