"""One run: read the repository and the declarations, decide, report, and remove if that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from ..concurrency import map_concurrently
from ..errors import ConflictError, DeadlineError, ImageError, NotFoundError
from ..oci import Digest
from ..retry import Retry
from .decision import Declared, Outcome, Retention, wholes
from .inventory import Image, Inventory, Links
from .ports import Declarations, RetainedRepository, Storage
from .removal import Remover, choose, put_back
from .state import LINKS_PREFIX, REMOVALS_PREFIX, Begun, decode_links, encode_links

MAX_CONCURRENT_READS = 8

STORE_AFTER = 10_000
"""After this many manifests, the links are stored, so that they are not lost if the function is ended."""

WRITES_MAX = 20
"""How often writing the removals is tried while other runs write them, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The result of a run.

    Attributes:
        outcomes: The decision about each image, the oldest first; empty if the run could not decide.
        removed: The images that were removed.
        pending: The images that are still there although their index was removed. The next run removes them.
        problem: Why the run could not decide, or not remove everything; empty if it could.
    """

    repository: str
    outcomes: Sequence[Outcome] = ()
    removed: frozenset[Digest] = frozenset()
    pending: frozenset[Digest] = frozenset()
    problem: str = ""

    @property
    def going(self) -> list[Outcome]:
        """The images that the rules remove."""
        return [outcome for outcome in self.outcomes if outcome.goes]

    def __str__(self) -> str:
        going = self.going
        size = sum(outcome.image.size for outcome in going)
        words = [f"{self.repository}: {len(going)} of {len(self.outcomes)} images expire ({size / 1e6:,.1f} MB)"]
        words += [f"{len(self.removed)} removed"] if self.removed else []
        words += [f"{len(self.pending)} pending, for the next run"] if self.pending else []
        words += [self.problem] if self.problem else []
        return "; ".join(words)


@dataclass(kw_only=True)
class Run:
    """
    A run for one repository.

    Attributes:
        storage: Where links and removals are kept; None to read every manifest and keep nothing.
        retry: For waiting until the service shows what it has done; its log is that of the run.
        now: In seconds since the epoch.
        limit: How many images one run removes; see ``choose``.
    """

    repository: RetainedRepository
    declarations: Declarations
    retention: Retention
    storage: Storage | None
    retry: Retry
    now: float
    limit: int = 1000
    _links: dict[Digest, Links] | None = field(default=None, init=False)
    _begun: Begun = field(default_factory=Begun, init=False)
    _batch: frozenset[Digest] = field(default=frozenset(), init=False)

    @property
    def links_key(self) -> str:
        """The name of the object with the links of manifests."""
        return f"{LINKS_PREFIX}{self.repository.registry_id}/{self.repository.name}.json.gz"

    @property
    def removals_key(self) -> str:
        """The name of the object with the removals that have begun."""
        return f"{REMOVALS_PREFIX}{self.repository.registry_id}/{self.repository.name}.json.gz"

    def report(self) -> Report:
        """Decide about every image. An error is a problem of the report, and then nothing is decided."""
        try:
            self._begun, _ = self._stored()
            return Report(repository=self.repository.name, outcomes=self._decide(self._inventory()))
        except ImageError as error:
            return Report(repository=self.repository.name, problem=_undecided(error))

    def remove(self) -> Report:
        """Decide about every image, and remove the images that expire, up to the limit."""
        removed: set[Digest] = set()
        outcomes: Sequence[Outcome] = ()
        remover: Remover | None = None
        problem = ""
        try:
            self._begun, _ = self._stored()
            inventory = self._inventory()
            self._complete(inventory)
            outcomes = self._decide(inventory)
            doomed = _going(outcomes)
            chosen = choose(doomed, inventory, self.limit)
            self._note_pending(_parts(chosen, inventory), inventory.images.keys() - doomed)
            remover = Remover(
                repository=self.repository,
                inventory=inventory,
                still_doomed=lambda: _going(self._decide(self._inventory())),
                begin=self._begin,
                retry=self.retry,
            )
            for digest in remover.remove(chosen):
                removed.add(digest)
                self._log_removed(inventory.images[digest])
            self._begin({})
            self._update(lambda begun: begun.without_pending(removed))
        except ImageError as error:
            problem = _stopped(error) if outcomes else _undecided(error)
        return Report(
            repository=self.repository.name,
            outcomes=outcomes,
            removed=frozenset(removed),
            pending=remover.pending(removed) if remover else frozenset(),
            problem=problem,
        )

    def _log_removed(self, image: Image) -> None:
        tags = sorted(image.tags)
        named = f" ({', '.join(tags)})" if tags else ""
        self.retry.log.info(f"image {image.digest}{named} removed", imageDigest=str(image.digest), tags=tags)

    def _decide(self, inventory: Inventory) -> Sequence[Outcome]:
        declared: Declared = self.declarations.read()
        return self.retention.decide(inventory, declared, self.now, self._begun.pending)

    def _inventory(self) -> Inventory:
        images = {image.digest: image for image in self.repository.images()}
        if self._links is None:
            self._links = decode_links(self.storage.read(self.links_key)[0]) if self.storage else {}
        links = self._links
        unknown = [digest for digest in images if digest not in links]
        for start in range(0, len(unknown), STORE_AFTER):
            try:
                self._read(unknown[start : start + STORE_AFTER], links)
            finally:
                self._store_links(images, links)
        # An image that was deleted while the others were read has no links.
        known: dict[Digest, Image] = {digest: image for digest, image in images.items() if digest in links}
        return Inventory(images=known, links={digest: links[digest] for digest in known})

    def _read(self, digests: Iterable[Digest], links: dict[Digest, Links]) -> None:
        """Read manifests, and add their links, also if one of them cannot be read."""

        def read(digest: Digest) -> None:
            try:
                links[digest] = Links.of(self.repository.manifest(digest))
            except NotFoundError:
                return

        map_concurrently(read, digests, max_workers=MAX_CONCURRENT_READS)

    def _store_links(self, images: Mapping[Digest, Image], links: Mapping[Digest, Links]) -> None:
        if self.storage is not None:
            # Another run may write at the same time. The links are true in both, and may be lost.
            needed = {digest: each for digest, each in links.items() if digest in images}
            self.storage.write(self.links_key, encode_links(needed))

    def _complete(self, inventory: Inventory) -> None:
        """Put back the tags of images that an interrupted run has left without some of them."""
        interrupted = self._begun.removing
        for digest, tags in interrupted.items():
            image = inventory.images.get(digest)
            if image is not None and (lost := tags - image.tags):
                put_back(self.repository, self.repository.manifest(digest), lost, self.retry.log)
        if interrupted:
            self._update(lambda begun: begun.with_batch({}, done=interrupted))

    def _note_pending(self, parts: Mapping[Digest, frozenset[Digest]], stays: AbstractSet[Digest]) -> None:
        """Note the parts that are about to be removed, and no longer those that stay now, or whose whole does."""
        revoked = [part for part, whole in self._begun.pending.items() if part in stays or whole & stays]
        self._update(lambda begun: begun.without_pending(revoked).with_pending(parts))

    def _begin(self, batch: Mapping[Digest, frozenset[str]]) -> None:
        """Note that a batch of tagged images is about to be removed, and that the last one is done."""
        if batch or self._batch:
            done = self._batch
            self._update(lambda begun: begun.with_batch(batch, done))
            self._batch = frozenset(batch)

    def _stored(self) -> tuple[Begun, str]:
        """Return the removals that have begun, and the version of their object."""
        if self.storage is None:
            return self._begun, ""
        content, version = self.storage.read(self.removals_key)
        return Begun.decode(content), version

    def _update(self, change: Callable[[Begun], Begun]) -> None:
        """Change the removals that have begun. What other runs write at the same time stays."""
        for _ in range(WRITES_MAX):
            before, version = self._stored()
            self._begun = change(before)
            if self._begun == before or self.storage is None:
                return
            if self.storage.write(self.removals_key, self._begun.encode(), version):
                return
        message = f"other runs have changed {self.removals_key} {WRITES_MAX} times meanwhile"
        raise ConflictError(message, operation="s3:PutObject", hint="let fewer runs of one repository overlap")


def _parts(chosen: AbstractSet[Digest], inventory: Inventory) -> Mapping[Digest, frozenset[Digest]]:
    """Return what each chosen image is a part of, as far as that is chosen, too."""
    found = {digest: wholes(digest, inventory) & chosen for digest in chosen}
    return {part: whole for part, whole in found.items() if whole}


def _going(outcomes: Iterable[Outcome]) -> AbstractSet[Digest]:
    return {outcome.image.digest for outcome in outcomes if outcome.goes}


def _undecided(error: ImageError) -> str:
    if isinstance(error, DeadlineError):
        return "not all manifests could be read in time; the next run continues"
    return f"nothing is removed: {error.explain()}"


def _stopped(error: ImageError) -> str:
    if isinstance(error, DeadlineError):
        return "not everything could be removed in time; the next run continues"
    return f"stopped: {error.explain()}"
