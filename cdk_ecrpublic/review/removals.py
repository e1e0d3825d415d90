"""
What a deployment removes: the function's own work, rehearsed.

CloudFormation deletes what is no longer declared, or was replaced, after
everything else has been put; so all that is put is there already when a
removal is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from .._assets.lambda_handler.errors import ImageError, RepositoryNotFoundError
from .._assets.lambda_handler.publish.execute import execute
from .._assets.lambda_handler.resources import undo
from .._assets.lambda_handler.resources.turn import Turn, segments_of
from .._assets.lambda_handler.spec import Property
from .app.declared import DeclaredImage
from .app.template import DELETION_POLICY, REPLACEMENT_POLICY
from .change import Change
from .effect import Action, Effect, State, TagEffect, Writes, problems_of
from .images import Summary, summarize
from .live.registry import SILENT, warnings
from .rehearsal import RehearsedRepository
from .rollback import Rollback
from .takeovers import Takeovers
from .turns import Turns


@dataclass
class Removals:
    """
    The rest of one deployment, once all that is declared was looked at.

    Attributes:
        changes: All that is declared.
        gone: What is deployed and no longer declared.
    """

    changes: Sequence[Change]
    gone: Sequence[DeclaredImage]
    turns: Turns

    def effects(self) -> list[Effect]:
        """Return the effects of all changes with all that follows from them, and those of what is deleted."""
        for change in self.changes:
            if change.plan is not None:
                execute(change.plan, self.turns.repository(change.image), SILENT)
        changes = [self._untagged(change) for change in self.changes]
        changes = Takeovers(changes, self.gone, self.turns).told()
        changes = Rollback(changes, self.turns).told()
        return [*(change.effect for change in changes), *self._deleted()]

    def _untagged(self, change: Change) -> Change:
        """Add the tags that are no longer declared, where they are to be removed."""
        effect, turn = change.effect, change.turn
        if change.plan is None or turn is None or turn.old is None:
            return change
        try:
            removal = _removal(
                self.turns.repository(change.image),
                turn,
                undo.leave_old_declaration,
                has_failed=self.turns.has_failed(change.image),
            )
        except ImageError as error:
            if not turn.declaration.untags:
                return change
            return change.having(state=State.UNSEEN, problems=problems_of(error))
        return change.having(
            state=State.CHANGED if removal.tags else effect.state,
            tags=(*effect.tags, *removal.tags),
            notes=(*effect.notes, *removal.notes),
        )

    def _deleted(self) -> list[Effect]:
        """Return what is removed with images that are deleted."""
        replaced = [
            (change.deployed, change.effect.repository)
            for change in self.changes
            if change.deployed and change.may_replace and REPLACEMENT_POLICY not in change.deployed.outlives
        ]
        deleted = [*replaced, *((image, "") for image in self.gone if DELETION_POLICY not in image.outlives)]
        # Of two that are deleted, neither keeps what the other one removes; but it may, if it goes later.
        earlier = self.turns.copy()
        for image, _ in deleted:
            _end(image, earlier if self._acts(image) else self.turns)
        removed = [each for each in deleted if self._acts(each[0])]
        return list(filter(None, (self._delete(image, unless_in, earlier) for image, unless_in in removed)))

    def _acts(self, image: DeclaredImage) -> bool:
        """Whether the deletion of an image may change the registry: after a failed deployment, tags may go back."""
        return image.properties.get(Property.ON_DELETE) == "Delete" or self.turns.has_failed(image)

    def _delete(self, image: DeclaredImage, unless_in: str, earlier: Turns) -> Effect | None:
        """
        Return what is removed with an image that is deleted; None: nothing.

        Args:
            unless_in: Where a replaced image goes to: in the very same repository it is the same resource.
            earlier: With the records of what is deleted and removes nothing.
        """
        name = str(image.properties.get(Property.REPOSITORY_NAME, ""))
        effect = Effect(stack=image.stack, path=image.path, repository=name, state=State.UNKNOWN)
        if image.unknowns:
            return replace(effect, problems=image.unknowns)
        try:
            repository = self.turns.repository(image)
            effect = replace(effect, repository=str(repository.repository))
            if effect.repository == unless_in:
                return None
            turn = self.turns.delete(image)
            has_failed = self.turns.has_failed(image)
            removal = _removal(repository, turn, lambda turn: undo.delete(turn, is_created=True), has_failed=has_failed)
            removal = replace(removal, notes=(*removal.notes, *_may_stay(repository, earlier.delete(image))))
        except RepositoryNotFoundError:
            return None
        except ImageError as error:
            return replace(effect, state=State.UNSEEN, problems=problems_of(error))
        return removal.of(effect)


@dataclass(frozen=True, slots=True)
class _Removal:
    """
    What was removed in a rehearsal.

    Attributes:
        notes: What stays, and why.
        returned: Tags that go back to where they were before a deployment that failed and was not rolled back.
    """

    repository: RehearsedRepository
    notes: tuple[str, ...]
    returned: tuple[TagEffect, ...] = ()

    @property
    def tags(self) -> tuple[TagEffect, ...]:
        """The tags that go, and those that go back."""
        removed = self.repository.removed.items()
        gone = (TagEffect(tag=tag, action=Action.REMOVE, before=str(digest), after=None) for tag, digest in removed)
        return (*gone, *self.returned)

    def of(self, effect: Effect) -> Effect | None:
        """Complete the effect of what is deleted; None: nothing is removed, and nothing stays that could have been."""
        tags, deletes = self.tags, tuple(map(str, self.repository.deleted))
        if not (tags or deletes or self.notes):
            return None
        return replace(
            effect,
            state=State.CHANGED if tags or deletes else State.UNCHANGED,
            tags=tags,
            writes=Writes(deletes=deletes),
            images={summary.digest: summary for summary in self._summaries()},
            notes=self.notes,
        )

    def _summaries(self) -> Iterator[Summary]:
        repository = self.repository.base
        for digest in dict.fromkeys(self.repository.removed.values()):
            # Where it is gone by now, there is nothing to say of it.
            with suppress(ImageError):
                yield summarize(repository.manifest(digest), repository.manifest, lambda _: repository)


def _removal(
    repository: RehearsedRepository, turn: Turn, remove: Callable[[Turn], object], *, has_failed: bool
) -> _Removal:
    """
    Let the function remove from a rehearsed repository.

    Args:
        has_failed: The last deployment failed and was not rolled back, so that tags may go back.

    Raises:
        ImageError: It cannot be seen what that would be.
    """
    said: list[Mapping[str, Any]] = []
    before = repository.resolve(turn.dropped or turn.declaration.tags) if has_failed else {}
    repository.begin()
    turn.log = warnings(said.append)
    remove(turn)
    after = repository.resolve(list(before))
    returned = tuple(
        TagEffect(tag=tag, action=Action.MOVE, before=str(before[tag]), after=str(digest))
        for tag, digest in after.items()
        if digest != before[tag]
    )
    # A tag that is put elsewhere is told of there; one that is removed at a second look did not stay.
    told = repository.removed.keys() | {tag for tag, digest in repository.tags.items() if digest}
    notes = dict.fromkeys(each["message"] for each in said if each.get("tag") not in told)
    back = [f"tag {each.tag} goes back to where it was before the deployment that failed" for each in returned]
    return _Removal(repository, (*notes, *back), returned)


def _end(image: DeclaredImage, turns: Turns) -> None:
    """End the records of an image that is deleted."""
    with suppress(ImageError):
        turn = turns.delete(image)
        turn.records.end(*segments_of(turn.declaration), first=True)


def _may_stay(repository: RehearsedRepository, turn: Turn) -> Iterator[str]:
    """Name what was removed that another resource declares which is deleted, too, and removes nothing."""
    tags = [f"tag {tag}" for tag, digest in repository.removed.items() if turn.records.owners(digest).own(tag)]
    deleted = repository.deleted
    images = [f"image {digest}" for digest in deleted if turn.records.owners(digest).own_image(digest)]
    for each in (*tags, *images):
        yield f"{each} stays if CloudFormation deletes this resource before another one that declares it"
