"""What a declaration may remove, and when: nothing by default, and never what it did not put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import InvalidPropertiesError, NotFoundError, RuleViolationError
from ..log import Log
from ..oci import Digest
from ..publish.plan import is_protected
from ..publish.ports import PublicRepository
from ..publish.remove import Owned, delete, untag
from ..spec import Declaration, Property, decode
from .memory import NOTHING, Before, Memory


@dataclass(frozen=True, slots=True)
class Remover:
    """
    Removes what a declaration put there, as far as that is known; the rest is not touched.

    Attributes:
        memory: The declaration's.
        before: What was there before the deployment that is being rolled back;
            nothing where none is; None where that is not known.
    """

    memory: Memory
    before: Before | None
    repository: PublicRepository
    log: Log

    def delete(self, declaration: Declaration, properties: Mapping[str, object]) -> None:
        """Remove the declaration's tags, and what thereby loses its last one."""
        owned = self._owned(declaration, properties)
        self._restore(declaration.tags, owned)
        delete(declaration.tags, owned, self.repository, self.log)

    def untag_dropped(self, declaration: Declaration, old: Mapping[str, object]) -> tuple[str, ...]:
        """
        Remove the tags that only the old properties declare, from the same repository.

        Returns:
            The tags that stay; the log says why.
        """
        before = _decoded(old)
        if before is None or not _is_same_repository(before, declaration):
            return ()
        dropped = [tag for tag in before.tags if tag not in declaration.tags]
        immutable = [tag for tag in dropped if is_protected(tag, declaration.rules)]
        for tag in immutable:
            self.log.warning(f"tag {tag} stays: it is immutable", tag=tag)
        removable = [tag for tag in dropped if tag not in immutable]
        if not removable:
            return tuple(immutable)
        owned = self._owned(before, old)
        self._restore(removable, owned)
        kept = untag(removable, owned, self.repository, self.log)
        self._give_back([tag for tag in removable if tag not in kept])
        return (*immutable, *kept)

    def _owned(self, declaration: Declaration, properties: Mapping[str, object]) -> Owned:
        digest = declaration.pinned or self.memory.digest_of(properties)
        mine = frozenset({digest} if digest and self.before is not None else ())
        others, before = self.memory.others(), self.before or NOTHING
        return Owned(
            digests=mine,
            claimed_tags=others.tags.keys(),
            earlier_tags=before.tags,
            spared_digests=others.digests | (mine if before.images is None else before.images),
        )

    def _restore(self, tags: Sequence[str], owned: Owned) -> None:
        """Point tags that the deployment took over to what they pointed to before."""
        taken = {tag: owned.earlier_tags[tag] for tag in tags if tag in owned.earlier_tags.keys() - owned.claimed_tags}
        for tag, digest in self.repository.resolve(list(taken)).items():
            if digest in owned.digests and digest != taken[tag]:
                self._put_back(tag, taken[tag], "it pointed there before the deployment")

    def _give_back(self, tags: Sequence[str]) -> None:
        """
        Put tags again that another declaration has laid claim to since we looked.

        CloudFormation updates resources at the same time. A claim is written
        before its tags are put: where it is not seen even now, they come later.
        """
        claimed = self.memory.others().tags if tags else {}
        for tag in tags:
            if digest := claimed.get(tag):
                self._put_back(tag, digest, "another declaration has taken it meanwhile")

    def _put_back(self, tag: str, digest: Digest, why: str) -> None:
        # An image that is not there yet is put by its own declaration, and the tag with it.
        with suppress(NotFoundError):
            self.repository.put(self.repository.manifest(digest), tag)
            self.log.warning(f"tag {tag} was put back: {why}", tag=tag, imageDigest=str(digest))


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
