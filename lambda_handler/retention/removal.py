"""Remove images: look again, remove, and put back what was tagged meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field

from ..concurrency import map_concurrently
from ..errors import DeadlineError, ImageError, MissingContentError, NotFoundError, NotYetVisibleError
from ..log import Log
from ..oci import Digest, Manifest
from ..retry import Attempts, Retry
from .decision import in_order_of_removal, wholes
from .inventory import Inventory
from .ports import RetainedRepository

BATCH_MAX = 100
"""The limit of BatchDeleteImage."""

MAX_CONCURRENT_READS = 4


def choose(doomed: AbstractSet[Digest], inventory: Inventory, limit: int) -> frozenset[Digest]:
    """
    Choose the images of one run: the oldest, each with its parts.

    Args:
        limit: The run begins no further image when it has this many. The parts
            of the last one may exceed it.
    """
    chosen: set[Digest] = set()
    for group in in_order_of_removal(doomed, inventory):
        # Of images that name each other in a circle, none is the whole.
        others = doomed - set(group)
        for digest in sorted(group, key=lambda each: inventory.images[each].pushed):
            whole = wholes(digest, inventory) & others
            if (whole and whole <= chosen) or (not whole and len(chosen) < limit):
                chosen.add(digest)
    return frozenset(chosen)


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Remover:
    """
    Removes images from one repository.

    Attributes:
        still_doomed: Returns which images may still be removed, from what is
            there and declared now. It is called before each batch.
        begin: Is called before each batch with its tagged images and their
            tags, to put a tag back if the run is interrupted.
        retry: For waiting until the service shows what it has done; its log is that of the run.
    """

    repository: RetainedRepository
    inventory: Inventory
    still_doomed: Callable[[], AbstractSet[Digest]]
    begin: Callable[[Mapping[Digest, frozenset[str]]], None]
    retry: Retry
    _waiting: AbstractSet[Digest] = field(default=frozenset(), init=False)
    _refused: set[Digest] = field(default_factory=set, init=False)
    _kept: set[Digest] = field(default_factory=set, init=False)

    def remove(self, chosen: AbstractSet[Digest]) -> Iterator[Digest]:
        """
        Remove the chosen images, each before its parts, and yield what was removed.

        An interruption at any time leaves only whole images and parts of removed ones.
        The service may refuse a child for some seconds after its index was
        removed. It is tried again for a minute, and then is pending.

        Raises:
            RemoteError: A request failed; what was removed was yielded.
            DeadlineError: Time ran out, likewise.
        """
        attempts = self.retry.start("removing images that a removed index still seems to list")
        self._waiting = chosen
        while self._waiting:
            again = frozenset(self._refused)
            self._refused.clear()
            try:
                for digest in self._pass(self._waiting):
                    attempts.progressed()
                    yield digest
            except DeadlineError:
                if not again:
                    raise
                self._refused |= again
                return
            # With their parts, which the pass has left out.
            self._waiting = _with_parts_of(self._refused, self._waiting - self._kept, self.inventory)
            if self._waiting and not _waits(attempts, f"{len(self._refused)} images cannot be removed yet"):
                return

    def pending(self, removed: AbstractSet[Digest]) -> frozenset[Digest]:
        """Return the parts that are still there, although something that they are a part of was removed."""
        left = self._waiting - removed - self._kept
        return frozenset(each for each in left if each in self._refused or wholes(each, self.inventory) & removed)

    def _pass(self, chosen: AbstractSet[Digest]) -> Iterator[Digest]:
        stay: set[Digest] = set()
        for group in in_order_of_removal(chosen, self.inventory):
            self._kept |= {digest for digest in group if wholes(digest, self.inventory) & self._kept}
            stay |= self._kept | self._refused
            # Parts of parts wait, too.
            stay |= {digest for digest in group if wholes(digest, self.inventory) & stay}
            for batch in _batches([digest for digest in group if digest not in stay]):
                # Read before everything else that is read, because it takes longest.
                manifests = self._manifests(batch)
                doomed = self.still_doomed()
                gone: set[Digest] = set()
                for digest in self._remove([digest for digest in batch if digest in doomed], manifests):
                    gone.add(digest)
                    yield digest
                self._kept |= set(batch) - gone - self._refused

    def _remove(self, digests: Sequence[Digest], manifests: Mapping[Digest, Manifest]) -> Iterator[Digest]:
        """Remove images whose tags are still the same; yield those that no longer exist."""
        # A list that changes while it is read may lack a subject that exists.
        unlisted = {digest: self.inventory.named(digest) - self.inventory.images.keys() for digest in digests}
        subjects = self.repository.tags_of(frozenset[Digest]().union(*unlisted.values()))
        there = self.repository.tags_of(digests)
        changed = [digest for digest in there if there[digest] != self.inventory.images[digest].tags]
        for digest in changed:
            self._stays(digest, "its tags have changed since the run began")
        stay = {*changed, *(digest for digest in there if unlisted[digest] & subjects.keys())}
        ready = {digest: there[digest] for digest in there if digest in manifests and digest not in stay}
        tagged = {digest: tags for digest, tags in ready.items() if tags}
        yield from frozenset(digests) - there.keys()
        self.begin(tagged)
        if tagged:
            yield from self._untag(tagged, manifests)
        yield from self._remove_untagged([manifests[digest] for digest in ready if digest not in tagged])

    def _untag(
        self, tagged: Mapping[Digest, frozenset[str]], manifests: Mapping[Digest, Manifest]
    ) -> frozenset[Digest]:
        """
        Remove images with their tags, and return those that are gone.

        Only the known tags are named, so a tag that is put at this moment keeps
        the image, even if the response is lost.
        """
        refused = {digest for digest, tags in tagged.items() if self.repository.remove_tags(digest, sorted(tags))[1]}
        left = self._left(tagged, refused)
        for digest, tags in left.items():
            self._stays(digest, "an index lists it" if digest in refused else "it has just got another tag")
            put_back(self.repository, manifests[digest], tagged[digest] - tags, self.retry.log)
        self._refused |= refused & left.keys()
        return frozenset(tagged.keys() - left.keys())

    def _left(
        self, untagged: Mapping[Digest, frozenset[str]], refused: AbstractSet[Digest]
    ) -> Mapping[Digest, frozenset[str]]:
        """
        Return the images that exist without the removed tags, each with its tags.

        A read may still show what was removed; it is repeated for a minute. An
        image that still has a removed tag then has it again.
        """
        attempts = self.retry.start("reading the tags of removed images")
        while True:
            there = self.repository.tags_of(untagged)
            stale = {digest for digest in there.keys() - refused if there[digest] & untagged[digest]}
            if not stale or not _waits(attempts, f"reads still show {len(stale)} removed images"):
                return there

    def _remove_untagged(self, manifests: Sequence[Manifest]) -> frozenset[Digest]:
        """Remove images without tags; put back those that have just got one, or may have."""
        known = {manifest.digest: manifest for manifest in manifests}
        try:
            removed, listed = self.repository.remove_images(list(known))
        except ImageError:
            with suppress(ImageError):
                self._put_back_unanswered(known)
            raise
        for digest in listed:
            self._stays(digest, "an index lists it")
        tagged = {digest for digest, tag in removed if tag and digest in known}
        for digest in tagged:
            tags = {tag for each, tag in removed if each == digest}
            put_back(self.repository, known[digest], tags, self.retry.log)
        self._refused |= listed
        answered = {*listed, *(digest for digest, _ in removed)}
        again = self._put_back_unanswered({each: known[each] for each in known if each not in answered})
        return frozenset(known.keys() - listed - tagged - again)

    def _put_back_unanswered(self, manifests: Mapping[Digest, Manifest]) -> AbstractSet[Digest]:
        """
        Put back images that were removed without a response, because they may have just got a tag.

        Without the response, that tag is not known, but its image is not lost.
        An image whose layers are gone, too, cannot be put back.
        """
        unknown = manifests.keys() & self.repository.unanswered
        gone = unknown - self.repository.tags_of(unknown).keys() if unknown else unknown
        why = "the response to its removal was lost, so it was put back; a tag that was put at this moment is gone"
        back = frozenset(digest for digest in gone if self._has_put_back(manifests[digest]))
        for digest in back:
            self._stays(digest, why)
        return back

    def _has_put_back(self, manifest: Manifest) -> bool:
        try:
            self.repository.put(manifest, None)
        except MissingContentError as error:
            message = f"image {manifest.digest} is gone, and cannot be put back: {error.explain()}"
            self.retry.log.warning(message, imageDigest=str(manifest.digest))
            return False
        return True

    def _stays(self, digest: Digest, why: str) -> None:
        self.retry.log.warning(f"image {digest} stays: {why}", imageDigest=str(digest))

    def _manifests(self, digests: Iterable[Digest]) -> Mapping[Digest, Manifest]:
        """Read manifests, to put them back if necessary. Images that do not exist are omitted."""

        def read(digest: Digest) -> Manifest | None:
            try:
                return self.repository.manifest(digest)
            except NotFoundError:
                return None

        read_all = map_concurrently(read, digests, max_workers=MAX_CONCURRENT_READS)
        return {manifest.digest: manifest for manifest in read_all if manifest is not None}


def put_back(repository: RetainedRepository, manifest: Manifest, tags: AbstractSet[str], log: Log) -> None:
    """Put tags of an image back, except those that someone has put to another image meanwhile."""
    taken = repository.resolve(sorted(tags)) if tags else {}
    for tag in sorted(tags - taken.keys()):
        repository.put(manifest, tag)
        log.warning(f"tag {tag} was put back", tag=tag, imageDigest=str(manifest.digest))


def _with_parts_of(
    refused: AbstractSet[Digest], chosen: AbstractSet[Digest], inventory: Inventory
) -> frozenset[Digest]:
    """Return the refused images, and those of the chosen ones that are, directly or not, parts of them."""
    found: set[Digest] = set()
    waiting = list(refused)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            parts = (*inventory.children(digest), *inventory.attached.get(digest, ()))
            waiting += [part for part in parts if part in chosen]
    return frozenset(found)


def _waits(attempts: Attempts, why: str) -> bool:
    """Wait for what the service does not show yet; return False if that has taken too long."""
    try:
        attempts.pause(NotYetVisibleError(why, operation="ecr-public:BatchDeleteImage"))
    except NotYetVisibleError:
        return False
    return True


def _batches(digests: Sequence[Digest]) -> Iterator[Sequence[Digest]]:
    for start in range(0, len(digests), BATCH_MAX):
        yield digests[start : start + BATCH_MAX]
