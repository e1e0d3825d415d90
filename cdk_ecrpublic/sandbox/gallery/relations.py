"""
How the images of a repository belong together.

An index lists images. A referrer names its subject; cosign puts the digest of the
subject into a tag instead: ``sha256-<hex>.sig``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from ..store.state import Repository, StoredImage, StoredTag

LEVELS_MAX = 8
"""How far an image may be from its root. An image further away is a root itself."""

DIGITS_SHOWN = 12

_COSIGN_TAG = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})(?:\..+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relations:
    """
    The images of a repository, each with its neighbours.

    Attributes:
        tags: The tags of each image, the latest first.
        parents: The indexes that list an image.
        attached: What refers to an image: signatures, SBOMs and the like.
        roots: The images that do not belong to another one, the latest first.
    """

    images: Mapping[Digest, StoredImage]
    tags: Mapping[Digest, Sequence[tuple[str, StoredTag]]]
    parents: Mapping[Digest, Sequence[Digest]]
    attached: Mapping[Digest, Sequence[Digest]]
    roots: Sequence[StoredImage]

    @classmethod
    def of(cls, repository: Repository) -> Relations:
        """Look at all images of a repository."""
        images = {image.digest: image for image in repository.all_images()}
        tags: dict[Digest, list[tuple[str, StoredTag]]] = {}
        for name, tag in sorted(repository.all_tags(), key=lambda item: item[1].created_at, reverse=True):
            tags.setdefault(tag.digest, []).append((name, tag))
        parents: dict[Digest, list[Digest]] = {}
        for image in images.values():
            for child in dict.fromkeys(image.children):
                parents.setdefault(child, []).append(image.digest)
        holders = _holders(images, tags, parents)
        attached: dict[Digest, list[Digest]] = {}
        for digest, holder in holders.items():
            attached.setdefault(holder, []).append(digest)
        roots = [image for digest, image in images.items() if digest not in parents and digest not in holders]
        roots.sort(key=lambda image: _latest(image, tags), reverse=True)
        return cls(images=images, tags=tags, parents=parents, attached=attached, roots=roots)


def is_cosign_tag(name: str) -> bool:
    """Return whether a tag contains the digest of the image that it belongs to."""
    return _COSIGN_TAG.fullmatch(name) is not None


def tag_text(name: str) -> str:
    """Return a tag as it is shown: the digest in cosign's tags is shortened, so that the suffix can be seen."""
    match = _COSIGN_TAG.fullmatch(name)
    return f"sha256-{match['hex'][:DIGITS_SHOWN]}…{name[match.end('hex') :]}" if match else name


def _holders(
    images: Mapping[Digest, StoredImage],
    tags: Mapping[Digest, Sequence[tuple[str, StoredTag]]],
    parents: Mapping[Digest, Sequence[Digest]],
) -> dict[Digest, Digest]:
    """Return what each attached image is attached to."""
    holders: dict[Digest, Digest] = {}
    for digest, image in images.items():
        subject = image.subject or _tagged_subject([name for name, _ in tags.get(digest, ())])
        if subject and subject in images and not _is_below(subject, digest, holders, parents):
            holders[digest] = subject
    return holders


def _tagged_subject(names: Sequence[str]) -> Digest | None:
    """Return the subject that the tags of an image name, if all of them are cosign's."""
    found = [_COSIGN_TAG.fullmatch(name) for name in names]
    subjects = {Digest(f"sha256:{match['hex']}") for match in found if match}
    return subjects.pop() if all(found) and len(subjects) == 1 else None


def _is_below(
    digest: Digest, other: Digest, holders: Mapping[Digest, Digest], parents: Mapping[Digest, Sequence[Digest]]
) -> bool:
    """Return whether an image belongs to the other one, or is too far from its root. Tags can form a circle."""
    above: Digest | None = digest
    for _ in range(LEVELS_MAX):
        if above is None or above == other:
            return above is not None
        above = holders.get(above) or next(iter(parents.get(above, ())), None)
    return True


def _latest(image: StoredImage, tags: Mapping[Digest, Sequence[tuple[str, StoredTag]]]) -> float:
    return max([image.pushed_at, *(tag.created_at for _, tag in tags.get(image.digest, ())[:1])])
