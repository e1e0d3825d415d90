"""
Remove tags, and images with them: read, remove, read again, put back.

Other deployments and people may change the repository in the meantime. So a
request names each tag with its image, and the result is compared with the
request. The owners are read before and after the removal. A deployment writes
its record before it reads the registry, so one of the two sees the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from ..concurrency import map_concurrently
from ..errors import (
    AccessError,
    DeadlineError,
    ImageError,
    MissingContentError,
    NotFoundError,
    NotYetVisibleError,
    TooLateError,
)
from ..log import Log
from ..oci import Digest, Manifest
from .ports import PUT_SECONDS, PublicRepository

OWNED = "another declaration has it"
TAKEN_MEANWHILE = "another declaration has taken it meanwhile"
"""Reasons why a tag stays. The other declaration may be about to be deleted, too."""

LAST = "it is the last tag of its image"
"""A reason why a tag stays. Other tags of the image may have just moved."""

MOVED = "it points to "
"""How the reason begins why a tag stays that another image has."""

MAX_CONCURRENT_READS = 4
"""How many records and manifests of children are read concurrently."""

HELD_MAX = 100
"""How many children of an index are read before its deletion, to put them back: as many as one call deletes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """
    The tags and images that other resources own.

    Attributes:
        tags: The declared image of each tag; None if it is not known.
        digests: The declared images.
        here: The tags that an owner has, or had, at the image in question.
        is_complete: Whether every record could be read. If not, each tag may have an owner.
    """

    tags: Mapping[str, Digest | None] = field(default_factory=dict)
    digests: AbstractSet[Digest] = frozenset()
    here: AbstractSet[str] = field(default=frozenset(), compare=False)
    is_complete: bool = True

    def own(self, tag: str) -> bool:
        """Whether *tag* must not be removed."""
        return not self.is_complete or tag in self.tags

    def own_image(self, digest: Digest) -> bool:
        """Whether the image must not be removed."""
        return not self.is_complete or digest in self.digests


