"""The repositories and tags of the apps of ``benchmarks.apps``, without importing aws-cdk-lib, which starts Node."""

from __future__ import annotations

TAGS = 5
"""How many tags each image has."""


def repository_of(image: int) -> str:
    """Return the name of the repository that an image is in."""
    return f"acme/agent-{image}"


def tags_of(image: int) -> list[str]:
    """Return the tags of an image."""
    return [f"{image}.{tag}" for tag in range(TAGS)]
