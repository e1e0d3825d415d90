"""Ask the rules of a declaration about a request, for the function and for the review commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import AccessError, NotFoundError
from ..oci import Digest
from ..publish.content import Content, content_in_destination
from ..publish.limits import LIMITS
from ..publish.plan import Observed
from ..publish.ports import SourcePorts
from ..publish.rule import Release, Verdict, judge
from ..spec import Declaration
from .planning import release_of
from .record_names import MOVING, UNDO, always_has_record
from .turn import Turn

if TYPE_CHECKING:
    from .record import Record


def judge_turn(turn: Turn, content: Content, observed: Observed, is_undo: Callable[[], bool]) -> Verdict:
    """
    Ask the rules, and note in *turn* which tags stay. *is_undo* is called only if that makes a difference.

    Raises:
        ImageError: A rule could not read what it needs.
    """
    rules = (*turn.declaration.rules, LIMITS)
    release = release_of(turn.declaration, content, observed, turn.ports)
    undoes = any(rule.reads(release) for rule in rules) and is_undo()
    verdict = Verdict() if undoes else judge(rules, release)
    # Where an undo returns these tags depends on records, although no rule objects.
    movable = {tag: at for tag, at in observed.tags.items() if turn.old and turn.may_leave(tag)}
    added = {tag: at for tag, at in movable.items() if turn.old and tag not in turn.old.tags}
    objects = verdict.violations or verdict.stays or added or content.root.digest in movable.values()
    if undoes or (objects and is_undo()):
        record = _record_undone(turn) if movable else None
        taken, dropped = (record.found or {}, record.drops) if record else ({}, ())
        undone = turn.undone_digest
        put = [tag for tag in (turn.old.tags if turn.old else ()) if observed.tags.get(tag) == undone]
        release = replace(release, is_undo=True, undone=undone, taken=taken, returning=(*put, *dropped))
        verdict = judge(rules, release)
        verdict = replace(verdict, stays={**verdict.stays, **_left_before(turn, added)})
    turn.left = frozenset(verdict.stays)
    turn.taken_elsewhere = _not_own(turn, observed)
    return verdict


def _left_before(turn: Turn, tags: Mapping[str, Digest]) -> Mapping[str, str]:
    """
    Return those of *tags* that the declaration had left before the update that is undone, with the reason.

    Its record shows them. Without one, the record of a resource shows them that has taken them from a third image.
    """
    own = turn.declaration.pinned
    try:
        if own is None or always_has_record(turn.declaration):
            left: Collection[str] = turn.record.left if turn.record else ()
        else:
            taken = {tag: at for tag, at in tags.items() if at != own}
            segments = {UNDO, MOVING, *(at.hex for at in taken.values())} if taken else ()
            others = turn.records.of_stack(segments).values()
            left = [tag for tag in taken for other in others if (other.found or {}).get(tag) not in {None, own}]
        return {tag: "it was not at this image before the release that is undone" for tag in tags if tag in left}
    except AccessError as error:
        turn.log.warning(f"tags that were left before may move: {error.explain()}")
        return {}


def _record_undone(turn: Turn) -> Record | None:
    """Return the record of the update that this one undoes; None if there is none, or if it cannot be read."""
    from .takeover import is_undone_by  # noqa: PLC0415 - a cold start compiles what it imports

    try:
        record = turn.read_record(turn.old) if turn.old else None
        return record if record and is_undone_by(turn, record) and turn.is_current(record.sent) else None
    except AccessError as error:
        turn.log.warning(f"tags that the undone release took over or removed may stay: {error.explain()}")
        return None


def tags_ahead(
    declaration: Declaration, digest: Digest, found: Mapping[str, Digest], ports: SourcePorts
) -> Mapping[str, str]:
    """
    Return the tags that the rules of a declaration leave at other images than *digest*, its own, with the reason.

    Raises:
        ImageError: A rule could not read what it needs.
    """
    elsewhere = [tag for tag in declaration.tags if found.get(tag) not in {None, digest}]
    if not any(rule.may_leave(tag) for rule in declaration.rules for tag in elsewhere):
        return {}
    repository = ports.destination
    content = content_in_destination(repository.manifest(digest), repository, ())
    # As in an undo: it does not matter whether the rule would refuse a release.
    release = Release(content=content, tags=declaration.tags, found=found, ports=ports, is_undo=True)
    return judge(declaration.rules, release).stays


def _not_own(turn: Turn, observed: Observed) -> frozenset[str]:
    """Return the tags of the previous declaration that its rules would leave, so that this request takes them over."""
    if (old := turn.old) is None:
        return frozenset()
    found = {tag: at for tag, at in observed.tags.items() if tag in turn.tags}
    if not any(rule.may_leave(tag) for rule in old.rules for tag in found):
        return frozenset()
    try:
        digest = turn.known_digest(old, turn.event.old_properties)
        return frozenset(tags_ahead(old, digest, found, turn.ports)) if digest else frozenset()
    except (AccessError, NotFoundError) as error:
        turn.log.warning(f"it is not known which tags the previous declaration has left in place: {error.explain()}")
        return frozenset()
