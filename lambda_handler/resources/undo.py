"""The second half of an update, and a deletion: restore tags, remove tags and images, delete records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..cfn.event import RequestType
from ..errors import AccessError, DeadlineError, ImageError
from ..oci import Digest
from ..publish.remove import MOVED, OWNED, Removal
from ..publish.rule import Rule, is_protected
from ..spec import Declaration
from .record import UNDONE, Record
from .record_names import always_has_record, declaration_key, owns_tags, possible_segments
from .takeover import give_back_failed, give_back_taken, hand_over, is_undone_by, without_previous_image
from .turn import Turn

WORKABLE_TIMEOUT_SECONDS = 60
"""
With a shorter ServiceTimeout, hardly any time is left for work, so repeating a deletion would not help.

A stack must be deletable even then. The constructs set five minutes or more.
"""


def clean_up_after_update(turn: Turn) -> Sequence[str]:
    """
    Give back or remove the tags that the new declaration no longer has, as the declarations require.

    Returns:
        The tags that were to be removed but stay; the log gives the reasons.
    """
    if turn.old is None:
        return ()
    try:
        return _clean_up(turn, turn.old)
    except AccessError as error:
        if not error.operation.startswith("ssm:"):
            raise
        turn.log.warning(f"dropped tags stay, because their owners cannot be read: {error.explain()}")
        return turn.dropped


def _clean_up(turn: Turn, old: Declaration) -> Sequence[str]:
    if turn.is_undo:
        return _undo_update(turn, old)
    kept: Sequence[str] = ()
    if turn.declaration.untags and turn.dropped:
        ours = turn.known_digest(old, turn.event.old_properties)
        # Tags that only failed deployments took over do not belong to the resource.
        given_back = give_back_failed(turn, turn.old_record, ours, turn.dropped)
        tags = _published(turn, old, [tag for tag in turn.dropped if tag not in given_back])
        since = turn.old_record.owned_since if turn.old_record else 0.0
        removal = Removal(
            tags=tags,
            image=False,
            keeps_last=True,
            since=since,
            is_recent=turn.is_recent(turn.old_record),
            given_back=_moved_away(given_back, turn.old_record, ours),
        )
        kept = tuple(_remove(turn, (*old.rules, *turn.declaration.rules), ours, removal)[0])
    _end_obsolete(turn, old)
    return kept


def _published(turn: Turn, old: Declaration, tags: Sequence[str]) -> Sequence[str]:
    """
    Return those of *tags* that the old declaration has put, as far as that is known.

    If its record does not list them, the function could not write it. Then the
    old declaration may have failed, so that this update undoes it.
    """
    record = turn.old_record
    if record is None or record.tags is None or record.request == turn.event.request_id or not always_has_record(old):
        return _put(record, tags)
    if unknown := [tag for tag in tags if tag not in record.tags]:
        turn.log.warning(f"tags that the record does not list are not removed: {', '.join(unknown)}")
    return [tag for tag in tags if tag not in unknown]


def delete(turn: Turn, *, is_created: bool) -> None:
    """
    Undo a creation, or remove what the declaration asks to remove. Then delete the records of the resource.

    Args:
        is_created: CloudFormation knows that the resource was created. If not,
            its creation failed, or CloudFormation got no response.
    """
    try:
        record = turn.record
    except ImageError as error:
        may_succeed_later = is_created and turn.declaration.deletes and not isinstance(error, AccessError)
        ran_out_of_time = isinstance(error, DeadlineError) and turn.event.service_timeout >= WORKABLE_TIMEOUT_SECONDS
        if may_succeed_later or ran_out_of_time:
            raise
        # Nothing can be given back without the record, but that must not block the stack or its rollback.
        turn.log.warning(f"nothing is given back or removed, because the record cannot be read: {error.explain()}")
        return
    if record is None:
        # A declaration that removes has a record until everything is removed, so this deletion is already done.
        return
    if reason := _reason_to_ignore(turn, record, is_created=is_created):
        turn.log.info(f"nothing is given back or removed: {reason}")
        return
    ours = turn.known_digest(turn.declaration, turn.event.properties)
    ends = _segments(turn, record)
    is_undone = True if not is_created else _is_undone(turn, record)
    # A rollback deletes only resources that were created since the last success, and updates all others.
    if is_undone and (record.is_new or turn.is_rolling_back):
        removed = _undo_creation(turn, record, ours)
    else:
        # A failed update took tags over. The tags that the resource declared before it are its own.
        given_back = give_back_taken(turn, record, record.found or {}, ours) if is_undone else ()
        # If it is not known whether this is an undo, everything from before the deployment stays.
        stays = record if is_undone is None else Record()
        removed = _remove_declared(turn, ours, given_back, stays) if turn.declaration.deletes else _NOTHING
    _end(turn, [segment for segment in ends if not (removed.is_waiting and ours and segment == ours.hex)])
    _remove_owned(turn, ours, removed)
    if not (is_created or turn.is_rolling_back):
        # The deployment goes on. A resource that takes the tags over has to see where they are now.
        turn.ports.settle()


def end_records(turn: Turn) -> None:
    """Delete the records of a resource whose repository no longer exists."""
    _end(turn, _segments(turn, turn.record))


def _segments(turn: Turn, record: Record | None) -> Sequence[str]:
    """Return the segments of all records of a resource that is deleted; last the one that names the others."""
    previous = [record.previous] if record and record.previous else []
    return [*previous, *possible_segments(turn.declaration)]


def _remove_declared(turn: Turn, ours: Digest | None, given_back: Collection[str], stays: Record) -> _Removed:
    """
    Remove the declared image and its tags.

    Args:
        given_back: The tags that point to their previous images again.
        stays: A record whose found tags and existing manifests are not removed.
    """
    found, existed = stays.found or {}, stays.existed or frozenset()
    record = turn.record or Record(tags=None)
    tags = _put(record, [tag for tag in turn.declaration.tags if tag not in given_back and tag not in found])
    removal = Removal(
        tags=tags,
        image=stays.existed is not None and ours not in existed,
        lists=record.lists,
        spared=existed,
        since=record.owned_since,
        is_recent=turn.is_recent(turn.record),
        given_back=_moved_away(given_back, turn.record, ours),
    )
    return _remove_image(turn, ours, removal)


def _reason_to_ignore(turn: Turn, record: Record, *, is_created: bool) -> str:
    """Return why a record belongs to an earlier or later resource of the same name; empty if it belongs to this one."""
    if record.sent > turn.event.sent:
        return "the resource was created again after this request was sent"
    if not is_created and turn.history.has_created_since(turn.event.logical_resource_id, record.sent):
        return "the resource was created again after this creation had failed"
    if (not is_created or turn.is_rolling_back) and not turn.is_current(record.sent):
        return "the record belongs to an earlier resource of the same name"
    return ""


def _undo_update(turn: Turn, old: Declaration) -> Sequence[str]:
    """Give back the tags that the undone update took over. Remove what it added, if either declaration removes."""
    record = turn.read_record(old)
    if record is None or not is_undone_by(turn, record):
        return ()
    removed = _NOTHING
    ours = turn.known_digest(old, turn.event.old_properties)
    taken = {tag: at for tag, at in (record.found or {}).items() if tag not in turn.tags}
    # An update that was refused has no record. What an earlier one found does not show which tags are new.
    is_whole = turn.is_rollback or record.undoes_to == declaration_key(turn.event.properties)
    removes = is_whole and any(each.untags or each.deletes for each in (turn.declaration, old))
    if (taken or removes) and turn.is_current(record.sent):
        given_back = give_back_taken(turn, record, taken, ours)
        lost = without_previous_image(turn, taken, given_back) if removes else ()
        new = _put(record, [tag for tag in turn.dropped if tag not in taken or tag in lost])
        if removes and record.found is not None:
            # The update may have read what was there before reads showed the image of the declaration before it.
            existed = (record.existed or frozenset()) | {turn.known_digest(turn.declaration, turn.event.properties)}
            removal = Removal(
                tags=new,
                image=old.deletes and record.existed is not None and ours not in existed,
                lists=record.lists,
                spared=existed,
                since=record.owned_since,
                is_undo=True,
                # Tags that are still declared already point to the declared image.
                given_back=[*_moved_away(given_back, record, ours), *turn.declaration.tags],
            )
            removed = _remove_image(turn, ours, removal, old.rules)
            _hand_over_new_tags(turn, record, ours, removed.kept)
        else:
            _log_kept(turn, new)
    _end_undone(turn, old, record, waiting={ours.hex} if ours is not None and removed.is_waiting else set())
    return _remove_owned(turn, ours, removed, old.rules)


def _end_undone(turn: Turn, old: Declaration, record: Record, *, waiting: set[str]) -> None:
    """Delete the records of the undone update, but not the one that the restored declaration has, or that waits."""
    segments = possible_segments(turn.declaration)
    if always_has_record(turn.declaration) and segments[0] in possible_segments(old):
        mine = record if segments == possible_segments(old) else turn.records.read(segments[0]) or record
        turn.records.write(segments[0], _after_undo(turn, mine), mine)
        _end(turn, [segment for segment in possible_segments(old) if segment != segments[0]])
    else:
        stay = set(segments if owns_tags(turn.declaration) else [turn.protection])
        if turn.protection == possible_segments(old)[0]:
            turn.records.write(turn.protection, _after_undo(turn, record), record)
        _end(turn, [segment for segment in possible_segments(old) if segment not in stay | waiting])


def _after_undo(turn: Turn, record: Record) -> Record:
    """Return a record that both declarations have, after the update was undone."""
    # If the stack does not roll back, earlier deployments have failed, too, and are not undone yet.
    stays = () if turn.is_rollback else turn.declaration.tags
    found = {tag: at for tag, at in (record.found or {}).items() if tag in stays}
    return replace(record, found=found, manifest="", undoes_to="" if turn.is_rollback else UNDONE)


def _undo_creation(turn: Turn, record: Record, ours: Digest | None) -> _Removed:
    """Give back the tags that the creation took over. Remove what it added, if the declaration removes."""
    declaration = turn.declaration
    if record.found is None:
        turn.log.warning("nothing is removed: it is not known what was there before the deployment")
        return _NOTHING
    given_back = give_back_taken(turn, record, record.found, ours)
    if not (declaration.untags or declaration.deletes):
        _log_kept(turn, [tag for tag in declaration.tags if tag not in record.found])
        return _NOTHING
    existed = record.existed
    deletes_image = declaration.deletes and existed is not None and ours not in existed
    lost = without_previous_image(turn, record.found, given_back)
    new = _put(record, [tag for tag in declaration.tags if tag not in record.found or tag in lost])
    removal = Removal(
        tags=new,
        image=deletes_image,
        lists=record.lists,
        spared=existed or frozenset(),
        since=record.owned_since,
        is_undo=True,
        given_back=_moved_away(given_back, record, ours),
    )
    removed = _remove_image(turn, ours, removal)
    _hand_over_new_tags(turn, record, ours, removed.kept)
    return removed


def _put(record: Record | None, tags: Sequence[str]) -> Sequence[str]:
    """Return *tags* without those that rules left where they were, so that the resource never put them."""
    return [tag for tag in tags if tag not in record.left or tag in (record.tags or ())] if record else tags


def _moved_away(given_back: Collection[str], record: Record | None, ours: Digest | None) -> Collection[str]:
    """Return the tags that no longer point to the image of the resource. Others were at this image before, too."""
    found = (record.found or {}) if record else {}
    return [tag for tag in given_back if found.get(tag) != ours]


def _hand_over_new_tags(turn: Turn, record: Record, ours: Digest | None, kept: Mapping[str, str]) -> None:
    """Write into the records of the owners of tags that stay that these tags did not exist before."""
    if ours is not None:
        hand_over(turn, record, dict.fromkeys(tag for tag in kept if kept[tag].startswith((OWNED, MOVED))), {ours})


def _log_kept(turn: Turn, tags: Sequence[str]) -> None:
    for tag in tags:
        turn.log.info(f"tag {tag} stays: it is new, and the declaration does not ask to remove it", tag=tag)


def _is_undone(turn: Turn, record: Record) -> bool | None:
    """
    Whether the deletion of a resource undoes a failed deployment.

    It does if the stack is rolling back, or if no deployment with the resource
    has succeeded since its record was written.

    Returns:
        None if that cannot be known.
    """
    untags, deletes = turn.declaration.untags, turn.declaration.deletes
    if not (untags or deletes or record.found):
        return False
    if turn.is_rolling_back:
        return True
    # In all other cases, the answer makes no difference.
    matters = record.found or (deletes and record.may_have_existed) or (untags and record.is_new)
    if not record.sent or not matters:
        return False
    has_succeeded = turn.has_succeeded_since(record.sent)
    return None if has_succeeded is None else not has_succeeded


@dataclass(frozen=True, slots=True)
class _Removed:
    """
    The result of a removal.

    Attributes:
        kept: The tags that stay, each with the reason.
        is_waiting: Whether some of them stay only until an index is deleted. A record then marks those.
    """

    removal: Removal
    kept: Mapping[str, str] = field(default_factory=dict)
    is_waiting: bool = False


_NOTHING = _Removed(Removal(tags=(), image=False))


def _remove_owned(turn: Turn, ours: Digest | None, removed: _Removed, rules: Sequence[Rule] = ()) -> Sequence[str]:
    """
    Remove what another owner had, after the record of this resource has ended; return all tags that still stay.

    If two owners are deleted or undone together, each leaves tag and image to the other until that one ends its record.
    """
    owned = [tag for tag in removed.kept if removed.kept[tag] == OWNED]
    if not removed.is_waiting and (owned or (removed.removal.image and _is_untagged(turn, ours))):
        again = _remove_image(turn, ours, replace(removed.removal, tags=owned, given_back=()), rules)
        return [tag for tag in removed.kept if tag not in owned or tag in again.kept]
    return tuple(removed.kept)


def _is_untagged(turn: Turn, image: Digest | None) -> bool:
    """Whether an image exists without a tag."""
    return image is not None and frozenset() in turn.ports.destination.tags_of([image]).values()


def _remove_image(turn: Turn, ours: Digest | None, removal: Removal, rules: Sequence[Rule] = ()) -> _Removed:
    """
    Remove tags of an image that the resource no longer declares, and the image itself, according to *removal*.

    Args:
        rules: Rules in addition to the declared ones.
    """
    rules = (*turn.declaration.rules, *rules)
    kept, waiting = _remove(turn, rules, ours, removal)
    is_deleted = turn.event.request_type is RequestType.DELETE
    if not waiting or ours is None or (not is_deleted and ours.hex in possible_segments(turn.declaration)):
        return _Removed(removal, kept)
    # The index may be deleted at this moment: either its deletion finds this record, or the next attempt succeeds.
    record = Record(stack=turn.event.stack_id, request=turn.event.request_id, sent=turn.event.sent, tags=waiting)
    stays = frozenset() if removal.image else frozenset({ours})
    turn.records.write(ours.hex, replace(record, left_over=True, existed=stays), None)
    _, waiting = _remove(turn, rules, ours, replace(removal, tags=waiting))
    return _Removed(removal, kept, bool(waiting))


def _remove(
    turn: Turn, rules: Iterable[Rule], ours: Digest | None, removal: Removal
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Remove tags; return those that stay, each with the reason, and those of them that an index keeps."""
    rules = tuple(rules)
    immutable = dict.fromkeys((tag for tag in removal.tags if is_protected(tag, rules)), "it is immutable")
    for tag, why in immutable.items():
        turn.log.warning(f"tag {tag} stays: {why}", tag=tag)
    if ours is None:
        turn.log.warning("nothing is removed: it is not known to which image the tags were put")
        return dict.fromkeys(removal.tags, "its image is not known"), ()
    tags = [tag for tag in removal.tags if tag not in immutable]
    kept, waiting = turn.remover.remove(ours, replace(removal, tags=tags))
    return {**immutable, **kept}, waiting


def _end_obsolete(turn: Turn, old: Declaration) -> None:
    """Delete the record that no rollback needs any longer: of the old declaration, or of the one before it."""
    has_records = always_has_record(old) or always_has_record(turn.declaration)
    if not has_records or turn.old_record is None or not turn.old_record.previous:
        return
    earlier, stays = turn.old_record.previous, set(possible_segments(turn.declaration))
    if not turn.is_old_unproven:
        if earlier not in {*stays, *possible_segments(old)}:
            _end(turn, [earlier])
    elif always_has_record(old):
        stays.add(earlier)
        _end(turn, [segment for segment in possible_segments(old) if segment not in stays])


def _end(turn: Turn, segments: Sequence[str]) -> None:
    """
    Delete records. Log other errors than below: a record that stays only prevents removals by other resources.

    Raises:
        DeadlineError: Time ran out in a deletion or an undo. Only a repeated request will delete the record.
    """
    try:
        turn.records.end(*segments, first=not turn.is_undo)
    except ImageError as error:
        if isinstance(error, DeadlineError) and (turn.event.request_type is RequestType.DELETE or turn.is_undo):
            raise
        turn.log.warning(f"a record of the resource stays: {error.explain()}")
