"""How images are spread over nested stacks, and how much fits into one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._assets.lambda_handler.oci import Reference
from .model import Image, ManifestFile, Repository, private_ecr

STACKS_MAX = 100
"""More nested stacks than anybody needs: a hundred of them hold tens of thousands of images."""

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
    What one stack has to hold.

    Attributes:
        images: Their number.
        permissions: Of the function, as kind and repository.
        template_bytes: Estimated.
    """

    images: int = 0
    permissions: frozenset[tuple[str, str]] = frozenset()
    template_bytes: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(
            self.images + other.images,
            self.permissions | other.permissions,
            self.template_bytes + other.template_bytes,
        )

    @property
    def too_much(self) -> str | None:
        """What does not fit, in words; None if all does."""
        for amount, limit, what in (
            (self.images, IMAGES_MAX, "images"),
            (len(self.permissions), PERMISSIONS_MAX, "permissions on repositories"),
            (self.template_bytes, TEMPLATE_MAX_BYTES, "bytes of template"),
        ):
            if amount > limit:
                return f"{amount} {what}, and a stack takes {limit}"
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
    permissions = {("publish", repository.name)} if repository.images else set()
    for image in repository.images:
        if isinstance(image.source, ManifestFile):
            permissions.add(("check", repository.name))
        elif isinstance(image.source, Reference):
            permissions.add(("copy", repository.name))
            if private_ecr(image.source):
                permissions.add(("read", str(image.source.repository)))
    size = sum(_bytes_of(image) for image in repository.images)
    return Load(len(repository.images), frozenset(permissions), size)


def excess(repositories: Sequence[Repository], stacks: int | None) -> str | None:
    """Say what does not fit, and what would; None if all does."""
    loads = {repository.name: load_of(repository) for repository in repositories}
    for name, load in loads.items():
        if load.too_much:
            return f"repository {name!r} alone has {load.too_much}; split its images over two catalogs"
    found = _first_excess(loads, stacks or 1)
    if found is None:
        return None
    larger = range((stacks or 1) + 1, STACKS_MAX + 1)
    enough = next((number for number in larger if _first_excess(loads, number) is None), None)
    remedy = f"pass stacks={enough}, or more to leave room" if enough else "split it over several catalogs"
    where = f"one of {stacks} nested stacks would have" if stacks else "there are"
    return f"{where} {found}; {remedy}"


def _first_excess(loads: Mapping[str, Load], stacks: int) -> str | None:
    parts: dict[int, list[Load]] = {}
    for name, load in loads.items():
        parts.setdefault(stack_of(name, stacks), []).append(load)
    totals = [sum(part, Load()) for part in parts.values()]
    return next((total.too_much for total in totals if total.too_much), None)


def _bytes_of(image: Image) -> int:
    size = _IMAGE_BYTES + sum(len(tag.text) + 4 for tag in image.tags) + len(str(image.source))
    if isinstance(image.source, ManifestFile):
        text = image.source.path.read_text(encoding="utf-8")
        size += len(json.dumps(text)) if len(text) <= _INLINE_MAX_BYTES else 0
    return size
