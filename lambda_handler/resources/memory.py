"""Write the record that an undo, and removals by other resources, need. It is written before anything else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from ..errors import AccessError, ImageError
from ..oci import Digest
from ..publish.content import Content
from ..publish.plan import Observed
from .record import Record, key_of
from .records import UNDO, owns_tags, remembers, segment_of
from .turn import Turn, segments_of


def remember(turn: Turn, content: Content, observed: Observed) -> Collection[str]:
    """
    Write the record of the request, if it needs one.

    Returns:
        The tags that must be put even if they seem to be in place, because
        others may be removing them.

    Raises:
        InvalidPropertiesError: The request takes over more tags than fit into a record.
        RemoteError: The record was not stored, and not because of a missing permission.
    """
    digest, existing = content.root.digest, existing_tags(turn, observed)
    found = _to_give_back(turn, digest, existing)
    try:
        segment = segment_of(turn.declaration, shares=_shares(turn, digest, existing))
        if turn.old is None and not remembers(turn.declaration) and digest in existing.values():
            _end_earlier_life(turn)
        if segment == UNDO and not found:
            return _gone_meanwhile(turn, digest, existing)
        _write(turn, segment, content, found)
    except AccessError as error:
        lasting = f"; a rollback will leave {', '.join(found)} at {digest}" if found else ""
        turn.log.warning(f"nothing could be remembered for a rollback or a removal{lasting}: {error.explain()}")
        return existing
    # Nothing is ever removed from the registry of another account.
    return existing if segment != UNDO and turn.ports.destination.is_own else ()


def remember_failure(turn: Turn) -> None:
    """
    Record that an update fails, if its undo could be mistaken for another update.

    If rollback is disabled, the status of the stack does not show an undo.
    """
    old = turn.old
    if old is None or not (old.pinned is None or any(rule.yields_to_rollback for rule in old.rules)):
        return
    with suppress(ImageError):
        known = turn.recall(old)
        record = known or Record(stack=turn.event.stack_id, tags=old.tags)
        record = replace(record, failed=key_of(turn.event.properties), failed_sent=turn.event.sent)
        turn.records.write(segments_of(old)[0], record, known)


def existing_tags(turn: Turn, observed: Observed) -> Mapping[str, Digest]:
    """Return the declared tags that exist and do not belong to the resource, each with its image."""
    own = turn.old.tags if turn.old else ()
    existing = {tag: observed.tags[tag] for tag in turn.declaration.tags if tag in observed.tags and tag not in own}
    # An undo takes nothing over: the tags that it declares belonged to the resource before.
    return {} if existing and (turn.is_undo or turn.is_rolled_back) else existing


def _to_give_back(turn: Turn, digest: Digest, existing: Mapping[str, Digest]) -> Mapping[str, Digest]:
    """Return those of the existing tags that an undo needs: all of them, if it removes the others."""
    sides = filter(None, (turn.declaration, turn.old))
    if any(side.untags or side.deletes for side in sides):
        return existing
    return {tag: at for tag, at in existing.items() if at != digest}


def _shares(turn: Turn, digest: Digest, existing: Mapping[str, Digest]) -> bool:
    """
    Whether others may remove tags that are in place on this image, so that a record must protect them.

    If the old declaration owned its tags and this one no longer does, another
    resource of the same deployment may remove them.
    """
    if turn.declaration.pinned is None or owns_tags(turn.declaration) or turn.is_undo:
        return False
    if turn.old is not None and owns_tags(turn.old):
        return True
    in_place = {tag for tag, at in existing.items() if at == digest}
    if not in_place:
        return False
    return any(map(turn.records.owners(digest).own, in_place)) or bool(in_place & turn.records.at_risk(digest))


def _gone_meanwhile(turn: Turn, digest: Digest, existing: Mapping[str, Digest]) -> Collection[str]:
    """Return those of the tags in place that an owner has removed since, before its record was deleted."""
    tags = [tag for tag, at in existing.items() if at == digest]
    seen = turn.ports.destination.resolve(tags)
    return [tag for tag in tags if seen.get(tag) != digest]


def _write(turn: Turn, segment: str, content: Content, found: Mapping[str, Digest]) -> None:
    known = turn.records.read(segment)
    mine = known if known is not None and known.stack == turn.event.stack_id else None
    first = turn.records.read_first() if mine is None else None
    is_first_obsolete = mine is not None and mine.follows_first and turn.has_succeeded_since(mine.sent) is True
    if turn.is_undo:
        record = replace(mine or _new(turn, existed=None), tags=turn.declaration.tags, failed="")
        if turn.old is not None and not set(turn.declaration.tags) <= set(turn.old.tags):
            record = replace(record, regained=turn.event.sent)
    elif mine is not None and mine.request == turn.event.request_id:
        # A repeated request: what its first delivery has put did not exist before.
        record = mine
    else:
        record = _new(turn, found, put=content.root.digest, existed=_existed(turn, content))
        record = _since_last_success(turn, record, mine)
    if turn.declaration.deletes:
        record = replace(record, lists=tuple(child.digest for child in content.root.children))
    if turn.declaration.pinned is None:
        deployed = (mine or first or record).deployed
        record = replace(record, deployed=deployed).with_deployed(key_of(turn.event.properties), content.root.digest)
    # If this deployment fails, CloudFormation may also roll the function back to version 0.1.
    follows_first = first is not None or (mine is not None and mine.follows_first and not is_first_obsolete)
    turn.records.write(segment, replace(record, follows_first=follows_first), known)
    if is_first_obsolete:
        turn.records.end(first=True)


def _end_earlier_life(turn: Turn) -> None:
    """Delete the records of an earlier resource of the same name, which was retained and so got no Delete."""
    for segment in segments_of(turn.declaration):
        record = turn.records.read(segment)
        if record is None or record.request == turn.event.request_id:
            continue
        if (
            record.left_over
            or record.stack != turn.event.stack_id
            or turn.has_succeeded_since(record.sent) is not False
        ):
            turn.records.end(segment)


def _new(
    turn: Turn,
    found: Mapping[str, Digest] | None = None,
    *,
    put: Digest | None = None,
    existed: frozenset[Digest] | None,
) -> Record:
    event, old = turn.event, turn.old
    return Record(
        stack=event.stack_id,
        request=event.request_id,
        sent=event.sent,
        undoes_to=key_of(event.old_properties) if old else "",
        tags=turn.declaration.tags,
        found=found or {},
        put=frozenset([put] if found and put else []),
        existed=existed,
        previous=_previous(turn),
    )


def _previous(turn: Turn) -> str:
    """Return the segment of the record that a rollback may need; empty if there is no other record."""
    if turn.old is None:
        return ""
    if not remembers(turn.old):
        # The old declaration may have taken tags over, or shared them.
        elsewhere = [each for each in segments_of(turn.old) if each not in segments_of(turn.declaration)]
        return next((each for each in elsewhere if turn.records.read(each) is not None), "")
    segment = segments_of(turn.old)[0]
    earlier = turn.old_record.previous if turn.old_record else ""
    if segment == segments_of(turn.declaration)[0] or (earlier and turn.is_old_unproven):
        return earlier
    return segment


def _since_last_success(turn: Turn, record: Record, mine: Record | None) -> Record:
    """Add what failed deployments without a rollback took over since the last successful one."""
    earlier = turn.old_record if turn.old else mine
    if earlier is None or not earlier.found or earlier.stack != record.stack:
        return record
    if turn.has_succeeded_since(earlier.sent) is not False:
        return record
    found = {**(record.found or {}), **earlier.found}
    put = record.put | earlier.put
    return replace(record, found=found, put=put, sent=earlier.sent, undoes_to=earlier.undoes_to)


def _existed(turn: Turn, content: Content) -> frozenset[Digest] | None:
    """
    Return which manifests of the image exist in the repository; None if an undo does not need to know.

    If the image itself exists, so do all of its parts.
    """
    if not turn.declaration.deletes:
        return None
    digests = {content.root.digest, *(child.digest for child in content.root.children)}
    digests |= {part.digest for part in content.parts}
    missing = turn.ports.destination.missing_images(digests - content.held)
    existing = frozenset(digests - missing)
    return existing & {content.root.digest} or existing
