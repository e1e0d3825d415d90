"""
What is left of a deployment that fails, once CloudFormation has rolled it back: the function's own work, rehearsed.

It fails at the worst moment: everything is put, and nothing is cleaned up.
CloudFormation then sends an Update the other way round to what was updated,
and Delete to what was created.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.publish.observe import observe
from .._assets.lambda_handler.publish.plan import make_plan
from .._assets.lambda_handler.resources import undo
from .._assets.lambda_handler.resources.planning import desire, resolve
from .._assets.lambda_handler.resources.public_image import deployed
from .._assets.lambda_handler.resources.turn import Turn
from .._assets.lambda_handler.spec import decode
from .change import Change
from .effect import UNANSWERED, Action, State, Undo
from .template import DeclaredImage
from .turns import Turns


@dataclass
class Rollback:
    """
    The rollback of one deployment.

    Attributes:
        turns: Begin with what the deployment has written.
    """

    changes: Sequence[Change]
    turns: Turns

    def told(self) -> list[Change]:
        """Return the changes with what is left of them."""
        # CloudFormation deletes what it created at the very end.
        order = sorted(self.changes, key=_is_created)
        failures = {id(change): self._failure(change) for change in order}
        return [change.having(undo=self._undo(change, failures[id(change)])) for change in self.changes]

    def _failure(self, change: Change) -> ImageError | None:
        """Roll a change back; return why that does not work."""
        if change.turn is None or change.plan is None:
            return None
        try:
            if _is_created(change):
                undo.delete(self.turns.delete(change.image), is_created=True)
            elif change.deployed is not None:
                self._update(change.image, change.deployed)
        except ImageError as error:
            return error
        return None

    def _update(self, new: DeclaredImage, old: DeclaredImage) -> None:
        """Serve an update the other way round, as far as it moves tags."""
        turn = self.turns.update(new, old)
        self.turns.repository(old).tags |= dict.fromkeys(turn.declaration.tags, _restored(turn))
        undo.leave_old_declaration(turn)

    def _undo(self, change: Change, failure: ImageError | None) -> Undo:
        if change.turn is None or isinstance(failure, UNANSWERED):
            return Undo(stays=tuple(_kept(change)))
        if failure is not None:
            return Undo(problems=(f"if this deployment fails, its rollback will fail, too: {failure.explain()}",))
        repository = self.turns.repository(change.image)
        tags = change.effect.tags if change.effect.state is State.CHANGED else ()
        before = {tag.tag: tag.before for tag in tags}
        if dropped := [tag for tag in change.turn.dropped if tag not in before]:
            there = repository.base.resolve(dropped)
            before |= {tag: str(there[tag]) if tag in there else None for tag in dropped}
        now = repository.resolve(list(before)) if before else {}
        new = [tag.tag for tag in tags if tag.before is None]
        return Undo(
            stays=tuple(tag for tag in new if tag in now),
            problems=tuple(
                f"if this deployment fails, tag {tag} will stay at {now.get(tag) or 'no image'}"
                for tag, at in before.items()
                if tag not in new and str(now.get(tag)) != str(at)
            ),
        )


def _is_created(change: Change) -> bool:
    """Whether CloudFormation undoes it by deleting it; of a replacement it deletes the new one."""
    return change.turn is not None and change.turn.old is None


def _kept(change: Change) -> Iterator[str]:
    """Give the tags that are new, where the declaration removes none, as far as that is all that is known."""
    if change.effect.state is not State.CHANGED:
        return
    declaration = decode(change.image.properties)
    if not (declaration.untags or declaration.deletes):
        yield from (tag.tag for tag in change.effect.tags if tag.action is Action.CREATE)


def _restored(turn: Turn) -> Digest:
    """
    Return the image that a declaration comes back to.

    Raises:
        ImageError: As the function will raise it.
    """
    declaration, destination = turn.declaration, turn.ports.destination
    if declaration.pinned is None:
        # Where that may not be read, we do not know; where there is nothing, the function will not either.
        _ = turn.record
        digest = deployed(turn)
        if destination.missing_images([digest]):
            destination.manifest(digest)
        return digest
    if declaration.pinned == declaration.source.pinned and not destination.missing_images([declaration.pinned]):
        # What the repository holds is read from nowhere else.
        return declaration.pinned
    content = resolve(declaration, turn.ports)
    rules = tuple(rule for rule in declaration.rules if not rule.yields_to_rollback)
    desired = replace(desire(declaration, content), rules=rules)
    make_plan(desired, observe(content, declaration.tags, destination))
    return content.root.digest
