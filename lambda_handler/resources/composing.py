"""Compose the record of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..oci import Digest
from ..publish.content import Content
from .record import Record
from .record_names import always_has_record, declaration_key, possible_segments
from .turn import Turn


def compose(turn: Turn, known: Record | None, content: Content, found: Mapping[str, Digest]) -> Record:
    """Return the record of the request, which replaces *known*."""
    mine = known if known is not None and known.stack == turn.event.stack_id else None
    first = turn.records.read_first() if mine is None else None
    if turn.is_undo or turn.is_rollback:
        # A record that only protects has no time, so it does not replace the one of the update that is undone.
        sent = turn.event.sent if always_has_record(turn.declaration) else 0.0
        record = mine or replace(_new(turn, existed=None), undoes_to="", sent=sent)
        left = tuple(sorted({*record.left, *turn.left}.difference(turn.tags)))
        undone_by = turn.event.request_id
        record = replace(record, tags=turn.tags, left=left, failed="", undone_by=undone_by, left_over=False)
        if turn.old is not None and not set(turn.tags) <= set(turn.old.tags):
            record = replace(record, regained=turn.event.sent)
    elif mine is not None and mine.request == turn.event.request_id:
        # This is a repeated request. What its first delivery put did not exist before.
        record = mine
        if turn.declaration.pinned is None and mine.latest != content.root.digest:
            record = _with_moved_source(turn, mine, content)
    else:
        record = _new(turn, found, put=content.root.digest, existed=_existed(turn, content))
        record = _since_last_success(turn, replace(record, is_new=turn.old is None), mine, content.root.digest)
    if turn.declaration.deletes:
        record = replace(record, lists=tuple(child.digest for child in content.root.children))
    if turn.declaration.pinned is None:
        deployed = (mine or first or record).deployed
        record = replace(record, deployed=deployed).with_deployed(
            declaration_key(turn.event.properties), content.root.digest
        )
    # CloudFormation may also roll the function back to version 0.1, so the record of 0.1 stays until a success.
    is_needed = mine is not None and mine.follows_first and turn.has_succeeded_since(mine.sent) is not True
    return replace(record, follows_first=first is not None or is_needed)


def _with_moved_source(turn: Turn, mine: Record, content: Content) -> Record:
    """Return the record of a repeated request whose source has moved since its first delivery."""
    now, before = _existed(turn, content), mine.existed
    existed = None if now is None or before is None else now | before
    return replace(mine, existed=existed, put=mine.put | ({content.root.digest} if mine.put else set()))


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
        undoes_to=declaration_key(event.old_properties) if old else "",
        tags=turn.tags,
        left=_left(turn),
        found=found or {},
        put=frozenset([put] if found and put else []),
        existed=existed,
        previous=_previous(turn),
        drops=_drops(turn),
    )


def _left(turn: Turn) -> tuple[str, ...]:
    """Return the tags that rules leave, and the dropped tags that the old declaration had left: so does an undo."""
    known = turn.old_record if turn.dropped and turn.old and always_has_record(turn.old) else None
    return tuple(sorted(turn.left.union(known.left if known else ()).difference(turn.tags)))


def _drops(turn: Turn) -> tuple[str, ...]:
    """
    Return the dropped tags that this update removes, and that the rules of the old declaration may leave.

    Another resource of the deployment may take such a tag after its removal. Then no record shows where the tag
    was, and the undo would find it at a higher version.
    """
    old, declaration = turn.old, turn.declaration
    if old is None or not declaration.untags or turn.is_undo or turn.is_rollback:
        return ()
    tags = [tag for tag in turn.dropped if any(rule.may_leave(tag) for rule in old.rules)]
    if not tags or (digest := turn.known_digest(old, turn.event.old_properties)) is None:
        return ()
    found = turn.ports.destination.resolve(tags)
    return tuple(tag for tag in tags if found.get(tag) == digest)


def _previous(turn: Turn) -> str:
    """Return the path segment of the previous declaration's record, which a rollback may need; empty if none."""
    if turn.old is None:
        return ""
    if not always_has_record(turn.old):
        # The old declaration has a record only if it took tags over or shared them.
        elsewhere = [each for each in possible_segments(turn.old) if each not in possible_segments(turn.declaration)]
        return next((each for each in elsewhere if turn.records.read(each) is not None), "")
    segment = possible_segments(turn.old)[0]
    earlier = turn.old_record.previous if turn.old_record else ""
    if segment == possible_segments(turn.declaration)[0] or (earlier and turn.is_old_unproven):
        return earlier
    return segment


def _since_last_success(turn: Turn, record: Record, mine: Record | None, put: Digest) -> Record:
    """Add the tags that deployments took over since the last success, and that were not rolled back."""
    earlier = turn.old_record if turn.old else mine
    if (
        earlier is None
        or earlier.stack != record.stack
        or not (earlier.found or earlier.is_new or earlier.drops or earlier.left)
    ):
        return record
    if turn.has_succeeded_since(earlier.sent) is not False:
        return record
    found = {**(record.found or {}), **(earlier.found or {})}
    images = record.put | earlier.put | ({put} if found else set())
    drops = tuple(dict.fromkeys((*earlier.drops, *record.drops)))
    left = tuple(sorted({*earlier.left, *record.left}.difference(turn.tags)))
    return replace(record, found=found, put=images, is_new=record.is_new or earlier.is_new, drops=drops, left=left)


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
