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
    wanted = {manifest.digest for manifest in content.carried}
    wanted |= {child.digest for manifest in content.given for child in manifest.children}
    if not tags:
        wanted.add(content.root.digest)
    missing_images = repository.missing_images(wanted)
    found = repository.resolve([*tags, *content.referrer_tags])
    return Observed(
        tags=found,
        missing_images=missing_images,
        missing_blobs=repository.missing_blobs(blobs_of(content, missing_images)),
        held={
            tag: repository.manifest(found[tag])
            for tag, manifest in content.referrer_tags.items()
            if found.get(tag) not in {None, manifest.digest}
        },
    )
