"""
Predict what a deployment removes, by running the function's code on simulated repositories.

CloudFormation deletes removed and replaced resources after it has updated all
others. So the writes of all changes are simulated before the removals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from .._assets.lambda_handler.errors import ImageError, RepositoryNotFoundError
from .._assets.lambda_handler.publish.execute import execute
from .._assets.lambda_handler.publish.remove import LAST
from .._assets.lambda_handler.resources import undo
from .._assets.lambda_handler.resources.record import Record
from .._assets.lambda_handler.resources.record_names import possible_segments
from .._assets.lambda_handler.resources.turn import Turn
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
    The removals of one deployment.

    Attributes:
        changes: The changes to all declared images.
        gone: The images that are deployed but no longer declared.
    """

    changes: Sequence[Change]
    gone: Sequence[DeclaredImage]
    turns: Turns

    def effects(self) -> list[Effect]:
        """Return the complete effects of all changes and of all deleted images."""
        for change in self.changes:
            if change.plan is not None:
                execute(change.plan, self.turns.repository(change.image), SILENT)
        changes = _with_contested([self._untagged(change) for change in self.changes])
        changes = Takeovers(changes, self.gone, self.turns).with_takeovers()
        changes = Rollback(changes, self.turns).with_undo()
        return [*(change.effect for change in changes), *self._deleted()]

    def _untagged(self, change: Change) -> Change:
        """Add the dropped tags that will be removed."""
        effect, turn = change.effect, change.turn
        if change.plan is None or turn is None or turn.old is None:
            return change
        try:
            removal = _removal(
                self.turns.repository(change.image),
                turn,
                undo.clean_up_after_update,
                has_failed=self.turns.has_failed(change.image),
            )
        except ImageError as error:
            if not turn.declaration.untags:
                return change
            return change.with_effect(state=State.UNSEEN, problems=problems_of(error))
        return change.with_effect(
            state=State.CHANGED if removal.tags else effect.state,
            tags=(*effect.tags, *removal.tags),
            notes=(*effect.notes, *removal.notes, *_may_not_be_last(removal, turn)),
        )

    def _deleted(self) -> list[Effect]:
        """Return the effects of the deleted images."""
        replaced = [
            (change.deployed, change.effect.repository)
            for change in self.changes
            if change.deployed and change.may_replace and REPLACEMENT_POLICY not in change.deployed.outlives
        ]
        deleted = [*replaced, *((image, "") for image in self.gone if DELETION_POLICY not in image.outlives)]
        # Of two deleted images, the later one may keep tags of the earlier one. The order is not known.
        earlier = self.turns.copy()
        for image, _ in deleted:
            _end(image, earlier if self._acts(image) else self.turns)
        removed = [each for each in deleted if self._acts(each[0])]
        return list(filter(None, (self._delete(image, unless_in, earlier) for image, unless_in in removed)))

    def _acts(self, image: DeclaredImage) -> bool:
        """Whether deleting the resource may change the registry. After a failed deployment, it may give tags back."""
        return image.properties.get(Property.ON_DELETE) == "Delete" or self.turns.has_failed(image)

    def _delete(self, image: DeclaredImage, unless_in: str, earlier: Turns) -> Effect | None:
        """
        Return the effect of deleting a resource; None if there is none.

        Args:
            unless_in: The new repository of a replaced resource; if it is the same, the resource is not replaced.
            earlier: The state in which the records of other deleted resources still exist.
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
            turn = _with_record(self.turns.delete(image))
            has_failed = self.turns.has_failed(image)
            removal = _removal(repository, turn, lambda turn: undo.delete(turn, is_created=True), has_failed=has_failed)
            removal = replace(removal, notes=(*removal.notes, *_may_stay(repository, earlier.delete(image))))
        except RepositoryNotFoundError:
            return None
        except ImageError as error:
            return replace(effect, state=State.UNSEEN, problems=problems_of(error))
        return removal.of(effect)


def _with_contested(changes: Sequence[Change]) -> list[Change]:
    """
    Warn of tags that one change leaves where they are or may not move, and that another one removes.

    CloudFormation decides the order.
    """
    removed = {
        (change.effect.repository, tag, str(change.turn.undone_digest)): change.effect.path
        for change in changes
        if change.turn is not None and change.turn.declaration.untags
        for tag in change.turn.dropped
    }

    def warned(change: Change) -> Change:
        is_refused = change.effect.state is State.REFUSED
        result = "this image may be refused, or not" if is_refused else "tag {} may be put to this image, or be gone"
        action = Action.MOVE if is_refused else Action.SKIP
        tags = [(tag.tag, tag.before) for tag in change.effect.tags if tag.action is action]
        contested = [
            f"{result.format(tag)}: {path} removes tag {tag} in the same deployment, and the order is not known; "
            "let one deployment remove it, and the next one declare it here"
            for tag, before in tags
            if (path := removed.get((change.effect.repository, tag, str(before))))
        ]
        return change.with_effect(warnings=(*change.effect.warnings, *contested))

    return list(map(warned, changes))


@dataclass(frozen=True, slots=True)
class _Removal:
    """
    The result of a simulated removal.

    Attributes:
        notes: The reasons why tags and images stay.
        returned: The tags that a deployment had taken over which failed and was not rolled back. They are given back.
    """

    repository: RehearsedRepository
    notes: tuple[str, ...]
    returned: tuple[TagEffect, ...] = ()

    @property
    def tags(self) -> tuple[TagEffect, ...]:
        """The tags that are removed, and those that are given back."""
        removed = self.repository.removed.items()
        gone = (TagEffect(tag=tag, action=Action.REMOVE, before=str(digest), after=None) for tag, digest in removed)
        return (*gone, *self.returned)

    def of(self, effect: Effect) -> Effect | None:
        """Return the complete effect; None if nothing is removed and there is nothing to note."""
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
            # The image may have been deleted in the meantime.
            with suppress(ImageError):
                yield summarize(repository.manifest(digest), repository.manifest, lambda _: repository)


def _removal(
    repository: RehearsedRepository, turn: Turn, remove: Callable[[Turn], object], *, has_failed: bool
) -> _Removal:
    """
    Run the function's *remove* on a simulated repository.

    Args:
        has_failed: Whether the last deployment failed and was not rolled back, so that tags may be given back.

    Raises:
        ImageError: The removal cannot be predicted.
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
    # Warnings about a tag that was removed or moved after all would be wrong.
    changed = repository.removed.keys() | {tag for tag, digest in repository.tags.items() if digest}
    notes = dict.fromkeys(each["message"] for each in said if each.get("tag") not in changed)
    back = [f"tag {each.tag} goes back to the image that it had before the failed deployment" for each in returned]
    return _Removal(repository, (*notes, *back), returned)


