"""See what a repository holds of an image, with as few requests as that takes."""

from __future__ import annotations

from collections.abc import Sequence

from .content import Content
from .plan import Observed, blobs_of
from .ports import PublicRepository


def observe(content: Content, tags: Sequence[str], repository: PublicRepository) -> Observed:
    """
    Observe *repository* as far as it matters for publishing *content* under *tags*.

    Blobs are asked for only where their manifest is missing: the service
    takes a manifest only when all that it refers to is there, and keeps it.
    """
    wanted = {manifest.digest for manifest in content.copied}
    if not tags:
        wanted.add(content.root.digest)
    missing_images = repository.missing_images(wanted)
    return Observed(
        tags=repository.resolve(tags),
        missing_images=missing_images,
        missing_blobs=repository.missing_blobs(blobs_of(content, missing_images)),
    )
