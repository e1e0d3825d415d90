"""
Write the record of a resource, before anything is written to the registry.

An undo of the resource and removals by other resources read it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace

from ..errors import AccessError, ImageError
from ..oci import Digest
from ..publish.content import Content
from ..publish.plan import Observed
from .record_names import UNDO, always_has_record, declaration_key, owns_tags, possible_segments, record_segment
from .turn import Turn


def write_record(turn: Turn, content: Content, observed: Observed) -> Collection[str]:
    """
    Write the record of the request, if it needs one.

    Returns:
        The tags to put even if they seem to be in place, because other
        resources may be removing them.

    Raises:
        InvalidPropertiesError: The request takes over more tags than fit into a record.
        RemoteError: The record was not written, for another reason than a missing permission.
    """
    digest, existing = content.root.digest, existing_tags(turn, observed)
    found = _to_give_back(turn, digest, existing)
    try:
        segment = record_segment(turn.declaration, shares=_needs_protection(turn, digest, existing, observed))
        is_creation = turn.old is None and not always_has_record(turn.declaration)
        has_failed = is_creation and digest in existing.values() and _end_records_of_earlier_resource(turn)
        if segment == UNDO and not found and not has_failed:
            return _removed_meanwhile(turn, digest, existing)
        known = turn.records.read(segment)
        from .composing import compose  # noqa: PLC0415 - a cold start compiles what it imports

        record = compose(turn, known, content, found)
    except AccessError as error:
        # A function that may not read records removes nothing, either.
        return _publish_without(turn, digest, existing, found, error)
    try:
        turn.records.write(segment, record, known)
    except AccessError as error:
        if segment != UNDO and not (turn.is_undo or turn.is_rollback) and _have_other_owner(turn, digest):
            error.add_context("without a record, another resource that has the same tags could remove them")
            raise
        return _publish_without(turn, digest, existing, found, error)
    if segment != UNDO and not always_has_record(turn.declaration):
        turn.protection = segment
    if known is not None and known.follows_first and not record.follows_first:
        _end_first(turn)
    # The function never removes anything from the registry of another account.
    return existing if segment != UNDO and turn.ports.destination.is_own else ()


def _publish_without(
    turn: Turn, digest: Digest, existing: Mapping[str, Digest], found: Mapping[str, Digest], error: AccessError
) -> Collection[str]:
    """Log that there is no record; return the tags to put even if they seem to be in place."""
    lasting = f"; a rollback will leave {', '.join(found)} at {digest}" if found else ""
    turn.log.warning(f"no record was written for a rollback or a removal{lasting}: {error.explain()}")
    return existing


def record_failure(turn: Turn) -> None:
    """
    Record that an update fails, if its undo could be mistaken for another update.

    If rollback is disabled, the status of the stack does not show an undo.
    """
    old = turn.old
    rules = (*old.rules, *turn.declaration.rules) if old else ()
    if old is None or not (old.source.pinned is None or any(not rule.applies_to_undo for rule in rules)):
        return
    from .record import Record  # noqa: PLC0415

    turn.records = replace(turn.records, parameters=turn.ports.undoing_parameters)
    with suppress(ImageError):
        if turn.is_rollback or turn.reverses_failed_update:
            # CloudFormation undoes no undo: what follows is a deployment.
            return
        known = turn.read_record(old)
        record = known or Record(stack=turn.event.stack_id, tags=old.tags)
        record = replace(
            record,
            failed=declaration_key(turn.event.properties),
            failed_from=declaration_key(turn.event.old_properties),
            failed_sent=turn.event.sent,
        )
        turn.records.write(possible_segments(old)[0], record, known)


def existing_tags(turn: Turn, observed: Observed) -> Mapping[str, Digest]:
    """Return the declared tags that exist and do not belong to the resource, each with its image."""
    own = set(turn.old.tags if turn.old else ()) - turn.taken_elsewhere
    existing = {tag: observed.tags[tag] for tag in turn.tags if tag in observed.tags and tag not in own}
    # An undo takes nothing over: the tags that it declares belonged to the resource before.
    return {} if existing and (turn.is_undo or turn.is_rollback) else existing


def _to_give_back(turn: Turn, digest: Digest, existing: Mapping[str, Digest]) -> Mapping[str, Digest]:
    """
    Return the existing tags that an undo has to know: all, if it removes the new ones, else only those that move.

    The undo would move a tag that the previous declaration has, too, but left at this image.
    """
    sides = filter(None, (turn.declaration, turn.old))
    if any(side.untags or side.deletes for side in sides):
        return existing
    return {tag: at for tag, at in existing.items() if at != digest or tag in turn.taken_elsewhere}


def _needs_protection(turn: Turn, digest: Digest, existing: Mapping[str, Digest], observed: Observed) -> bool:
    """
    Whether other resources may remove these tags from this image, so that a record must protect them.

    If rules leave all tags, nothing else shows that the image is in use.

    A tag may have been moved from this image by hand, and still belong to a resource that this deployment deletes.

    An undo asks only about tags that the undone update removed: hundreds of images may be rolled back at once.

    If the old declaration protected its tags and this one does not, another
    resource of the same deployment may remove them.
    """
    if turn.declaration.pinned is None or owns_tags(turn.declaration):
        return False
    if not turn.tags or (turn.old is not None and owns_tags(turn.old) and not turn.is_undo):
        return True
    shared = {tag for tag, at in existing.items() if at == digest}
    shared |= _moved_by_others(turn, digest, observed) | _regained(turn, digest, observed)
    tags = shared | existing.keys()
    if tags and any(map(turn.records.owners(digest).own, tags)):
        return True
    return bool(shared and shared & turn.records.at_risk(digest))


def _have_other_owner(turn: Turn, digest: Digest) -> bool:
    """
    Whether another resource has one of the new tags on this image, and may be about to remove it.

    An undo adds only tags that the update before it has dropped. If rollback is
    disabled, it cannot be told from another update without records.
    """
    new = set(turn.tags) - set(turn.old.tags if turn.old else ())
    try:
        owners = turn.records.owners(digest)
        pending = turn.records.pending_removals(digest).values()
        return any(map(owners.own, new)) or any(not new.isdisjoint(removal.tags) for removal in pending)
    except AccessError:
        # Then the function removes nothing.
        return False


def _moved_by_others(turn: Turn, digest: Digest, observed: Observed) -> AbstractSet[str]:
    """Return the tags of the resource that do not exist, or already point to the image that is new to the resource."""
    if turn.old is None or turn.old.pinned is None:
        return frozenset()
    moved = {None} if turn.old.pinned == digest else {None, digest}
    return {tag for tag in turn.old.tags if tag in turn.declaration.tags and observed.tags.get(tag) in moved}


def _regained(turn: Turn, digest: Digest, observed: Observed) -> AbstractSet[str]:
    """
    Return the tags that an undo gives back, that the undone update removed, and that are at the image or nowhere.

    If another resource has put such a tag since, it was new to that resource, whose undo is about to remove it.
    """
    if turn.old is None or not turn.old.untags or not turn.is_undo:
        return frozenset()
    return {tag for tag in turn.tags if tag not in turn.old.tags and observed.tags.get(tag) in {None, digest}}


def _removed_meanwhile(turn: Turn, digest: Digest, existing: Mapping[str, Digest]) -> Collection[str]:
    """Return the tags that pointed to the image, and that another resource has removed while this request looked."""
    tags = [tag for tag, at in existing.items() if at == digest]
    seen = turn.ports.destination.resolve(tags)
    return [tag for tag in tags if seen.get(tag) != digest]


def _end_first(turn: Turn) -> None:
    try:
        turn.records.end(first=True)
    except AccessError as error:
        turn.log.warning(f"the record of version 0.1 stays: {error.explain()}")


def _end_records_of_earlier_resource(turn: Turn) -> bool:
    """
    Delete the records of an earlier resource of the same name. It was retained, so CloudFormation sent no Delete.

    Returns:
        Whether there is a record of a creation that failed without a rollback.
        It becomes the record of this creation, because CloudFormation deletes
        the failed resource at the end of this deployment.
    """
    has_failed = False
    for segment in possible_segments(turn.declaration):
        record = turn.records.read(segment)
        if record is None or record.request == turn.event.request_id:
            continue
        if (
            record.left_over
            or record.stack != turn.event.stack_id
            or turn.has_succeeded_since(record.sent) is not False
        ):
            turn.records.end(segment)
        else:
            has_failed = True
    return has_failed