class Ownership(Protocol):
    """Returns which resources own what. Each call reads the current state."""

    def owners(self, digest: Digest, tags: Collection[str] = (), since: float = 0.0) -> Owners:
        """
        Return what others own of an image.

        They do not own those of *tags* that resources of the same stack declared before *since*, and dropped.
        """

    def pending_removals(self, digest: Digest) -> Mapping[str, Removal]:
        """Return the removals that an index prevented when their resources were deleted, by record."""

    def delete_record(self, name: str) -> None:
        """Delete the record of such a removal."""

    def hold(self, manifest: Manifest) -> None:
        """Store a manifest for the next attempt, in case this one cannot put the image back."""

    def held(self, digest: Digest) -> Manifest | None:
        """Return the manifest that an earlier attempt stored."""

    def release(self, digest: Digest) -> None:
        """Forget the manifest, because the image is there again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """
    A request to remove tags of one image.

    Attributes:
        tags: The tags. Those that point to another image stay.
        image: Whether to delete the image with its last tag, and its children
            with it. If not, it stays, even without a tag.
        lists: The children of the image, in case it no longer exists.
        spared: The children that stay, because they existed before.
        keeps_last: Whether the last tag of the image stays.
        since: When the tags were declared, in seconds since the epoch; 0 if not known.
        is_undo: Whether this undoes a deployment, which has just put the image.
        is_recent: Whether the image may have just been put, so that reads may not show it yet.
        given_back: Tags that were just moved to other images. Reads may still show them at this one.
    """

    tags: Sequence[str]
    image: bool
    lists: Sequence[Digest] = ()
    spared: AbstractSet[Digest | None] = frozenset()
    keeps_last: bool = False
    since: float = 0.0
    is_undo: bool = False
    is_recent: bool = False
    given_back: Collection[str] = ()

    @property
    def wait_seconds(self) -> float:
        """How long to wait for the image if it is not visible."""
        return PUT_SECONDS if self.is_undo or self.is_recent else 0.0


@dataclass(slots=True, eq=False, repr=False)
class Remover:
    """
    Removes tags and images from one repository.

    Attributes:
        restoring: The same repository, to put back what must stay, also when the time is up.
        held: The children of indexes that are being deleted, to put them back if necessary.
    """

    repository: PublicRepository
    ownership: Ownership
    log: Log
    restoring: PublicRepository | None = None
    held: dict[Digest, Manifest] = field(default_factory=dict)

    def remove(self, digest: Digest, removal: Removal) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """
        Carry out *removal* for the image *digest*.

        Returns:
            The tags that stay, each with the reason, which is also logged; and
            those of them that stay because an index lists the image.
        """
        owners = self.ownership.owners(digest, removal.tags, removal.since)
        kept = self._spared(digest, removal, owners)
        try:
            manifest = self.repository.manifest(digest, wait_seconds=removal.wait_seconds)
        except NotFoundError:
            self.log.info(f"nothing to remove: {digest} does not exist", imageDigest=str(digest))
            self._put_back_held(digest)
            if removal.image and not owners.own_image(digest):
                # An earlier attempt may have removed the index, and then run out of time.
                self._sweep(removal.lists, removal)
            return kept, ()
        to_remove = [tag for tag in removal.tags if tag not in kept]
        if to_remove and removal.keeps_last and not self._other_tags(digest, to_remove):
            kept[to_remove.pop(0)] = LAST
        deletes_image = removal.image and not owners.own_image(digest)
        if to_remove:
            # While the index is deleted, others may delete its children.
            children = [child.digest for child in manifest.children][:HELD_MAX]
            self.held.update({child.digest: child for child in self._read_existing(children, 0.0)})
        may_lose_image = bool(to_remove) and removal.is_undo and not deletes_image
        if is_held := may_lose_image and not self._other_tags(digest, {*to_remove, *removal.given_back}):
            self.ownership.hold(manifest)
        try:
            listed = self._untag(manifest, to_remove)
            removed = [tag for tag in to_remove if tag not in listed]
            may_delete = self._put_back(manifest, removed, removal, keeps_image=not deletes_image)
            if may_delete and self._delete(manifest, removed, removal):
                self._sweep([child.digest for child in manifest.children], removal)
        except (DeadlineError, TooLateError) as error:
            self._put_back_after(error, manifest, to_remove, removal)
            raise
        if is_held:
            self.ownership.release(digest)
        kept |= dict.fromkeys(listed, "its image is listed by an index")
        for tag, why in kept.items():
            self.log.warning(f"tag {tag} stays: {why}", tag=tag)
        return kept, listed

    def _put_back_held(self, digest: Digest) -> None:
        """Put an image back that an earlier attempt deleted together with its last tag."""
        if (manifest := self.ownership.held(digest)) is not None:
            self._put(manifest, None)
            self.ownership.release(digest)
            self.log.warning(f"image {digest} was put back: its removal of tags was cut off")

    def _spared(self, digest: Digest, removal: Removal, owners: Owners) -> dict[str, str]:
        """Return the tags that must not be removed, with the reasons. Tags that do not exist are omitted."""
        seen = self.repository.resolve(removal.tags)
        kept: dict[str, str] = {}
        for tag in removal.tags:
            if not owners.is_complete:
                kept[tag] = "its owners cannot be read"
            elif self._is_owned(removal, owners, tag):
                kept[tag] = OWNED
            elif tag in seen and seen[tag] != digest:
                kept[tag] = f"{MOVED}{seen[tag]}, which this declaration did not put there"
        return kept

    def _is_owned(self, removal: Removal, owners: Owners, tag: str) -> bool:
        """
        Whether another resource owns a tag of the image.

        An undo also removes a tag that its owner has only at another image: it
        did not exist before, so the owner had it no longer.
        """
        is_elsewhere = owners.is_complete and owners.tags.get(tag) is not None and tag not in owners.here
        return owners.own(tag) and not (removal.is_undo and is_elsewhere)

    def _other_tags(self, digest: Digest, to_remove: Collection[str]) -> frozenset[str]:
        return self.repository.tags_of([digest]).get(digest, frozenset()) - set(to_remove)

    def _untag(self, manifest: Manifest, tags: Sequence[str]) -> tuple[str, ...]:
        """Remove tags of an image, put back other tags that were removed too, and return those that an index keeps."""
        if not tags:
            return ()
        removed, listed = self.repository.remove_tags(manifest.digest, tags)
        for digest, tag in removed:
            if digest == manifest.digest and tag in tags:
                self.log.info(f"tag {tag} removed", tag=tag, imageDigest=str(digest))
            else:
                self.restore(digest, manifest, tag, "it was removed along with others")
        return tuple(tag for tag in tags if tag in listed)

    def _put_back(self, manifest: Manifest, removed: Sequence[str], removal: Removal, *, keeps_image: bool) -> bool:
        """
        Put back tags that have an owner by now, and the image if it stays.

        Returns:
            Whether the image may be deleted.
        """
        if not removed and keeps_image:
            return False
        if keeps_image:
            # This comes first, because the image was deleted with its last tag.
            self._keep(manifest)
        owners = self.ownership.owners(manifest.digest, removed, removal.since)
        owned = [tag for tag in removed if self._is_owned(removal, owners, tag)]
        for tag in owned:
            self.restore(owners.tags.get(tag) or manifest.digest, manifest, tag, TAKEN_MEANWHILE)
        if not keeps_image and not owned and owners.own_image(manifest.digest):
            self._keep(manifest)
        return not (keeps_image or owned or owners.own_image(manifest.digest))

    def _put_back_after(self, error: ImageError, manifest: Manifest, tags: Sequence[str], removal: Removal) -> None:
        """Put back an image that may have been deleted with its last tag. The next attempt decides if that is right."""
        self._put(manifest, None)
        if isinstance(error, TooLateError):
            # No attempt follows, and another resource may have taken tags that were removed.
            self._put_back(manifest, tags, removal, keeps_image=True)

    def _keep(self, manifest: Manifest) -> None:
        """Put an image that may have been deleted with its last tag. A denied call is not an error if it exists."""
        try:
            self._put(manifest, None)
        except AccessError as error:
            if self.repository.missing_images([manifest.digest]):
                raise
            self.log.warning(f"image {manifest.digest} could not be put, but exists: {error.explain()}")

    def restore(self, digest: Digest, known: Manifest, tag: str, why: str) -> None:
        """Point a tag to an image again. If *known* is that image, it is not read."""
        try:
            manifest = known if digest == known.digest else self.repository.manifest(digest)
        except NotFoundError:
            # If the image is yet to be published, its own declaration puts the tag.
            self.log.warning(f"tag {tag} cannot be put back to {digest}, which does not exist: {why}", tag=tag)
            return
        self._put(manifest, tag)
        self.log.warning(f"tag {tag} was put back to {digest}: {why}", tag=tag, imageDigest=str(digest))

    def _put(self, manifest: Manifest, tag: str | None) -> None:
        """Put an image back. If its children were deleted in the meantime, put them first."""
        repository = self.restoring or self.repository
        try:
            repository.put(manifest, tag)
        except (MissingContentError, NotYetVisibleError):
            children = [self.held[child.digest] for child in manifest.children if child.digest in self.held]
            if not children:
                raise
            for child in children:
                self._put(child, None)
            repository.put(manifest, tag)

    def _delete(self, manifest: Manifest, removed: Collection[str], removal: Removal) -> bool:
        """Delete an image whose tags were *removed*, unless it has other tags; return whether it is deleted."""
        there = self.repository.tags_of([manifest.digest])
        if there.get(manifest.digest, frozenset()) - {*removed, *removal.given_back}:
            return False
        if not there and not removal.wait_seconds:
            return True
        return manifest.digest in self._delete_untagged([manifest])

    def _sweep(self, children: Sequence[Digest], removal: Removal) -> None:
        """Delete the children of a deleted index that nothing else uses."""
        there = self.repository.tags_of(children)
        for digest in there:
            if there[digest]:
                self._finish_pending_removals(digest)
        if any(there.values()):
            there = self.repository.tags_of(children)
        children = [digest for digest in children if digest not in removal.spared]
        untagged = [
            digest for digest in children if not there.get(digest) and (removal.wait_seconds or digest in there)
        ]
        owners = map_concurrently(self.ownership.owners, untagged, max_workers=MAX_CONCURRENT_READS)
        free = [digest for digest, each in zip(untagged, owners, strict=True) if not each.own_image(digest)]
        for gone in self._delete_untagged(self._read_existing(free, removal.wait_seconds)).values():
            self._sweep([child.digest for child in gone.children], removal)

    def _read_existing(self, digests: Sequence[Digest], wait_seconds: float) -> list[Manifest]:
        """Read the manifests of images, so that they can be put back. Images that do not exist are omitted."""

        def read(digest: Digest) -> Manifest | None:
            if digest in self.held:
                return self.held[digest]
            try:
                return self.repository.manifest(digest, wait_seconds=wait_seconds)
            except NotFoundError:
                return None

        return [
            manifest
            for manifest in map_concurrently(read, digests, max_workers=MAX_CONCURRENT_READS)
            if manifest is not None
        ]

    def _finish_pending_removals(self, digest: Digest) -> None:
        """Remove the tags that could not be removed before the index, and the image with the last of them."""
        for name, removal in self.ownership.pending_removals(digest).items():
            _, listed = self.remove(digest, removal)
            if not listed:
                self._delete_record(name)

    def _delete_record(self, name: str) -> None:
        try:
            self.ownership.delete_record(name)
        except ImageError as error:
            # The record may belong to another stack. It no longer owns anything, so it may stay.
            self.log.warning(f"the record {name} stays: {error.explain()}")

    def _delete_untagged(self, manifests: Sequence[Manifest]) -> Mapping[Digest, Manifest]:
        """Delete images by digest; put back those that have a tag or an owner by now, and return the others."""
        known = {manifest.digest: manifest for manifest in manifests}
        removed, listed = self.repository.remove_images(list(known))
        gone = {digest: manifest for digest, manifest in known.items() if digest not in listed}
        for digest, tag in removed:
            if tag and digest in known:
                gone.pop(digest, None)
                self.restore(digest, known[digest], tag, "its image has just been tagged")
        try:
            owners = map_concurrently(self.ownership.owners, list(gone), max_workers=MAX_CONCURRENT_READS)
        except DeadlineError:
            for manifest in gone.values():
                self._put(manifest, None)
            raise
        for digest, each in zip(list(gone), owners, strict=True):
            if each.own_image(digest):
                self._put(gone.pop(digest), None)
            else:
                self.log.info(f"image {digest} deleted", imageDigest=str(digest))
        return gone
