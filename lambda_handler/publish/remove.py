"""
Remove tags, and images with them: mark, remove, look again, put back.

Between a look and a removal other deployments and people go on. So the
service is asked to remove a tag only from the image that it is removed from,
what it removed is compared with that, and who owns what is looked at before
and after: a deployment writes down what it owns before it looks at the
registry, so that one of the two sees the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from ..concurrency import map_concurrently
from ..errors import AccessError, DeadlineError, ImageError, MissingContentError, NotFoundError, NotYetVisibleError
from ..log import Log
from ..oci import Digest, Manifest
from .ports import GONE_SECONDS, PUT_SECONDS, PublicRepository

OWNED = "another declaration has it"
TAKEN_MEANWHILE = "another declaration has taken it meanwhile"
"""Why a tag stays. The other declaration may be about to be deleted, too."""

READERS = 4
"""How many records and manifests of children are read concurrently."""

HELD_MAX = 100
"""How many manifests of children are kept while their index is deleted: as many as one call deletes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """
    What other declarations own.

    Attributes:
        tags: Each with the image that it is declared for; None: not known.
        digests: Images that are declared.
        is_complete: Every record could be read; else each tag may have an owner.
    """

    tags: Mapping[str, Digest | None] = field(default_factory=dict)
    digests: AbstractSet[Digest] = frozenset()
    is_complete: bool = True

    def own(self, tag: str) -> bool:
        """Whether *tag* must not be removed."""
        return not self.is_complete or tag in self.tags

    def own_image(self, digest: Digest) -> bool:
        """Whether the image must not be removed."""
        return not self.is_complete or digest in self.digests


