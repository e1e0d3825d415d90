"""The limits of Amazon ECR Public: a release above one of them is refused before anything is copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .rule import Release, Rule

MIB = 1024 * 1024

LAYER_MAX_BYTES = 10_000 * MIB
"""Of a layer."""

IMAGE_TAGS_MAX = 1000
"""Of one image."""

REPOSITORY_IMAGES_MAX = 100_000
"""Of one repository; can be raised."""


@dataclass(frozen=True, slots=True)
class Limits(Rule):
    """
    The limits that hold for every release, without a declaration. An undo is not stopped.

    Not all tags of an image that is only retagged are read, because that would
    cost a request of each release. The service refuses the tag then.

    References:
        Amazon ECR Public user guide, "Service quotas".
    """

    def violations(self, release: Release) -> Iterator[str]:
        """Refuse layers that are too large, and too many tags."""
        for manifest in release.content.copied:
            for blob in manifest.blobs:
                if blob.size > LAYER_MAX_BYTES and not blob.is_foreign:
                    yield (
                        f"the layer {blob.digest} of {manifest.digest} has {blob.size} bytes; ECR Public allows "
                        f"{LAYER_MAX_BYTES} ({LAYER_MAX_BYTES // MIB:,} MiB): split the layer, and build again"
                    )
        there = release.ports.destination.known_tags(release.digest)
        tags = there | {tag for tag in release.tags if tag not in release.left}
        if len(tags) > max(IMAGE_TAGS_MAX, len(there)):
            yield (
                f"the image {release.digest} has {len(there)} tags, and would have {len(tags)}; ECR Public allows "
                f"{IMAGE_TAGS_MAX:,} for one image: remove tags that are not needed, or declare fewer"
            )


LIMITS = Limits()
"""Judges every release, after its own rules."""
