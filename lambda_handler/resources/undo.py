"""What an update or a deletion takes back: it restores tags, removes tags and images, and deletes records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ..cfn.event import RequestType
from ..errors import AccessError, DeadlineError, ImageError, InvalidPropertiesError, RuleViolationError
from ..oci import Digest
from ..publish.plan import is_protected
from ..publish.ports import PublicRepository
from ..publish.remove import OWNED, TAKEN_MEANWHILE, Removal, give_back
from ..publish.rule import Rule
from ..spec import Declaration, Property
from .record import Record, key_of
from .records import MOVING, UNDO, owns_tags, remembers
from .turn import Turn, segments_of


def leave_old_declaration(turn: Turn) -> Sequence[str]:
    """
    Give back or remove the tags that the new declaration no longer has, as the declarations require.

    Returns:
        The tags that were to be removed but stay; the log gives the reasons.
    """
    if turn.old is None:
        return ()
    try:
        return _leave(turn, turn.old)
    except AccessError as error:
        if not error.operation.startswith("ssm:"):
            raise
        turn.log.warning(f"tags that are dropped stay, since it cannot be read who owns them: {error.explain()}")
        return turn.dropped


def _leave(turn: Turn, old: Declaration) -> Sequence[str]:
    if turn.is_undo:
        return _undo_update(turn, old)
    kept: Sequence[str] = ()
    if turn.declaration.untags and turn.dropped:
        ours = turn.resolved(old, turn.event.old_properties)
        # Tags that only failed deployments took over do not belong to the resource.
        given_back = _give_back_failed(turn, turn.old_record, ours, turn.dropped)
        tags = [tag for tag in turn.dropped if tag not in given_back]
        since = turn.old_record.claimed if turn.old_record else 0.0
        removal = Removal(tags=tags, image=False, keeps_last=True, since=since, given_back=given_back)
        kept = tuple(_remove(turn, (*old.rules, *turn.declaration.rules), ours, removal)[0])
    _end_obsolete(turn, old)
    return kept


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
        if is_created and turn.declaration.deletes and not isinstance(error, AccessError):
            raise
        # Without the record nothing can be given back. That must not block the stack or its rollback.
        turn.log.warning(f"nothing is touched, since what is remembered cannot be read: {error.explain()}")
        return
    if record is None and not (is_created and turn.declaration.deletes):
        return
    if record is not None and (life := _other_life(turn, record, is_created=is_created)):
        turn.log.info(f"nothing is touched: {life}")
        return
    ours = turn.resolved(turn.declaration, turn.event.properties)
    previous = [record.previous] if record and record.previous else []
    ends = [*segments_of(turn.declaration), *previous]
    is_undone = not is_created or _is_undone(turn, record)
    # A rollback deletes only resources that were created since the last success, and updates all others.
    if is_undone and (not (record and record.undoes_to) or _is_rolling_back(turn)):
        is_waiting = _undo_creation(turn, record, ours)
    else:
        # A failed update took tags over. What the resource declared before that update is its own.
        given_back = _give_back(turn, record, record.found or {}, ours) if is_undone and record else ()
        is_waiting = turn.declaration.deletes and _remove_declared(turn, ours, given_back, ends)
    _end(turn, [segment for segment in ends if not (is_waiting and ours is not None and segment == ours.hex)])


def _remove_declared(turn: Turn, ours: Digest | None, given_back: Collection[str], ends: Sequence[str]) -> bool:
    """Remove the declared image and its tags; return whether some tags have to wait for an index to be deleted."""
    tags = [tag for tag in turn.declaration.tags if tag not in given_back]
    record = turn.record or Record()
    removal = Removal(tags=tags, image=True, lists=record.lists, since=record.claimed, given_back=given_back)
    kept, is_waiting = _remove_image(turn, ours, removal)
    owned = [tag for tag in kept if kept[tag] == OWNED]
    if owned and not is_waiting:
        # Two owners that are deleted together leave the tag to each other, until the first one deletes its record.
        _end(turn, ends)
        _remove_image(turn, ours, replace(removal, tags=owned, given_back=()))
    return is_waiting


def _other_life(turn: Turn, record: Record, *, is_created: bool) -> str:
    """Return why a record belongs to an earlier or later resource of the same name; empty if it belongs to this one."""
    if record.sent > turn.event.sent:
        return "the resource was created again after it was to be deleted"
    if (not is_created or _is_rolling_back(turn)) and not turn.is_current(record.sent):
        return "what is remembered is of an earlier life of the resource"
    return ""


def refuse_removal_elsewhere(declaration: Declaration, repository: PublicRepository) -> None:
    """
    Refuse a declaration that may remove something from the registry of another account.

    Raises:
        RuleViolationError: The declaration may do that.
    """
    if repository.is_own or not (declaration.untags or declaration.deletes):
        return
    violation = (
        f"{Property.ON_TAG_REMOVED} and {Property.ON_DELETE} must be Keep: in the registry "
        f"{repository.registry_id!r} of another account it cannot be seen which other tags an image has"
    )
    raise RuleViolationError([violation])


def _undo_update(turn: Turn, old: Declaration) -> Sequence[str]:
    """Give back the tags that the undone update took over. Remove what it added, if either declaration removes."""
    record = turn.recall(old)
    if record is None or not _is_undone_by(turn, record):
        return ()
    kept: Mapping[str, str] = {}
    is_waiting = False
    ours = turn.resolved(old, turn.event.old_properties)
    taken = {tag: at for tag, at in (record.found or {}).items() if tag not in turn.declaration.tags}
    removes = any(each.untags or each.deletes for each in (turn.declaration, old))
    if (taken or removes) and turn.is_current(record.sent):
        given_back = _give_back(turn, record, taken, ours)
        new = [tag for tag in turn.dropped if tag not in taken]
        if removes and record.found is not None:
            existed = record.existed
            removal = Removal(
                tags=new,
                image=old.deletes and existed is not None and ours not in existed,
                lists=record.lists,
                spared=existed or frozenset(),
                since=record.claimed,
                is_undo=True,
                # Tags that are still declared already point to the declared image.
                given_back=[*given_back, *turn.declaration.tags],
            )
            kept, is_waiting = _remove_image(turn, ours, removal, old.rules)
        else:
            _say_what_stays(turn, new)
    if turn.declaration.pinned is None and old.pinned is None:
        turn.records.write(MOVING, replace(record, found={}, undoes_to=""), record)
    else:
        stay = set(segments_of(turn.declaration) if owns_tags(turn.declaration) else ())
        stay |= {ours.hex} if ours is not None and is_waiting else set()
        _end(turn, [segment for segment in segments_of(old) if segment not in stay])
    return tuple(kept)


def _is_undone_by(turn: Turn, record: Record) -> bool:
    """Whether an update returns to the declaration before the update that wrote the record, or to an earlier one."""
    if record.undoes_to == key_of(turn.event.properties):
        return True
    return bool(record.found) and turn.has_succeeded_since(record.sent) is False


def _give_back_failed(turn: Turn, record: Record | None, ours: Digest | None, tags: Collection[str]) -> Collection[str]:
    """Give back those of *tags* that were taken over since the last successful deployment."""
    taken = {tag: at for tag, at in (record.found or {}).items() if tag in tags} if record else {}
    if record is None or not taken or turn.has_succeeded_since(record.sent) is not False:
        return ()
    return _give_back(turn, record, taken, ours)


def _give_back(turn: Turn, record: Record, found: Mapping[str, Digest], ours: Digest | None) -> Collection[str]:
    """
    Point tags to their previous images, unless another declaration has them on the current image.

    Args:
        record: The record of the resource that took them over.
        found: The tags, each with its previous image.
        ours: The image of the declaration; None if it is not known.
    """
    owned = _owned(turn, record, found, ours)
    for tag in owned:
        turn.log.warning(f"tag {tag} is not given back to {found[tag]}: {OWNED}", tag=tag)
    free = {tag: digest for tag, digest in found.items() if tag not in owned}
    put = {*record.put, *filter(None, [ours])}
    given_back = give_back(free, put, turn.ports.destination, turn.log)
    # A declaration writes its record before it puts its tags, so this read sees it, or it puts them later.
    retaken = _owned(turn, record, given_back, ours)
    if ours is not None and retaken:
        manifest = turn.ports.destination.manifest(ours)
        for tag in retaken:
            turn.remover.restore(ours, manifest, tag, TAKEN_MEANWHILE)
    given_back = [tag for tag in given_back if tag not in retaken]
    _hand_over(turn, record, {tag: digest for tag, digest in found.items() if tag not in given_back}, put)
    return given_back


def _hand_over(turn: Turn, record: Record, left: Mapping[str, Digest], put: AbstractSet[Digest]) -> None:
    """
    Write the previous images of tags into the records of other resources of the stack that have these tags now.

    If such a resource is undone later, it would otherwise point them to the image of this one, which is undone too.

    Args:
        record: The record of this resource.
        left: The tags that were not given back, each with its previous image.
        put: The images that this resource put them to.
    """
    if not left:
        return
    repository = turn.ports.destination
    images = {*repository.resolve(list(left)).values(), *put}
    taken: dict[str, dict[str, Digest]] = {}
    try:
        others = _takers(turn, left, images)
        for name, other in others.items():
            if other.found is None or other.sent < record.sent:
                continue
            shared = set(other.tags or ()) - set(other.found)
            found = {tag: at for tag, at in left.items() if tag in shared or other.found.get(tag) in put}
            if found:
                turn.records.rewrite(name, replace(other, found={**other.found, **found}))
            if other.put.isdisjoint(put):
                taken[name] = {tag: at for tag, at in found.items() if tag not in shared}
    except (AccessError, InvalidPropertiesError) as error:
        # A record that is too long, or may not be written, must not block the rollback.
        turn.log.warning(f"not handed over to another resource of the stack: {error.explain()}")
    # The other resource may have been undone in the meantime, and have pointed them to the image of this one.
    seen = repository.resolve([tag for tags in taken.values() for tag in tags])
    for name, tags in taken.items():
        if late := {tag: at for tag, at in tags.items() if seen.get(tag) in put}:
            give_back(late, put, repository, turn.log)
            turn.records.forget(name)


def _takers(turn: Turn, tags: Collection[str], images: Collection[Digest]) -> Mapping[str, Record]:
    """Return the records of resources of the stack that may have taken *tags*: each leads to the one before it."""
    others: dict[str, Record] = {}
    done, segments = set[str](), {UNDO, MOVING, *(digest.hex for digest in images)}
    while segments:
        more = turn.records.of_stack(segments)
        others |= more
        done |= segments
        before = [(tag, at) for other in more.values() for tag, at in (other.found or {}).items()]
        segments = {at.hex for tag, at in before if tag in tags} - done
    return others


def _owned(turn: Turn, record: Record, tags: Collection[str], ours: Digest | None) -> Collection[str]:
    """Return those of *tags* that another declaration has on the image of this one."""
    if not tags or ours is None:
        return ()
    owners = turn.records.owners(ours, record.claimed)
    return [tag for tag in tags if owners.tags.get(tag) == ours]


def _undo_creation(turn: Turn, record: Record | None, ours: Digest | None) -> bool:
    """
    Give back the tags that the creation took over. Remove what it added, if the declaration removes.

    Returns:
        Whether some tags have to wait for an index to be deleted.
    """
    declaration = turn.declaration
    if record is None or record.found is None:
        turn.log.warning("nothing is removed: it is not known what was there before the deployment")
        return False
    given_back = _give_back(turn, record, record.found, ours)
    if not (declaration.untags or declaration.deletes):
        _say_what_stays(turn, [tag for tag in declaration.tags if tag not in record.found])
        return False
    existed = record.existed
    goes = declaration.deletes and existed is not None and ours not in existed
    new = [tag for tag in declaration.tags if tag not in record.found]
    removal = Removal(
        tags=new,
        image=goes,
        lists=record.lists,
        spared=existed or frozenset(),
        since=record.claimed,
        is_undo=True,
        given_back=given_back,
    )
    return _remove_image(turn, ours, removal)[1]


def _say_what_stays(turn: Turn, tags: Sequence[str]) -> None:
    for tag in tags:
        turn.log.info(f"tag {tag} stays: it did not exist before, and is not removed unless that is declared", tag=tag)


def _is_undone(turn: Turn, record: Record | None) -> bool:
    """
    Whether the deletion of a resource undoes a failed deployment.

    It does if the stack is rolling back, or if no deployment with the resource
    has succeeded since its record was written.
    """
    if not (turn.declaration.untags or turn.declaration.deletes or (record and record.found)):
        return False
    if _is_rolling_back(turn):
        return True
    if record is None or not record.sent or not (record.found or (turn.declaration.deletes and record.existed)):
        return False
    return turn.has_succeeded_since(record.sent) is False


def _is_rolling_back(turn: Turn) -> bool:
    try:
        return turn.history.is_rolling_back
    except AccessError as error:
        turn.log.warning(f"not handled as a rollback: {error.explain()}")
        return False


def _remove_image(
    turn: Turn, ours: Digest | None, removal: Removal, rules: Sequence[Rule] = ()
) -> tuple[Mapping[str, str], bool]:
    """
    Remove tags of an image that the resource no longer declares, and the image itself, according to *removal*.

    Args:
        rules: Rules in addition to the declared ones.

    Returns:
        The tags that stay, each with the reason; and whether some have to wait
        for an index to be deleted. In that case, a record marks them.
    """
    rules = (*turn.declaration.rules, *rules)
    kept, waiting = _remove(turn, rules, ours, removal)
    is_deleted = turn.event.request_type is RequestType.DELETE
    if not waiting or ours is None or (not is_deleted and ours.hex in segments_of(turn.declaration)):
        return kept, False
    # The index may be deleted at this moment: either its deletion finds this record, or the next attempt succeeds.
    record = Record(stack=turn.event.stack_id, request=turn.event.request_id, sent=turn.event.sent, tags=waiting)
    stays = frozenset() if removal.image else frozenset({ours})
    turn.records.write(ours.hex, replace(record, left_over=True, existed=stays), None)
    _, waiting = _remove(turn, rules, ours, replace(removal, tags=waiting))
    return kept, bool(waiting)


def _remove(
    turn: Turn, rules: Iterable[Rule], ours: Digest | None, removal: Removal
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Remove tags; return those that stay, each with the reason, and those of them that an index keeps."""
    rules = tuple(rules)
    immutable = dict.fromkeys((tag for tag in removal.tags if is_protected(tag, rules)), "it is immutable")
    for tag, why in immutable.items():
        turn.log.warning(f"tag {tag} stays: {why}", tag=tag)
    if ours is None:
        turn.log.warning("nothing is removed: it is not known which image the tags were put to")
        return dict.fromkeys(removal.tags, "its image is not known"), ()
    tags = [tag for tag in removal.tags if tag not in immutable]
    kept, waiting = turn.remover.remove(ours, replace(removal, tags=tags))
    return {**immutable, **kept}, waiting


def _end_obsolete(turn: Turn, old: Declaration) -> None:
    """Delete the record that no rollback needs any longer: of the declaration before the old one, or of the old one."""
    if not remembers(old) or turn.old_record is None or not turn.old_record.previous:
        return
    earlier, stays = turn.old_record.previous, set(segments_of(turn.declaration))
    if turn.is_old_unproven:
        stays.add(earlier)
        _end(turn, [segment for segment in segments_of(old) if segment not in stays])
    elif earlier not in {*stays, *segments_of(old)}:
        _end(turn, [earlier])


def _end(turn: Turn, segments: Sequence[str]) -> None:
    """
    Delete records. A record that stays only prevents removals by others, so this is not worth a failure.

    Raises:
        DeadlineError: Time ran out in a deletion or an undo. Only their repetition deletes the record.
    """
    try:
        turn.records.end(*segments, first=True)
    except ImageError as error:
        if isinstance(error, DeadlineError) and (turn.event.request_type is RequestType.DELETE or turn.is_undo):
            raise
        turn.log.warning(f"a record of the resource stays: {error.explain()}")
