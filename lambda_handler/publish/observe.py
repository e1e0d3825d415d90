"""Find out what a repository already has of an image, with few requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..errors import IntegrityError
from ..oci import Digest
from .content import Content
from .plan import Observed, blobs_of
from .ports import PublicRepository

BLOBS_AT_ONCE_MAX = 100
"""The limit of BatchCheckLayerAvailability in botocore's model."""


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

    All requests are sent at once. Only the blobs of missing manifests matter: ECR
    Public accepts a manifest only if it has everything that the manifest refers
    to, and keeps that. So many blobs are looked up after the manifests.

    Args:
        signs: Whether the release signs the image, which must then be there by
            its digest before a tag is put. An index that the release makes is
            among neither the copied nor the given manifests.
        found: Where *tags* point, if that was just read.

    Raises:
        IntegrityError: A manifest states another size for a blob than the repository or another manifest.
    """
    wanted = {manifest.digest for manifest in content.carried}
    wanted |= {child.digest for manifest in content.given for child in manifest.children}
    if not tags or (signs and content.root.digest not in content.held):
        wanted.add(content.root.digest)
    asked = [*(tags if found is None else ()), *content.referrer_tags]
    with ThreadPoolExecutor(2) as pool:
        # A retag needs neither, and so no thread.
        early = pool.submit(_early_sizes, content, repository) if content.carried else None
        missing = pool.submit(repository.missing_images, wanted) if wanted else None
        found = {**(found or {}), **repository.resolve(asked)}
        missing_images = missing.result() if missing else frozenset[Digest]()
        sizes = early.result() if early else None
    return Observed(
        tags=found,
        missing_images=missing_images,
        missing_blobs=_missing_blobs(content, missing_images, repository, sizes),
        held={
            tag: repository.manifest(found[tag])
            for tag, manifest in content.referrer_tags.items()
            if found.get(tag) not in {None, manifest.digest}
        },
    )


def _early_sizes(content: Content, repository: PublicRepository) -> Mapping[Digest, int | None] | None:
    """Look up the blobs before it is known which images are missing, if one request suffices; None if it does not."""
    digests = {blob.digest for _, blob in blobs_of(content, frozenset(each.digest for each in content.carried))}
    return repository.blob_sizes(digests) if len(digests) <= BLOBS_AT_ONCE_MAX else None


def _missing_blobs(
    content: Content,
    missing_images: frozenset[Digest],
    repository: PublicRepository,
    early: Mapping[Digest, int | None] | None,
) -> frozenset[Digest]:
    """
    Return the blobs that the repository lacks.

    Clients refuse an image whose manifest states a wrong size. An upload checks
    the size, but a blob that exists is not uploaded.
    """
    blobs = list(blobs_of(content, missing_images))
    digests = {blob.digest for _, blob in blobs}
    there = repository.blob_sizes(digests) if early is None else early
    sizes: dict[Digest, int] = {digest: size for digest, size in there.items() if size is not None}
    for manifest, blob in blobs:
        if (size := sizes.setdefault(blob.digest, blob.size)) != blob.size:
            other = "another manifest states" if there.get(blob.digest) is None else "in the repository it has"
            message = f"the manifest {manifest.digest} states {blob.size} bytes for {blob.digest}, but {other} {size}"
            raise IntegrityError(message)
    return frozenset(digests - there.keys())
