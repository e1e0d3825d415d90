"""One request, and the facts that the function needs to serve it. Each fact is read once, and only if needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..cfn.event import Event, RequestType
from ..errors import AccessError, ImageError, InvalidPropertiesError
from ..log import Log
from ..oci import Digest, is_account_id
from ..publish.ports import PUT_SECONDS, Ports, StackHistory
from ..spec import Declaration, decode
from .record_names import always_has_record, declaration_key, owner_of, possible_segments

if TYPE_CHECKING:
    from ..publish.remove import Remover
    from .record import Record
    from .records import Records

ID_PREFIX = "ecr-public:"

ACCOUNT = 4
"""The index of the account id in an ARN that is split at colons."""


@dataclass
class Turn:
    """
    A request and the facts that it depends on.

    Attributes:
        declaration: The decoded properties of the event.
        left: The declared tags that rules leave where they are.
        protection: The path segment of the record that the request wrote only to protect its tags; empty if none.
        taken_elsewhere: The tags of the previous declaration that it does not have, because its rules leave them.
    """

    event: Event
    declaration: Declaration
    ports: Ports
    log: Log
    left: frozenset[str] = frozenset()
    protection: str = ""
    taken_elsewhere: frozenset[str] = frozenset()

    @property
    def tags(self) -> tuple[str, ...]:
        """The declared tags that the request puts, in the declared order."""
        return tuple(tag for tag in self.declaration.tags if tag not in self.left)

    def may_leave(self, tag: str) -> bool:
        """Whether a rule of the declaration may leave *tag* where it is."""
        return any(rule.may_leave(tag) for rule in self.declaration.rules)

    @cached_property
    def physical_id(self) -> str:
        """
        The physical id. It contains no digest, no tag and nothing random.

        So a new digest or tag is an update in place, and a new registry or
        repository is a replacement.
        """
        repository = self.ports.destination
        return f"{ID_PREFIX}{repository.registry_id}/{repository.name}:{self.event.logical_resource_id}"

    @cached_property
    def old(self) -> Declaration | None:
        """The old declaration, if the resource is updated in place and this version can read it."""
        return self._previous(elsewhere=False)

    @property
    def lost_replacement(self) -> Declaration | None:
        """
        The declaration of a replacement that is rolled back, if CloudFormation got no response to it.

        CloudFormation does not know its physical id, so it sends no Delete for
        it. The update that rolls it back has to clean up.
        """
        return self._previous(elsewhere=True)

    def _previous(self, *, elsewhere: bool) -> Declaration | None:
        """Return the old declaration, if CloudFormation knows the resource by its id, in this or another repository."""
        if self.event.request_type is not RequestType.UPDATE or self.physical_id != self.event.physical_resource_id:
            return None
        old = decode_or_none(self.event.old_properties)
        return old if old and in_different_repositories(old, self.declaration) == elsewhere else None

    @property
    def dropped(self) -> list[str]:
        """The tags that the resource no longer declares, in the declared order."""
        return [tag for tag in self.old.tags if tag not in self.declaration.tags] if self.old else []

    @cached_property
    def records(self) -> Records:
        """The records of the destination repository; in a deletion, of the repository in the physical id."""
        from .records import Records  # noqa: PLC0415 - a cold start compiles what it imports

        is_deletion = self.event.request_type is RequestType.DELETE
        registry_id = _registry_of_deleted(self.event, self.declaration) if is_deletion else None
        name = self.declaration.repository_name
        return Records(
            parameters=self.ports.parameters,
            first_parameters=self.ports.first_parameters,
            registry_id=registry_id or self.ports.destination.registry_id,
            repository_name=name,
            owner=owner_of(self.event.stack_id, self.event.logical_resource_id),
            first_name=self.declaration.state_parameter,
            was_updated=self._was_updated,
        )

    def _was_updated(self, logical_id: str, sent: float) -> bool:
        return self.history.has_been_updated_since(logical_id, sent)

    @cached_property
    def history(self) -> StackHistory:
        """The history of the stack."""
        return self.ports.history(self.event.stack_id)

    @property
    def remover(self) -> Remover:
        """Removes tags and images from the destination repository."""
        from ..publish.remove import Remover  # noqa: PLC0415

        return Remover(self.ports.destination, self.records, self.log, self.ports.restoring)

    def read_record(self, declaration: Declaration) -> Record | None:
        """
        Return the record of one of the resource's declarations; None if it does not exist.

        Raises:
            RemoteError: It cannot be read.
        """
        records = [self.records.read(segment) for segment in possible_segments(declaration)]
        mine = [record for record in records if record is not None and record.stack in {"", self.event.stack_id}]
        # One of an earlier deployment may still be there.
        return max(mine, key=lambda record: record.sent) if mine else self.records.read_first()

    @cached_property
    def record(self) -> Record | None:
        """
        The record of the declaration in this request.

        Raises:
            RemoteError: It cannot be read.
        """
        return self.read_record(self.declaration)

    @cached_property
    def old_record(self) -> Record | None:
        """
        The record of the previous declaration.

        Raises:
            RemoteError: It cannot be read.
        """
        return self.read_record(self.old) if self.old else None

    @cached_property
    def is_rolling_back(self) -> bool:
        """Whether the stack is rolling back; False, which is logged, if CloudFormation denies access."""
        try:
            return self.history.is_rolling_back
        except AccessError as error:
            self.log.warning(f"not handled as a rollback: {error.explain()}")
            return False

    @cached_property
    def is_rollback(self) -> bool:
        """
        Whether this is an update and the stack is rolling back.

        If CloudFormation denies access, log that and assume a deployment.

        Raises:
            RemoteError: CloudFormation did not respond; or it denied access, and
                the answer decides which image a mutable source stands for.
        """
        try:
            return self.event.request_type is RequestType.UPDATE and self.history.is_rolling_back
        except AccessError as error:
            if self.declaration.pinned is None and self.record is not None:
                raise
            self.log.warning(f"not handled as a rollback: {error.explain()}")
            return False

    @cached_property
    def reverses_failed_update(self) -> bool:
        """
        Whether an update reverses a failed one. With rollback disabled, the status of the stack does not show this.

        One of these shows it:

        - The function responded to the failed update with FAILED, and recorded that.
        - The record of the failed update, if no deployment has succeeded since: its response was lost. If this
          declaration lacks its record, it may never have been deployed, so the events must show the failure, too.
        - This request ran before, and ended these records, but its response was lost.
        - The events of the stack, if the failed update left no record.

        Raises:
            RemoteError: The records or the history of the stack cannot be read.
        """
        if self.event.request_type is not RequestType.UPDATE:
            return False
        try:
            record, reversed_record = self.record, self.old_record
        except AccessError as error:
            # Without permission to read records, the function cannot have written one.
            self.log.warning(f"not handled as a rollback: {error.explain()}")
            return False
        if record is not None and record.undone_by == self.event.request_id:
            return True
        if record is not None and record.failed == declaration_key(self.event.old_properties):
            return self._reverses_recorded_failure(record)
        if reversed_record is not None and reversed_record.undoes_to == declaration_key(self.event.properties):
            return self._reverses_unanswered_update(record, reversed_record)
        return self._reverses_unrecorded_update(record, reversed_record)

    def _reverses_recorded_failure(self, record: Record) -> bool:
        # The failure of an undo is recorded, too. To return to a mutable source, it must have been deployed.
        is_known = self.declaration.pinned is not None or declaration_key(self.event.properties) in record.deployed
        is_back = record.failed_from in {"", declaration_key(self.event.properties)}
        return is_known and is_back and self.is_current(record.failed_sent)

    def _reverses_unanswered_update(self, record: Record | None, reversed_record: Record) -> bool:
        ids = {each.request for each in (record, reversed_record) if each}
        if self.event.request_id in ids or not self._is_unproven(reversed_record):
            return False
        if always_has_record(self.declaration) and (record is None or record.left_over):
            # It may never have been deployed: then this update is the next attempt at it.
            return self.history.has_update_failed(self.event.logical_resource_id)
        return True

    def _reverses_unrecorded_update(self, record: Record | None, old_record: Record | None) -> bool:
        """
        Whether an update reverses one that never ran, or that ended before it wrote its record.

        The events of the stack show it. They are only read if the latest record may be that of
        this declaration, or if the function cannot read the previous declaration, or cannot
        compare it, because it is one of another repository.
        """
        if self.old is None:
            is_possible = self.physical_id == self.event.physical_resource_id
        elif record is None or record.request == self.event.request_id:
            return False
        else:
            is_latest = old_record is None or old_record.sent <= record.sent
            is_possible = is_latest and _shows(record, self.declaration, self.event.properties)
        return is_possible and self.history.has_update_failed(self.event.logical_resource_id)

    @cached_property
    def is_old_unproven(self) -> bool:
        """Whether no deployment with the old declaration has succeeded, so that a rollback goes further back."""
        return self.old_record is not None and self._is_unproven(self.old_record)

    def _is_unproven(self, record: Record) -> bool:
        is_pending = record.is_new or record.undoes_to
        return bool(is_pending) and record.sent > 0 and self.has_succeeded_since(record.sent) is False

    @cached_property
    def is_undo(self) -> bool:
        """
        Whether an update undoes another one. False, without a call, if the answer makes no difference.

        It makes none if neither declaration always has a record, no tag is
        dropped, and no tag stays where it is.

        Raises:
            RemoteError: The records or the history of the stack cannot be read.
        """
        sides = filter(None, (self.declaration, self.old or self.lost_replacement))
        is_remembered = bool(self.left) or any(map(always_has_record, sides))
        if not (is_remembered or self.dropped):
            return False
        return self.is_rollback or (is_remembered and self.reverses_failed_update)

    def known_digest(self, declaration: Declaration, properties: Mapping[str, object]) -> Digest | None:
        """
        Return the digest that one of the resource's declarations was resolved to; None if it is not known.

        Raises:
            RemoteError: The record cannot be read.
        """
        if declaration.pinned is not None:
            return declaration.pinned
        record = self.read_record(declaration)
        return record.deployed.get(declaration_key(properties)) if record else None

    @property
    def undone_digest(self) -> Digest | None:
        """The image of the previous declaration, which an undo undoes; None if it is not known."""
        try:
            return self.known_digest(self.old, self.event.old_properties) if self.old else None
        except ImageError as error:
            self.log.warning(f"the image of the update that is undone is not known: {error.explain()}")
            return None

    def is_current(self, sent: float) -> bool:
        """
        Whether a record is from the current deployment, or from failed ones since the last success.

        True if the events of the stack do not show it: only an undo asks.

        Args:
            sent: When the request that wrote the record was sent, in seconds
                since the epoch; 0 stands for long ago.
        """
        return sent > 0 and self.has_succeeded_since(sent) is not True

    def is_recent(self, record: Record | None) -> bool:
        """Whether the request that wrote a record may have put its image so recently that reads do not show it yet."""
        longest = self.event.service_timeout + PUT_SECONDS
        return record is not None and record.sent > 0 and self.event.sent - record.sent <= longest

    def has_succeeded_since(self, sent: float) -> bool | None:
        """
        Whether a deployment that declares the resource has succeeded since *sent*; None if that cannot be known.

        Args:
            sent: In seconds since the epoch.
        """
        is_deletion = self.event.request_type is RequestType.DELETE
        return self.history.has_succeeded_since(sent, before_this=is_deletion)


def _shows(record: Record, declaration: Declaration, properties: Mapping[str, object]) -> bool:
    """Whether the last request that wrote a record had this declaration, as far as the record shows it."""
    if declaration.pinned is None:
        return list(record.deployed)[-1:] == [declaration_key(properties)]
    return record.tags is None or {*record.tags, *record.left} >= {*declaration.tags} >= {*record.tags}


def in_different_repositories(one: Declaration, other: Declaration) -> bool:
    """Whether two declarations name different repositories. An alias and an account id may be the same registry."""
    registries = {one.registry_id, other.registry_id} - {None}
    differ = len(registries) > 1 and all(is_account_id(each) for each in registries if each)
    return differ or one.repository_name != other.repository_name


def decode_or_none(properties: Mapping[str, object]) -> Declaration | None:
    """Decode properties; return None if this version cannot read them."""
    try:
        return decode(properties)
    except InvalidPropertiesError:
        return None


def registry_in_physical_id(event: Event) -> str | None:
    """Return the registry in the physical id; None if this function did not create the id."""
    place, _, logical_id = event.physical_resource_id.rpartition(":")
    if place.startswith(ID_PREFIX) and logical_id == event.logical_resource_id:
        return place.removeprefix(ID_PREFIX).partition("/")[0]
    return None


def _registry_of_deleted(event: Event, declaration: Declaration) -> str | None:
    """
    Return the registry of a deleted resource without a call; None if it is not known.

    It is in the physical id. If this function did not create that id, the
    registry is the declared one, or the account of the function.
    """
    if (known := registry_in_physical_id(event)) is not None:
        return known
    if declaration.registry_id is not None:
        return declaration.registry_id if is_account_id(declaration.registry_id) else None
    arns = (str(event.properties.get("ServiceToken", "")), event.stack_id)
    accounts = [arn.split(":")[ACCOUNT] for arn in arns if arn.count(":") > ACCOUNT]
    return next(filter(is_account_id, accounts), None)
