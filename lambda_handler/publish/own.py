"""
Manifests that this function has made for a repository, and that come from nowhere else.

Nobody can verify a signature of AWS Signer without cryptography, which this
function does not have. It must know those that it made, or it would sign again
with each release; and it must not mistake the envelope of a stranger for one of
them, or it would never sign. So it marks its manifests with the repository, and
puts no marked manifest that comes from another place. Then only those who may
push to the repository can forge one.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import InvalidManifestError
from ..oci import Digest, Manifest, Repository
from ..oci.bounded_json import parse_json
from .content import Content

MARK = "vnd.cdk-ecrpublic.repository"
"""The annotation of a manifest with the repository that it was made for."""


def is_own(manifest: Manifest, repository: Repository) -> bool:
    """Whether a manifest is marked as made for *repository*."""
    return manifest.subject is not None and _mark(manifest) == str(repository)


def _mark(manifest: Manifest) -> object:
    data = parse_json(manifest.content)
    annotations = data.get("annotations") if isinstance(data, dict) else None
    return annotations.get(MARK) if isinstance(annotations, dict) else None


def without_own(content: Content, repository: Repository) -> Content:
    """
    Leave out the referrers that are marked as made for *repository*, which is their destination; and what needs them.

    If they are real, it has them already, or its next release makes them.

    Raises:
        InvalidManifestError: The image itself is marked, or a part of it.
    """
    for manifest in content.copied:
        if is_own(manifest, repository):
            message = (
                f"the manifest {manifest.digest} of the image says that it was made by this function for {repository}, "
                "and comes from elsewhere"
            )
            raise InvalidManifestError(message, hint="build the image without it")
    # Children come before their index, and referrers after what they refer to.
    left_out: set[Digest] = set()
    for each in content.referrers:
        related = {child.digest for child in each.children} | ({each.subject.digest} if each.subject else set())
        if is_own(each, repository) or not left_out.isdisjoint(related):
            left_out.add(each.digest)
    return replace(
        content,
        referrers=tuple(each for each in content.referrers if each.digest not in left_out),
        referrer_tags={tag: each for tag, each in content.referrer_tags.items() if each.digest not in left_out},
    )
