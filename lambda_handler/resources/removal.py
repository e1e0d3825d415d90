"""What a declaration may remove, and when: nothing by default, and never what it did not put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..errors import InvalidPropertiesError, NotFoundError, RuleViolationError
from ..log import Log
from ..oci import Digest
from ..publish.plan import is_immutable
from ..publish.ports import PublicRepository
from ..publish.remove import Owned, untag
from ..spec import Declaration, Property, decode
from .memory import Memory


def pinned(declaration: Declaration) -> Digest | None:
    """Return the digest that a declaration always has; None when only its deployment tells."""
    return declaration.expected_digest or (None if declaration.platforms else declaration.source.pinned)


def owned(declaration: Declaration, properties: Mapping[str, object], memory: Memory) -> Owned:
    """Return what *declaration* put there, as far as that is known; the rest is not touched."""
    digest = pinned(declaration) or memory.digest_of(properties)
    others = memory.others()
    return Owned(
        digests=frozenset({digest} if digest else ()),
        claimed_tags=others.tags.keys(),
        claimed_digests=others.digests,
    )


def untag_dropped(
    declaration: Declaration, old: Mapping[str, object], memory: Memory, repository: PublicRepository, log: Log
) -> tuple[str, ...]:
    """
    Remove the tags that only the old properties declare, from the same repository.

    Returns:
        The tags that stay; the log says why.
    """
    before = _decoded(old)
    if before is None or not _is_same_repository(before, declaration):
        return ()
    dropped = [tag for tag in before.tags if tag not in declaration.tags]
    immutable = [tag for tag in dropped if is_immutable(tag, declaration.immutable_tags)]
    for tag in immutable:
        log.warning(f"tag {tag} stays: it is immutable", tag=tag)
    removable = [tag for tag in dropped if tag not in immutable]
    if not removable:
        return tuple(immutable)
    kept = untag(removable, owned(before, old, memory), repository, log)
    _give_back([tag for tag in removable if tag not in kept], memory, repository, log)
    return (*immutable, *kept)


def _give_back(tags: Sequence[str], memory: Memory, repository: PublicRepository, log: Log) -> None:
    """
    Put tags again that another declaration has laid claim to since we looked.

    CloudFormation updates resources at the same time. A claim is written
    before its tags are put: where it is not seen even now, they come later.
    """
    claimed = memory.others().tags if tags else {}
    for tag in tags:
        digest = claimed.get(tag)
        if digest is None:
            continue
        # An image that is not there yet is put by its own declaration, and the tag with it.
        with suppress(NotFoundError):
            repository.put(repository.manifest(digest), tag)
            log.warning(f"tag {tag} was put back: another declaration has taken it meanwhile", tag=tag)


def refuse_removal_elsewhere(declaration: Declaration, repository: PublicRepository) -> None:
    """
    Refuse to ever remove anything from another account's registry.

    Raises:
        RuleViolationError: *declaration* asks for that.
    """
    if repository.is_own or not (declaration.untags or declaration.deletes):
        return
    violation = (
        f"{Property.ON_TAG_REMOVED} and {Property.ON_DELETE} must be Keep: in the registry "
        f"{repository.registry_id!r} of another account nobody can see which other tags an image has"
    )
    raise RuleViolationError([violation])


def _decoded(properties: Mapping[str, object]) -> Declaration | None:
    """Read old properties; None when they are none that this version reads."""
    try:
        return decode(properties)
    except InvalidPropertiesError:
        return None


def _is_same_repository(one: Declaration, other: Declaration) -> bool:
    return (one.registry_id, one.repository_name) == (other.registry_id, other.repository_name)