def _with_record(turn: Turn) -> Turn:
    """Give a deployed image that is deleted the record that it has, if a review does not find it."""
    # If it cannot be read, the deletion itself says so.
    with suppress(ImageError):
        if turn.declaration.deletes and turn.record is None:
            turn.record = Record(tags=turn.declaration.tags)
    return turn


def _end(image: DeclaredImage, turns: Turns) -> None:
    """Delete the records of a deleted resource."""
    with suppress(ImageError):
        turn = turns.delete(image)
        turn.records.end(*possible_segments(turn.declaration), first=True)


def _may_not_be_last(removal: _Removal, turn: Turn) -> Iterator[str]:
    """Yield a note for a tag that stays as the last one of its image, if other images of the app take the others."""
    digest, own = turn.undone_digest, {*turn.dropped, *turn.declaration.tags}
    for note in removal.notes:
        if digest and note.endswith(LAST) and removal.repository.base.tags_of([digest]).get(digest, frozenset()) - own:
            yield (
                f"{note.partition(' stays')[0]} is removed after all if CloudFormation updates this image before the "
                "others of the app, which take the other tags of its previous image"
            )


def _may_stay(repository: RehearsedRepository, turn: Turn) -> Iterator[str]:
    """Yield a note for each removed tag and image that another deleted resource declares, too."""
    tags = [f"tag {tag}" for tag, digest in repository.removed.items() if turn.records.owners(digest).own(tag)]
    deleted = repository.deleted
    images = [f"image {digest}" for digest in deleted if turn.records.owners(digest).own_image(digest)]
    for each in (*tags, *images):
        yield f"{each} stays if CloudFormation deletes this resource before another one that declares it"
