"""
Where records are kept, and who owns a tag.

======================================================  ===================================
below ``/cdk-ecrpublic/state/<account>/<repository>/``  are the records of declarations
======================================================  ===================================
``<64 hex digits of the image's digest>/<owner>``       that own tags of that image
``moving/<owner>``                                      whose source may move
``undo/<owner>``                                        of other images that took tags over
======================================================  ===================================

``<owner>`` is ``<Region>.<stack>.<logical id>``, and each ``/`` of the
repository's name is ``--``, which no name has. All are in us-east-1, where
the registry is, so that the stacks of all Regions see each other's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..oci import Digest
from ..publish.ports import ParameterStore
from ..publish.remove import Owners, Removal
from ..spec import Declaration
from .record import Record

ROOT = "/cdk-ecrpublic/state"
MOVING, UNDO = "moving", "undo"

_STACK_ARN = re.compile(r"arn:[^:]+:cloudformation:(?P<region>[^:]*):[^:]*:stack/(?P<name>[^/]+)(?:/.*)?")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]")

UNREADABLE = Record(tags=None, found=None, existed=None)
"""Stands for a record of an unknown version: it prevents removals, and restores nothing."""


def owner_of(stack_id: str, logical_resource_id: str) -> str:
    """
    Name a resource among all of an account.

    >>> owner_of("arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10", "Release")
    'eu-west-1.Agent.Release'
    """
    match = _STACK_ARN.fullmatch(stack_id)
    stack = f"{match['region']}.{match['name']}" if match else stack_id
    return _NOT_IN_NAMES.sub("-", f"{stack}.{logical_resource_id}")


def owns_tags(declaration: Declaration) -> bool:
    """Whether a declaration always has a record that protects its tags, whatever is in the registry."""
    return bool(declaration.untags or declaration.deletes or declaration.state_parameter)


def remembers(declaration: Declaration) -> bool:
    """Whether a declaration always has a record."""
    return declaration.pinned is None or owns_tags(declaration)


def segment_of(declaration: Declaration, *, shares: bool = False) -> str:
    """
    Say below which segment the record of a declaration is.

    Args:
        shares: One of its tags was at its image before, and has another owner.
    """
    if declaration.pinned is None:
        return MOVING
    return declaration.pinned.hex if shares or owns_tags(declaration) else UNDO


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """
    The records of one repository, as one resource sees them.

    Attributes:
        parameters: In us-east-1.
        first_parameters: In the function's own Region, where version 0.1 kept its own.
        first_name: The parameter that 0.1 kept this resource's record in; empty: none.
    """

    parameters: ParameterStore
    first_parameters: ParameterStore
    registry_id: str
    repository_name: str
    owner: str
    first_name: str = ""

    def read(self, segment: str) -> Record | None:
        """
        Return the resource's record; None when there is none.

        Raises:
            RemoteError: It may not, or cannot be read.
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
        Return what version 0.1 wrote of the resource; None when there is nothing.

        Raises:
            RemoteError: It may not, or cannot be read.
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
        Store the resource's record, unless it is *known* to be that already.

        Raises:
            InvalidPropertiesError: It is too long.
            RemoteError: It was not stored.
        """
        text = record.text()
        if known is None or known.text() != text:
            self.parameters.write(self._name(segment), text)

    def end(self, *segments: str, first: bool = False) -> None:
        """
        Delete records of the resource; those that are gone already are fine.

        Args:
            first: Also what version 0.1 wrote.

        Raises:
            RemoteError: One was not deleted.
        """
        for segment in dict.fromkeys(segments):
            self.parameters.delete(self._name(segment))
        if first and self.first_name:
            self.first_parameters.delete(self.first_name)

    def owners(self, digest: Digest, since: float = 0.0) -> Owners:
        """
        Return what other resources own of an image, and which tags they have in general.

        Args:
            since: When the tags in question were declared, in seconds since
                the epoch. A stack declares a tag once: what it declared
                before then is kept for a rollback only. 0: not known.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        found = _Ownership()
        for name, record in self._others(digest.hex):
            found.add(record, digest, {digest}, is_superseded=self._is_of_stack(name) and record.claimed < since)
        for name, record in self._others(MOVING):
            is_superseded = self._is_of_stack(name) and record.claimed < since
            found.add(record, record.latest, record.deployed.values(), is_superseded=is_superseded)
        for record in self._others_of_first_version():
            found.add(record, record.latest, record.deployed.values())
        return Owners(tags=found.tags, digests=frozenset(found.digests), is_complete=found.is_complete)

    def of_stack(self, segments: Iterable[str]) -> Mapping[str, Record]:
        """
        Return the records of other resources of the same stack below some segments, by their names.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        found: dict[str, Record] = {}
        for segment in dict.fromkeys(segments):
            texts = self.parameters.list(self.path(segment))
            records = {name: _parse(text) for name, text in texts.items() if name != self._name(segment)}
            found |= {name: record for name, record in records.items() if self._is_of_stack(name)}
        return found

    def _is_of_stack(self, name: str) -> bool:
        """Whether a record is one of the same stack. A review may not know the unique id of a stack, so names tell."""
        return name.rpartition("/")[2].rpartition(".")[0] == self.owner.rpartition(".")[0]

    def rewrite(self, name: str, record: Record) -> None:
        """
        Store the record of another resource of the same stack.

        Raises:
            InvalidPropertiesError: It is too long.
            RemoteError: It was not stored.
        """
        self.parameters.write(name, record.text())

    def at_risk(self, digest: Digest) -> frozenset[str]:
        """
        Return the tags of an image that others may remove or give back, although they do not own them.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        tags = {tag for removal in self.left_over(digest).values() for tag in removal.tags}
        for _, record in self._others(UNDO):
            if digest in record.put:
                tags.update(record.found or ())
        return frozenset(tags)

    def left_over(self, digest: Digest) -> Mapping[str, Removal]:
        """
        Return what resources that have ended could not remove of an image, by the names of their records.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        texts = self.parameters.list(self.path(digest.hex))
        records = {name: _parse(text) for name, text in texts.items()}
        return {
            name: Removal(tags=record.tags, image=digest not in (record.existed or ()))
            for name, record in records.items()
            if record.left_over and record.tags
        }

    def forget(self, name: str) -> None:
        """
        Delete a record that is left over.

        Raises:
            RemoteError: It was not deleted.
        """
        self.parameters.delete(name)

    def _others(self, segment: str) -> Iterator[tuple[str, Record]]:
        mine = self._name(segment)
        texts = self.parameters.list(self.path(segment))
        return ((name, _parse(text)) for name, text in texts.items() if name != mine)

    def _others_of_first_version(self) -> Iterator[Record]:
        """Yield the records of others that 0.1 wrote, which it did only for resources with a parameter name."""
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
    """What the records of other resources say."""

    tags: dict[str, Digest | None] = field(default_factory=dict)
    digests: set[Digest] = field(default_factory=set)
    is_complete: bool = True

    def add(
        self, record: Record, digest: Digest | None, digests: Iterable[Digest], *, is_superseded: bool = False
    ) -> None:
        if record.left_over:
            return
        self.digests.update(digests)
        if is_superseded:
            return
        self.is_complete = self.is_complete and record.tags is not None
        self.tags |= dict.fromkeys(record.tags or (), digest)


def _parse(text: str) -> Record:
    try:
        return Record.parse(text)
    except ValueError:
        return UNREADABLE