class Ownership(Protocol):
    """Returns which resources own what. Each call reads the current state."""

    def owners(self, digest: Digest, since: float = 0.0) -> Owners:
        """Return what others own of an image, without tags that the same stack declared before *since*."""

    def left_over(self, digest: Digest) -> Mapping[str, Removal]:
        """Return the removals that an index prevented when their resources were deleted, by record."""

    def forget(self, name: str) -> None:
        """Delete the record of such a removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """
    What is to be removed of one image.

    Attributes:
        tags: As far as they point to it.
        image: The image goes with its last tag, and its children with it;
            otherwise it stays, without a tag if need be.
        lists: The children, as far as they are known although the image is gone.
        spared: Of the children, those that stay: they were there before.
        keeps_last: The last tag of the image stays.
        since: When the tags were declared, in seconds since the epoch; 0: not known.
        is_undo: The image was put a moment ago, so that reads may not show it yet.
        given_back: Tags that were just pointed to other images; reads may still show them at this one.
    """

    tags: Sequence[str]
    image: bool
    lists: Sequence[Digest] = ()
    spared: AbstractSet[Digest] = frozenset()
    keeps_last: bool = False
    since: float = 0.0
    is_undo: bool = False
    given_back: Collection[str] = ()

    @property
    def wait_seconds(self) -> float:
        """How long to wait for the image if it is not visible."""
        return PUT_SECONDS if self.is_undo else 0.0


@dataclass(frozen=True, slots=True)
class Remover:
    """
    Removes from one repository.

    Attributes:
        undoing: The same repository, with time left to put an image back when time for the rest is up.
        held: What indexes list that are taken off, so that it can be put back with them.
    """

    repository: PublicRepository
    ownership: Ownership
    log: Log
    undoing: PublicRepository | None = None
    held: dict[Digest, Manifest] = field(default_factory=dict)

    def remove(self, digest: Digest, removal: Removal) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """
        Remove what *removal* says of the image *digest*.

        Returns:
            The tags that stay, each with the reason, which the log has too;
            and those among them that wait for an index that lists the image.
        """
        owners = self.ownership.owners(digest, removal.since)
        kept = self._spared(digest, removal, owners)
        try:
            manifest = self.repository.manifest(digest, wait_seconds=removal.wait_seconds)
        except NotFoundError:
            self.log.info(f"nothing to remove: {digest} does not exist", imageDigest=str(digest))
            if removal.image and not owners.own_image(digest):
                # An earlier attempt may have removed the index, and then run out of time.
                self._sweep(removal.lists, removal)
            return kept, ()
        doomed = [tag for tag in removal.tags if tag not in kept]
        if doomed and removal.keeps_last and not self._other_tags(digest, doomed):
            kept[doomed.pop(0)] = "it is the last tag of its image"
        goes = removal.image and not owners.own_image(digest)
        if doomed:
            # While the index is deleted, others may delete its children.
            children = [child.digest for child in manifest.children][:HELD_MAX]
            self.held.update({child.digest: child for child in self._known(children, 0.0)})
        try:
            listed = self._untag(manifest, doomed)
            removed = [tag for tag in doomed if tag not in listed]
            may_go = self._put_back(manifest, removed, removal.since, keeps_image=not goes)
            if may_go and self._delete(manifest, removed, removal):
                self._sweep([child.digest for child in manifest.children], removal)
        except DeadlineError:
            # It may have been deleted with its last tag. The next attempt decides whether it may be.
            self._put(manifest, None, self.undoing)
            raise
        kept |= dict.fromkeys(listed, "its image is listed by an index")
        for tag, why in kept.items():
            self.log.warning(f"tag {tag} stays: {why}", tag=tag)
        return kept, listed

    def _spared(self, digest: Digest, removal: Removal, owners: Owners) -> dict[str, str]:
        """Return the tags that must not be removed, with the reasons. Tags that do not exist are omitted."""
        seen = self.repository.resolve(removal.tags)
        kept: dict[str, str] = {}
        for tag in removal.tags:
            if not owners.is_complete:
                kept[tag] = "it cannot be read who else declares it"
            elif tag in owners.tags:
                kept[tag] = OWNED
            elif tag in seen and seen[tag] != digest:
                kept[tag] = f"it points to {seen[tag]}, which this declaration did not put there"
        return kept

    def _other_tags(self, digest: Digest, doomed: Collection[str]) -> frozenset[str]:
        return self.repository.tags_of([digest]).get(digest, frozenset()) - set(doomed)

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

    def _put_back(self, manifest: Manifest, removed: Sequence[str], since: float, *, keeps_image: bool) -> bool:
        """
        Put back tags that have an owner by now, and the image if it stays.

        Returns:
            Whether the image may go.
        """
        if not removed and keeps_image:
            return False
        if keeps_image:
            # First of all, because the image was deleted with its last tag.
            self._keep(manifest)
        owners = self.ownership.owners(manifest.digest, since)
        owned = [tag for tag in removed if owners.own(tag)]
        for tag in owned:
            target = owners.tags.get(tag) or manifest.digest
            self.restore(target, manifest, tag, TAKEN_MEANWHILE)
        if not keeps_image and not owned and owners.own_image(manifest.digest):
            self._keep(manifest)
        return not (keeps_image or owned or owners.own_image(manifest.digest))

    def _keep(self, manifest: Manifest) -> None:
        """Put an image that may have been deleted with its last tag. If it exists, a denied call is not an error."""
        try:
            self._put(manifest, None)
        except AccessError as error:
            if self.repository.missing_images([manifest.digest]):
                raise
            self.log.warning(f"image {manifest.digest} could not be put, and is there: {error.explain()}")

    def restore(self, digest: Digest, known: Manifest, tag: str, why: str) -> None:
        """Point a tag to an image again. *known* may be that image, which then is not read."""
        try:
            manifest = known if digest == known.digest else self.repository.manifest(digest)
        except NotFoundError:
            # If the image is yet to be published, its own declaration puts the tag.
            self.log.warning(f"tag {tag} cannot be put back to {digest}, which does not exist: {why}", tag=tag)
            return
        self._put(manifest, tag)
        self.log.warning(f"tag {tag} was put back to {digest}: {why}", tag=tag, imageDigest=str(digest))

    def _put(self, manifest: Manifest, tag: str | None, repository: PublicRepository | None = None) -> None:
        """Put an image back. If its children were deleted in the meantime, put them first."""
        repository = repository or self.repository
        try:
            repository.put(manifest, tag)
        except (MissingContentError, NotYetVisibleError):
            children = [self.held[child.digest] for child in manifest.children if child.digest in self.held]
            if not children:
                raise
            for child in children:
                self._put(child, None, repository)
            repository.put(manifest, tag)

    def _delete(self, manifest: Manifest, removed: Collection[str], removal: Removal) -> bool:
        """Delete an image whose tags were *removed*, unless it has other tags; return whether it is deleted."""
        there = self.repository.tags_of([manifest.digest])
        if there.get(manifest.digest, frozenset()) - {*removed, *removal.given_back}:
            return False
        if not there and not removal.is_undo:
            return True
        return manifest.digest in self._delete_untagged([manifest])

    def _sweep(self, children: Sequence[Digest], removal: Removal) -> None:
        """Delete the children of a deleted index that nothing else uses."""
        there = self.repository.tags_of(children)
        for digest in there:
            if there[digest]:
                self._take_left_over(digest)
        if any(there.values()):
            there = self.repository.tags_of(children)
        children = [digest for digest in children if digest not in removal.spared]
        untagged = [digest for digest in children if not there.get(digest) and (removal.is_undo or digest in there)]
        owners = map_concurrently(self.ownership.owners, untagged, max_workers=READERS)
        free = [digest for digest, each in zip(untagged, owners, strict=True) if not each.own_image(digest)]
        for gone in self._delete_untagged(self._known(free, removal.wait_seconds)).values():
            self._sweep([child.digest for child in gone.children], removal)

    def _known(self, digests: Sequence[Digest], wait_seconds: float) -> list[Manifest]:
        """Read the manifests of images, so that they can be put back. Images that do not exist are omitted."""

        def read(digest: Digest) -> Manifest | None:
            if digest in self.held:
                return self.held[digest]
            try:
                return self.repository.manifest(digest, wait_seconds=wait_seconds)
            except NotFoundError:
                return None

        return [manifest for manifest in map_concurrently(read, digests, max_workers=READERS) if manifest is not None]

    def _take_left_over(self, digest: Digest) -> None:
        """Remove the tags that had to wait for the index, and the image with the last of them."""
        for name, removal in self.ownership.left_over(digest).items():
            _, listed = self.remove(digest, removal)
            if not listed:
                self._forget(name)

    def _forget(self, name: str) -> None:
        try:
            self.ownership.forget(name)
        except ImageError as error:
            # It belongs to another stack. It owns nothing any longer, so it may stay.
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
            owners = map_concurrently(self.ownership.owners, list(gone), max_workers=READERS)
        except DeadlineError:
            for manifest in gone.values():
                self._put(manifest, None, self.undoing)
            raise
        for digest, each in zip(list(gone), owners, strict=True):
            if each.own_image(digest):
                self._put(gone.pop(digest), None)
            else:
                self.log.info(f"image {digest} deleted", imageDigest=str(digest))
        return gone


def give_back(
    found: Mapping[str, Digest], ours: AbstractSet[Digest], repository: PublicRepository, log: Log
) -> Collection[str]:
    """
    Point tags that a deployment took over to where they pointed before.

    Args:
        found: The tags, each with its image then.
        ours: What the deployment put them to, as far as that is known.

    A tag that is seen at a third image was moved since, and one that does not
    exist was removed: both stay as they are. All others are put, also one
    that seems to be in place: reads lag.

    Returns:
        The tags that point to where they pointed before.
    """
    known: dict[Digest, Manifest | None] = {}
    given_back: list[str] = []
    seen = repository.resolve(list(found))
    for tag, digest in found.items():
        if tag not in seen or seen[tag] not in {digest, *ours}:
            what = f"points to {seen[tag]}" if tag in seen else "does not exist"
            log.warning(f"tag {tag} is not given back to {digest}: by now it {what}", tag=tag)
            continue
        if digest not in known:
            try:
                # Another declaration may be removing its last tag at this moment, and will put the image back.
                known[digest] = repository.manifest(digest, wait_seconds=GONE_SECONDS)
            except NotFoundError:
                known[digest] = None
        if (manifest := known[digest]) is None:
            log.warning(f"tag {tag} cannot be given back: {digest}, where it pointed, does not exist any more", tag=tag)
            continue
        try:
            repository.put(manifest, tag)
        except ImageError as error:
            if error.retryable or seen[tag] != digest:
                raise
            # A permanent refusal also applied before, so the tag never moved.
            log.warning(f"tag {tag} seems to be where it was, and could not be put: {error.explain()}", tag=tag)
            continue
        log.info(f"tag {tag} was given back to {digest}", tag=tag, imageDigest=str(digest))
        given_back.append(tag)
    return given_back
