"""Find out what a repository already has of an image, with few requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..oci import Digest
from .content import Content
from .plan import Observed, blobs_of
from .ports import PublicRepository


def observe(
    content: Content,
    tags: Sequence[str],
    repository: PublicRepository,
    *,
    signs: bool = False,
    found: Mapping[str, Digest] | None = None,
) -> Observed:
    """
    Read from *repository* what a plan for *content* and *tags* depends on.

    Blobs are looked up only for missing manifests: ECR Public accepts a manifest
    only if it has everything that the manifest refers to, and keeps that.

    Args:
        signs: Whether the release signs the image, which must then be there by
            its digest before a tag is put. An index that the release makes is
            among neither the copied nor the given manifests.
        found: Where *tags* point, if that was just read.
    """
    wanted = {manifest.digest for manifest in content.carried}
    wanted |= {child.digest for manifest in content.given for child in manifest.children}
    if not tags or (signs and content.root.digest not in content.held):
        wanted.add(content.root.digest)
    missing_images = repository.missing_images(wanted)
    asked = [*(tags if found is None else ()), *content.referrer_tags]
    found = {**(found or {}), **repository.resolve(asked)}
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
