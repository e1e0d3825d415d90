"""One request, and the facts that it depends on. Each fact is read once, and only if it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..cfn.event import Event, RequestType
from ..errors import AccessError, InvalidPropertiesError
from ..log import Log
from ..oci import Digest, is_account_id
from ..publish.ports import Ports, StackHistory
from ..publish.remove import Remover
from ..spec import Declaration, decode
from .record import Record, key_of
from .records import MOVING, UNDO, Records, owner_of, owns_tags, remembers

ID_PREFIX = "ecr-public:"

ACCOUNT = 4
"""The index of the account id in an ARN that is split at colons."""


@dataclass
class Turn:
    """
    A request and its surroundings.

    Attributes:
        declaration: Of its properties.
    """

    event: Event
    declaration: Declaration
    ports: Ports
    log: Log

    @cached_property
    def identity(self) -> str:
        """
        The physical id: never a digest, a tag or anything random.

        So a new digest or tag is an update in place, and another registry or
        repository a replacement.
        """
        repository = self.ports.destination
        return f"{ID_PREFIX}{repository.registry_id}/{repository.name}:{self.event.logical_resource_id}"

    @cached_property
    def old(self) -> Declaration | None:
        """The old declaration, if the resource is updated in place and this version can read it."""
        if self.event.request_type is not RequestType.UPDATE or self.identity != self.event.physical_resource_id:
            return None
        old = decoded(self.event.old_properties)
        return old if old is not None and not is_elsewhere(old, self.declaration) else None

    @property
    def lost(self) -> Declaration | None:
        """
        What a replacement declared that CloudFormation got no response to: an update leads back from it.

        It knows no id of it, so it will not ask to delete it.
        """
        if self.event.request_type is not RequestType.UPDATE or self.identity != self.event.physical_resource_id:
            return None
        old = decoded(self.event.old_properties)
        return old if old is not None and is_elsewhere(old, self.declaration) else None

    @property
    def dropped(self) -> list[str]:
        """The tags that are no longer declared, in their order."""
        return [tag for tag in self.old.tags if tag not in self.declaration.tags] if self.old else []

    @cached_property
    def records(self) -> Records:
        """The records of the destination repository; in a deletion, of the repository in the physical id."""
        is_deletion = self.event.request_type is RequestType.DELETE
        registry_id = _registry_id(self.event, self.declaration) if is_deletion else None
        name = self.declaration.repository_name
        return Records(
            parameters=self.ports.parameters,
            first_parameters=self.ports.first_parameters,
            registry_id=registry_id or self.ports.destination.registry_id,
            repository_name=name,
            owner=owner_of(self.event.stack_id, self.event.logical_resource_id),
            first_name=self.declaration.state_parameter,
        )

    @cached_property
    def history(self) -> StackHistory:
        """The history of the stack."""
        return self.ports.history(self.event.stack_id)

    @property
    def remover(self) -> Remover:
        """Removes from the repository."""
        return Remover(self.ports.destination, self.records, self.log, self.ports.undoing)

    def recall(self, declaration: Declaration) -> Record | None:
        """
        Return what is remembered of the resource as it was declared; None when there is nothing.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        for segment in segments_of(declaration):
            record = self.records.read(segment)
            if record is not None and record.stack in {"", self.event.stack_id}:
                return record
        return self.records.read_first()

    @cached_property
    def record(self) -> Record | None:
        """
        What is remembered of the resource as it is declared in this request.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        return self.recall(self.declaration)

    @cached_property
    def old_record(self) -> Record | None:
        """
        What is remembered of the resource as it was declared before this request.

        Raises:
            RemoteError: It may not, or cannot be read.
        """
        return self.recall(self.old) if self.old else None

    @cached_property
    def is_rolled_back(self) -> bool:
        """
        Whether the stack says that an update undoes another one; where we may not ask, it does not, which the log says.

        Raises:
            RemoteError: CloudFormation did not respond; or it denied us what
                decides whether a remembered image comes back.
        """
        try:
            return self.event.request_type is RequestType.UPDATE and self.history.is_rolling_back
        except AccessError as error:
            if self.declaration.pinned is None and self.record is not None:
                raise
            self.log.warning(f"taken for a deployment and not for its rollback: {error.explain()}")
            return False

    @cached_property
    def was_refused(self) -> bool:
        """
        Whether an update reverses one that failed: with rollback disabled, no status says so.

        Either the function responded to that one with FAILED, or CloudFormation
        did not get the response and no deployment has succeeded since.

        Raises:
            RemoteError: It cannot be read.
        """
        if self.event.request_type is not RequestType.UPDATE:
            return False
        try:
            record, reversed_record = self.record, self.old_record
        except AccessError as error:
            # Without permission to read records, none can have been written.
            self.log.warning(f"not handled as a rollback: {error.explain()}")
            return False
        if record is not None and record.failed == key_of(self.event.old_properties):
            return self.is_current(record.failed_sent)
        if reversed_record is None or reversed_record.undoes_to != key_of(self.event.properties):
            return False
        return reversed_record.request != self.event.request_id and self._is_unproven(reversed_record)

    @cached_property
    def is_old_unproven(self) -> bool:
        """Whether no deployment with the old declaration has succeeded, so that a rollback goes further back."""
        return self.old_record is not None and self._is_unproven(self.old_record)

    def _is_unproven(self, record: Record) -> bool:
        return record.sent > 0 and self.has_succeeded_since(record.sent) is False

    @cached_property
    def is_undo(self) -> bool:
        """
        Whether an update undoes another one, as far as that matters.

        A digest under new tags and its own is published in the same way
        whatever the answer: then nothing is asked.

        Raises:
            RemoteError: It matters, and cannot be known.
        """
        is_remembered = remembers(self.declaration)
        matters = is_remembered or self.dropped or (self.old is not None and owns_tags(self.old))
        return bool(matters) and (self.is_rolled_back or (is_remembered and self.was_refused))

    def resolved(self, declaration: Declaration, properties: Mapping[str, object]) -> Digest | None:
        """
        Return the image of one of the resource's declarations; None where it is not known.

        Raises:
            RemoteError: What is remembered of it may not, or cannot be read.
        """
        if declaration.pinned is not None:
            return declaration.pinned
        record = self.recall(declaration)
        return record.deployed.get(key_of(properties)) if record else None

    def is_current(self, sent: float) -> bool:
        """
        Whether no deployment has succeeded since then, so that what was there before still matters.

        Where the stack's events do not tell, it counts as current: that is
        asked only while something is undone.

        Args:
            sent: In seconds since the epoch; 0: not known, and long ago.
        """
        return sent > 0 and self.has_succeeded_since(sent) is not True

    def has_succeeded_since(self, sent: float) -> bool | None:
        """
        Whether a deployment that still declared the resource has succeeded; None if that cannot be known.

        Args:
            sent: The time since when, in seconds since the epoch.
        """
        is_deletion = self.event.request_type is RequestType.DELETE
        return self.history.has_succeeded_since(sent, before_this=is_deletion)


def segments_of(declaration: Declaration) -> tuple[str, ...]:
    """Return the segments in which the record of a declaration may be."""
    if declaration.pinned is None:
        return (MOVING,)
    return (declaration.pinned.hex,) if owns_tags(declaration) else (UNDO, declaration.pinned.hex)


def is_elsewhere(one: Declaration, other: Declaration) -> bool:
    """Whether two declarations name different repositories. Different names of one registry do not count."""
    registries = {one.registry_id, other.registry_id} - {None}
    differ = len(registries) > 1 and all(is_account_id(each) for each in registries if each)
    return differ or one.repository_name != other.repository_name


def decoded(properties: Mapping[str, object]) -> Declaration | None:
    """Decode properties; return None if this version cannot read them."""
    try:
        return decode(properties)
    except InvalidPropertiesError:
        return None


def registry_in_id(event: Event) -> str | None:
    """Return the registry that the physical id names; None where the id is not one of ours."""
    place, _, logical_id = event.physical_resource_id.rpartition(":")
    if place.startswith(ID_PREFIX) and logical_id == event.logical_resource_id:
        return place.removeprefix(ID_PREFIX).partition("/")[0]
    return None


def _registry_id(event: Event, declaration: Declaration) -> str | None:
    """
    Tell the registry of a resource that is deleted without asking for it; None where that does not work.

    Its physical id has it; where CloudFormation knows none of ours, it is the
    account of the function, unless the declaration names another.
    """
    if (known := registry_in_id(event)) is not None:
        return known
    if declaration.registry_id is not None:
        return declaration.registry_id if is_account_id(declaration.registry_id) else None
    arns = (str(event.properties.get("ServiceToken", "")), event.stack_id)
    accounts = [arn.split(":")[ACCOUNT] for arn in arns if arn.count(":") > ACCOUNT]
    return next(filter(is_account_id, accounts), None)
