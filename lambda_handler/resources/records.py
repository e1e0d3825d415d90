"""
Where records are stored, and which resource owns a tag.

======================================================  =====================================
below ``/cdk-ecrpublic/state/<account>/<repository>/``  is the record of a declaration
======================================================  =====================================
``<64 hex digits of the image's digest>/<owner>``       of one digest, to protect its tags
``moving/<owner>``                                      with a mutable source
``undo/<owner>``                                        of one digest that took tags over
======================================================  =====================================

``<owner>`` is ``<Region>.<stack>.<logical id>``. ``--`` replaces each ``/`` of
the repository's name; no name contains ``--`` itself. All records are in
us-east-1, where the registry is, so that stacks in all Regions see each other's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..oci import Digest, Manifest
from ..publish.ports import ParameterStore
from ..publish.remove import Owners, Removal
from .record import Record
from .record_names import MOVING, UNDO

ROOT = "/cdk-ecrpublic/state"

UNREADABLE = Record(tags=None, found=None, existed=None)
"""Stands for a record of an unknown version: it prevents removals, and restores nothing."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Records:
    """
    The records of one repository, as one resource sees them.

    Attributes:
        parameters: The parameters in us-east-1.
        first_parameters: The parameters in the function's own Region, where version 0.1 stored records.
        registry_id: The account id, or the alias of another account's registry.
        owner: The name of the resource; see ``owner_of``.
        first_name: The parameter in which 0.1 stored the record of this resource; empty if it stored none.
        was_updated: Returns whether CloudFormation has updated a resource of the stack
            since a time, in seconds since the epoch.
    """

    parameters: ParameterStore
    first_parameters: ParameterStore
    registry_id: str
    repository_name: str
    owner: str
    first_name: str = ""
    was_updated: Callable[[str, float], bool]

    def read(self, segment: str) -> Record | None:
        """
        Return the record of the resource; None if it does not exist.

        Raises:
            RemoteError: It cannot be read.
        """
        text = self.parameters.read(self._name(segment))
        if text is None:
            return None
        try:
            return Record.parse(text)
        except ValueError:
            return UNREADABLE

    def read_first(self) -> Record | None:
        """
        Return the record that version 0.1 wrote; None if it does not exist.

        Raises:
            RemoteError: It cannot be read.
        """
        text = self.first_parameters.read(self.first_name) if self.first_name else None
        if text is None:
            return None
        try:
            return Record.parse_first_version(text)
        except ValueError:
            return UNREADABLE

    def write(self, segment: str, record: Record, known: Record | None) -> None:
        """
        Write the record of the resource, unless it equals the *known* one.

        Raises:
            InvalidPropertiesError: It is too long.
            RemoteError: It was not written.
        """
        text = record.text()
        if known is None or known.text() != text:
            self.parameters.write(self._name(segment), text)

    def end(self, *segments: str, first: bool = False) -> None:
        """
        Delete records of the resource. It is not an error if they do not exist.

        Args:
            first: Also delete the record that version 0.1 wrote.

        Raises:
            RemoteError: A record was not deleted.
        """
        for segment in dict.fromkeys(segments):
            self.parameters.delete(self._name(segment))
        if first and self.first_name:
            self.first_parameters.delete(self.first_name)

    def owners(
        self, digest: Digest, tags: Collection[str] = (), since: float = 0.0, *, were_taken: bool = False
    ) -> Owners:
        """
        Return which tags of an image, and which of its manifests, other resources own.

        Args:
            tags: The tags in question.
            since: When this resource declared them, in seconds since the epoch; 0
                if not known. A resource of the same stack that declared one of
                them before, and was updated since, has it in a record that is
                kept only for a rollback, and does not own it.
            were_taken: Whether this resource took the tags over from other images.
                Then no resource of the stack that declared them before had them.

        Raises:
            RemoteError: The records cannot be read.
        """
        found = _Ownership(digest)
        for name, record in self._others(digest.hex):
            found.add(
                record,
                digest,
                {digest},
                is_superseded=self._is_superseded(name, record, tags, since, were_taken=were_taken),
            )
        for name, record in self._others(MOVING):
            is_superseded = self._is_superseded(name, record, tags, since, were_taken=were_taken)
            found.add(record, record.latest, record.deployed.values(), is_superseded=is_superseded)
        for record in self._others_of_first_version():
            found.add(record, record.latest, record.deployed.values())
        return Owners(
            tags=found.tags,
            digests=frozenset(found.digests),
            here=frozenset(found.here),
            is_complete=found.is_complete,
        )

    def _is_superseded(
        self, name: str, record: Record, tags: Collection[str], since: float, *, were_taken: bool
    ) -> bool:
        """Whether a record of the same stack with one of *tags* does not own it; see ``owners``."""
        is_asked = bool(tags) if record.tags is None else not set(tags).isdisjoint(record.tags)
        if not is_asked or not self._is_of_stack(name) or record.owned_since >= since:
            return False
        return were_taken or self.was_updated(name.rpartition(".")[2], record.owned_since)

    def of_others(self, segments: Iterable[str]) -> Iterator[Record]:
        """
        Yield the records of all other resources below *segments*.

        Raises:
            RemoteError: The records cannot be read.
        """
        return (record for segment in segments for _, record in self._others(segment))

    def of_stack(self, segments: Iterable[str]) -> Mapping[str, Record]:
        """
        Return the records of other resources of the same stack below *segments*, by parameter name.

        Raises:
            RemoteError: The records cannot be read.
        """
        found: dict[str, Record] = {}
        for segment in dict.fromkeys(segments):
            texts = self.parameters.list(self.path(segment))
            records = {name: _parse(text) for name, text in texts.items() if name != self._name(segment)}
            found |= {name: record for name, record in records.items() if self._is_of_stack(name)}
        return found

    def _is_of_stack(self, name: str) -> bool:
        """Whether a record belongs to the same stack. It compares names, since a review may not know the stack's id."""
        return name.rpartition("/")[2].rpartition(".")[0] == self.owner.rpartition(".")[0]

    def rewrite(self, name: str, record: Record) -> None:
        """
        Write the record of another resource of the same stack, unless that resource has just deleted it.

        Raises:
            InvalidPropertiesError: It is too long.
            RemoteError: It was not written.
        """
        if self.parameters.write(name, record.text()):
            self.parameters.delete(name)

    def at_risk(self, digest: Digest) -> frozenset[str]:
        """
        Return the tags that other resources may remove from an image, or give back, without owning them.

        Raises:
            RemoteError: The records cannot be read.
        """
        tags = {tag for removal in self.pending_removals(digest).values() for tag in removal.tags}
        for segment in (UNDO, MOVING):
            for _, record in self._others(segment):
                # With KEEP, a record does not have the images of the updates after the one that wrote it.
                tags.update(record.found or ())
        return frozenset(tags)

    def pending_removals(self, digest: Digest) -> Mapping[str, Removal]:
        """
        Return the removals that deleted resources left over for an image, by the name of their record.

        Raises:
            RemoteError: The records cannot be read.
        """
        texts = self.parameters.list(self.path(digest.hex))
        records = {name: _parse(text) for name, text in texts.items()}
        return {
            name: Removal(tags=record.tags, image=digest not in (record.existed or ()))
            for name, record in records.items()
            if record.left_over and record.tags
        }

    def delete_record(self, name: str) -> None:
        """
        Delete the record of another resource.

        Raises:
            RemoteError: It was not deleted.
        """
        self.parameters.delete(name)

    def hold(self, manifest: Manifest) -> None:
        """
        Store the manifest of an image that must stay, before its last tag is removed.

        Raises:
            RemoteError: It was not stored.
        """
        segment = manifest.digest.hex
        record = self.read(segment)
        if record is not UNREADABLE:
            self.write(segment, (record or Record()).with_manifest(manifest), record)

    def held(self, digest: Digest) -> Manifest | None:
        """
        Return the manifest that an earlier attempt stored; None if there is none.

        Raises:
            RemoteError: The record cannot be read.
        """
        record = self.read(digest.hex)
        return record.held_manifest(digest) if record else None

    def release(self, digest: Digest) -> None:
        """
        Forget a manifest, unless its record is about to be written or deleted anyway.

        Raises:
            RemoteError: That was not possible.
        """
        record = self.read(digest.hex)
        if record is not None and record.manifest and not record.stack:
            self.end(digest.hex)
        elif record is not None and record.left_over:
            self.write(digest.hex, replace(record, manifest=""), record)

    def _others(self, segment: str) -> Iterator[tuple[str, Record]]:
        mine = self._name(segment)
        texts = self.parameters.list(self.path(segment))
        return ((name, _parse(text)) for name, text in texts.items() if name != mine)

    def _others_of_first_version(self) -> Iterator[Record]:
        """Yield the records that 0.1 wrote for other resources. It wrote one only for a ``StateParameterName``."""
        path = self.first_name.rpartition("/")[0]
        texts = self.first_parameters.list(path) if path else {}
        for text in (text for name, text in texts.items() if name != self.first_name):
            try:
                yield Record.parse_first_version(text)
            except ValueError:
                yield UNREADABLE

    def path(self, segment: str) -> str:
        """Return the path of the records of a segment."""
        return f"{ROOT}/{self.registry_id}/{self.repository_name.replace('/', '--')}/{segment}"

    def _name(self, segment: str) -> str:
        return f"{self.path(segment)}/{self.owner}"


@dataclass
class _Ownership:
    """Collects what the records of other resources own, with the image that is asked about."""

    image: Digest
    tags: dict[str, Digest | None] = field(default_factory=dict)
    digests: set[Digest] = field(default_factory=set)
    here: set[str] = field(default_factory=set)
    is_complete: bool = True

    def add(
        self, record: Record, digest: Digest | None, digests: Collection[Digest], *, is_superseded: bool = False
    ) -> None:
        if record.left_over:
            return
        self.digests.update(digests)
        if is_superseded:
            return
        self.is_complete = self.is_complete and record.tags is not None
        tags = record.tags or ()
        # One record may say that a resource has the tag at this image, and an older one that it is elsewhere.
        self.tags |= {tag: digest for tag in tags if self.tags.get(tag) != self.image}
        if self.image in digests:
            self.here.update(tags)


def _parse(text: str) -> Record:
    try:
        return Record.parse(text)
    except ValueError:
        return UNREADABLE
