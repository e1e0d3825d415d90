"""
Remove tags, and images with them, as far as nobody else has them.

The service has no removal that holds only while a tag points to a certain
image, and removing the last tag of an image deletes it. So everything is
looked at right before, and an image that goes although it should have stayed
is put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from ..log import Log
from ..oci import Digest, Manifest
from .ports import PublicRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """
    What a declaration may remove.

    Attributes:
        digests: The images that it put.
        claimed_tags: Tags that other declarations have.
        earlier_tags: Tags that were there before it, each with its image then.
        spared_digests: Images that other declarations have, or that were there before it.
    """

    digests: frozenset[Digest]
    claimed_tags: AbstractSet[str] = frozenset()
    earlier_tags: Mapping[str, Digest] = field(default_factory=dict)
    spared_digests: AbstractSet[Digest] = frozenset()


def untag(tags: Sequence[str], owned: Owned, repository: PublicRepository, log: Log) -> tuple[str, ...]:
    """
    Remove tags, and never an image: the last tag of one stays.

    Returns:
        The tags that stay; the log says why.
    """
    kept = _Kept(log)
    for digest, group in _removable(tags, owned, repository, kept).items():
        has_others = bool(repository.tags_of([digest]).get(digest, frozenset()) - set(group))
        if not has_others:
            kept.add(group.pop(0), "it is the last tag of its image")
        _untag(digest, group, repository, log)
    return tuple(kept.tags)


def delete(tags: Sequence[str], owned: Owned, repository: PublicRepository, log: Log) -> tuple[str, ...]:
    """
    Remove tags, the images that thereby lose their last one, and then their children.

    An image stays that has another tag, that an index lists, that another
    declaration has, or that was there before.

    Returns:
        The tags that stay; the log says why.
    """
    kept = _Kept(log)
    groups = _removable(tags, owned, repository, kept)
    manifests = [repository.manifest(digest) for digest in repository.tags_of(owned.digests)]
    for digest, group in groups.items():
        if digest in owned.spared_digests and not repository.tags_of([digest]).get(digest, frozenset()) - set(group):
            kept.add(group.pop(0), "its image is another declaration's too, or was there before, and has no other tag")
        for tag in group:
            if repository.remove_tag(tag):
                log.info(f"tag {tag} removed", tag=tag, imageDigest=str(digest))
            else:
                kept.add(tag, "its image is listed by an index")
    for manifest in manifests:
        _delete(manifest, owned, repository, log)
    return tuple(kept.tags)


class _Kept:
    """The tags that stay."""

    def __init__(self, log: Log) -> None:
        self.tags: list[str] = []
        self._log = log

    def add(self, tag: str, why: str) -> None:
        self.tags.append(tag)
        self._log.warning(f"tag {tag} stays: {why}", tag=tag)


def _removable(
    tags: Sequence[str], owned: Owned, repository: PublicRepository, kept: _Kept
) -> Mapping[Digest, list[str]]:
    """Group by image those of *tags* that are there and are ours."""
    found = repository.resolve(tags)
    groups: dict[Digest, list[str]] = {}
    for tag in tags:
        if tag not in found:
            continue
        if tag in owned.claimed_tags:
            kept.add(tag, "another declaration has it")
        elif tag in owned.earlier_tags:
            kept.add(tag, "it was there before the deployment that is rolled back")
        elif found[tag] not in owned.digests:
            kept.add(tag, f"it points to {found[tag]}, which this declaration did not put there")
        else:
            groups.setdefault(found[tag], []).append(tag)
    return groups


def _untag(digest: Digest, tags: Sequence[str], repository: PublicRepository, log: Log) -> None:
    if not tags:
        return
    manifest = repository.manifest(digest)
    for tag in tags:
        repository.remove_tag(tag)
        log.info(f"tag {tag} removed", tag=tag, imageDigest=str(digest))
    if repository.missing_images([digest]):
        # Its other tags went at the same moment, by somebody else's hand.
        repository.put(manifest, tags[-1])
        log.warning(f"image {digest} was put back under {tags[-1]}: it had lost its last tag")


def _delete(manifest: Manifest, owned: Owned, repository: PublicRepository, log: Log) -> None:
    """Delete an image that has no tag any more, an index before its children."""
    if not _delete_unused([manifest.digest], owned, repository, log):
        return
    children = repository.tags_of(child.digest for child in manifest.children)
    indexes = [child.digest for child in manifest.children if child.is_index and child.digest in children]
    nested = [repository.manifest(digest) for digest in indexes]
    _delete_unused(sorted(children.keys() - set(indexes)), owned, repository, log)
    for each in nested:
        _delete(each, owned, repository, log)


def _delete_unused(digests: Sequence[Digest], owned: Owned, repository: PublicRepository, log: Log) -> bool:
    """Delete those of *digests* that nothing has any more; return whether all are gone."""
    tags = repository.tags_of(digests)
    unused = [digest for digest in tags if not tags[digest] and digest not in owned.spared_digests]
    gone = set(unused) - repository.remove_images(unused)
    for digest in sorted(gone):
        log.info(f"image {digest} deleted", imageDigest=str(digest))
    return gone == tags.keys()
