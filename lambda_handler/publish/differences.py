"""Differences between a deployed declaration and the registry, in the words of ``verify`` and of the monitor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..errors import AccessError, DeadlineError, ThrottledError, UnavailableError
from ..oci import Digest
from .ports import PublicRepository

UNANSWERED = (AccessError, ThrottledError, UnavailableError, DeadlineError)
"""Errors that leave the result unknown. Any other error shows that the declaration is wrong."""


def tag_differences(tags: Sequence[str], digest: Digest, found: Mapping[str, Digest]) -> Iterator[str]:
    """Yield a sentence for each tag that does not point to *digest*."""
    for tag in tags:
        if tag not in found:
            yield f"tag {tag} does not exist, but should point to {digest}"
        elif found[tag] != digest:
            yield f"tag {tag} points to {found[tag]}, but should point to {digest}"


def image_differences(
    tags: Sequence[str], digest: Digest, found: Mapping[str, Digest], repository: PublicRepository
) -> Iterator[str]:
    """Yield a sentence for each tag that does not point to *digest*, and one if the image does not exist."""
    yield from tag_differences(tags, digest, found)
    if digest not in found.values() and repository.missing_images([digest]):
        yield missing(digest)


def missing(digest: Digest) -> str:
    """Return the sentence about an image that does not exist."""
    return f"image {digest} is missing"
