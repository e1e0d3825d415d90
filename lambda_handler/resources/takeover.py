"""
Giving back: tags that a failed deployment took over point to their previous images again.

A tag is not given back if another declaration has it on the current image. If
another resource of the stack has taken it over since, this module writes the
previous image into the record of that resource, which then gives the tag back.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ..errors import AccessError, InvalidPropertiesError, TooLateError
from ..oci import Digest
from ..publish.give_back import give_back
from ..publish.ports import PUT_SECONDS
from ..publish.remove import OWNED, TAKEN_MEANWHILE
from .record import Record
from .record_names import MOVING, UNDO, declaration_key
from .turn import Turn


def give_back_failed(turn: Turn, record: Record | None, ours: Digest | None, tags: Collection[str]) -> Collection[str]:
    """Give back those of *tags* that were taken over since the last successful deployment."""
    taken = {tag: at for tag, at in (record.found or {}).items() if tag in tags} if record else {}
    if record is None or not taken or turn.has_succeeded_since(record.sent) is not False:
        return ()
    return give_back_taken(turn, record, taken, ours)


def give_back_taken(turn: Turn, record: Record, found: Mapping[str, Digest], ours: Digest | None) -> Collection[str]:
    """
    Point tags to their previous images, unless another declaration has them on the current image.

    Args:
        record: The record of the resource that took them over.
        found: The tags, each with its previous image.
        ours: The image of the declaration; None if it is not known.
    """
    if found and not turn.is_rolling_back:
        # Another resource of this deployment may just have put them. A rollback moves tags to where they were.
        turn.ports.settle()
    owned = _owned(turn, record, found, ours)
    for tag in owned:
        turn.log.warning(f"tag {tag} is not given back to {found[tag]}: {OWNED}", tag=tag)
    free = {tag: digest for tag, digest in found.items() if tag not in owned}
    put = {*record.put, *filter(None, [ours])}
    repository, given_back = turn.ports.destination, list[str]()
    moved_on = functools.partial(_moved_on, turn, record, put=put)
    try:
        given_back.extend(give_back(free, put, repository, turn.log, turn.ports.settle, moved_on))
    except TooLateError:
        _restore_retaken(turn, record, given_back, ours)
        raise
    retaken = _restore_retaken(turn, record, given_back, ours)
    given_back = [tag for tag in given_back if tag not in retaken]
    hand_over(turn, record, {tag: digest for tag, digest in found.items() if tag not in given_back}, put)
    return given_back


def _restore_retaken(turn: Turn, record: Record, given_back: Collection[str], ours: Digest | None) -> Collection[str]:
    """Put tags back that another declaration has taken in the meantime, and return them."""
    # A declaration writes its record before it puts its tags, so this read sees it, or it puts them later.
    retaken = _owned(turn, record, given_back, ours)
    if ours is not None and retaken:
        manifest = turn.ports.destination.manifest(ours)
        for tag in retaken:
            turn.remover.restore(ours, manifest, tag, TAKEN_MEANWHILE)
    return retaken


def is_undone_by(turn: Turn, record: Record) -> bool:
    """Whether an update returns to the declaration before the update that wrote the record, or to an earlier one."""
    if record.undoes_to == declaration_key(turn.event.properties):
        return True
    undoes_several = record.found or (record.undoes_to and turn.is_rollback)
    return bool(undoes_several) and turn.has_succeeded_since(record.sent) is False


def without_previous_image(turn: Turn, found: Mapping[str, Digest], given_back: Collection[str]) -> Collection[str]:
    """
    Return the tags that cannot be given back because their previous image was deleted, and that have no owner.

    Without the deployment, they would have been removed together with that image.
    """
    left = {tag: at for tag, at in found.items() if tag not in given_back}
    missing = turn.ports.destination.missing_images(set(left.values())) if left else frozenset()
    owners = {digest: turn.records.owners(digest) for digest in missing}
    return [tag for tag, at in left.items() if at in missing and not owners[at].own(tag)]


def hand_over(turn: Turn, record: Record, left: Mapping[str, Digest | None], put: AbstractSet[Digest]) -> None:
    """
    Write the previous images of tags into the records of other resources of the stack that have these tags now.

    If such a resource is undone later, it would otherwise point them to the image
    of this one, which is undone too, or leave tags that this one has created.

    Args:
        record: The record of this resource.
        left: The tags that stay, each with its previous image; None if it did not exist.
        put: The images that this resource put them to.
    """
    # If a tag pointed to the same image before, another resource with this image knows where it was.
    left = {tag: at for tag, at in left.items() if at not in put}
    if not left:
        return
    repository = turn.ports.destination
    images = {*repository.resolve(list(left)).values(), *put}
    taken: dict[str, dict[str, Digest]] = {}
    try:
        others = _takers(turn, left, images)
        for name, other in others.items():
            if other.found is None:
                continue
            # Requests of one deployment may read the registry in another order than they were sent.
            later = left if other.sent >= record.sent else {tag: at for tag, at in left.items() if at is None}
            shared = set(other.tags or ()) - set(other.found)
            found = {tag: at for tag, at in later.items() if tag in shared or other.found.get(tag) in put}
            if found:
                known = {tag: at for tag, at in {**other.found, **found}.items() if at is not None}
                turn.records.rewrite(name, replace(other, found=known))
            if other.put.isdisjoint(put):
                taken[name] = {tag: at for tag, at in found.items() if at is not None and tag not in shared}
    except (AccessError, InvalidPropertiesError) as error:
        # A record that is too long, or a missing permission, must not block the rollback.
        turn.log.warning(f"previous images were not handed over to other resources of the stack: {error.explain()}")
    # In the meantime, an undo of the other resource may have pointed the tags to the image of this one.
    seen = repository.resolve([tag for tags in taken.values() for tag in tags])
    for name, tags in taken.items():
        if late := {tag: at for tag, at in tags.items() if seen.get(tag) in put}:
            list(give_back(late, put, repository, turn.log))
            turn.records.delete_record(name)


def _moved_on(turn: Turn, record: Record, seen: Mapping[str, Digest], put: AbstractSet[Digest]) -> AbstractSet[str]:
    """
    Return the tags that were put to the images in *seen* after this resource took them over.

    Another release has taken them from the images *put*; or the takeover is so long
    ago that no read is older. Then *seen* may be an image of this resource that
    is in no record.
    """
    if turn.event.sent - record.sent > 2 * PUT_SECONDS:
        return seen.keys()
    segments = {UNDO, MOVING, *(digest.hex for digest in seen.values())} if seen else ()
    return {
        tag
        for other in turn.records.of_others(segments)
        for tag, at in seen.items()
        if at in other.put and (other.found or {}).get(tag) in put
    }


def _takers(turn: Turn, tags: Collection[str], images: Collection[Digest]) -> Mapping[str, Record]:
    """Return the records of resources of the stack that may have taken *tags*, following each to the one before it."""
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
    owners = turn.records.owners(ours, tags, record.owned_since, were_taken=True)
    retaken: set[str] = set()
    if not turn.is_rolling_back:
        # A later deployment may have put the tags to the same image, in another resource that is not undone.
        later = [each for each in turn.records.of_stack([UNDO]).values() if each.sent > record.sent]
        retaken = {tag for each in later if ours in each.put for tag in each.found or ()}
    return [tag for tag in tags if owners.tags.get(tag) == ours or tag in retaken]
