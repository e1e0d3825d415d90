"""
What is left of a deployment that fails, once CloudFormation has rolled it back: the function's own work, rehearsed.

It fails at the worst moment: everything is put, and nothing is cleaned up.
CloudFormation then sends an Update the other way round to what was updated,
in an order that it does not tell, and Delete to what was created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Manifest
from .._assets.lambda_handler.publish.content import Content, present
from .._assets.lambda_handler.publish.observe import observe
from .._assets.lambda_handler.publish.plan import Observed, make_plan
from .._assets.lambda_handler.resources import undo
from .._assets.lambda_handler.resources.memory import remember
from .._assets.lambda_handler.resources.planning import desire, resolve
from .._assets.lambda_handler.resources.public_image import deployed
from .._assets.lambda_handler.resources.turn import Turn
from .._assets.lambda_handler.spec import decode
from .app.declared import DeclaredImage
from .change import Change
from .effect import AT_ONCE, UNANSWERED, Action, State, TagEffect, Undo
from .turns import Turns

NOWHERE = "no image"


@dataclass
class Rollback:
    """
    The rollback of one deployment.

    Attributes:
        turns: With what the deployment has written.
    """

    changes: Sequence[Change]
    turns: Turns

    def told(self) -> list[Change]:
        """Return the changes with what is left of them."""
        self._read_owners()
        sent = [change for change in self.changes if change.turn is not None and change.plan is not None]
        # Of any two, each comes first in one of them.
        orders = [sent, sent[::-1]] if len(sent) > 1 else [sent]
        endings = [_Ending.of(order, self.turns.rolling_back()) for order in orders]
        return [change.having(undo=self._undo(change, endings)) for change in self.changes]

    def _read_owners(self) -> None:
        """Read at once who else has what is taken over: a rollback asks for one after the other."""
        turns = self.turns.rolling_back()

        def read(change: Change) -> None:
            if change.plan is not None and change.taken:
                # What may not be read is told where it matters.
                with suppress(ImageError):
                    turns.deployed(change.image).records.owners(change.plan.manifest.digest)

        map_concurrently(read, self.changes, max_workers=AT_ONCE)

    def _undo(self, change: Change, endings: Sequence[_Ending]) -> Undo:
        failures = [ending.failures[id(change)] for ending in endings if id(change) in ending.failures]
        if change.turn is None or any(isinstance(failure, UNANSWERED) for failure in failures):
            return Undo(stays=tuple(_kept(change)))
        if failures:
            problem = f"if this deployment fails, its rollback will fail, too: {failures[0].explain()}"
            return Undo(problems=(problem,), fails=True)
        tags = change.effect.tags if change.effect.state in {State.CHANGED, State.UNCHANGED} else ()
        before = {tag.tag: tag.before or NOWHERE for tag in tags}
        repository = self.turns.repository(change.image)
        if dropped := [tag for tag in change.turn.dropped if tag not in before]:
            there = repository.base.resolve(dropped)
            before |= {tag: str(there.get(tag, NOWHERE)) for tag in dropped}
        after = {tag: {ending.place(change.image, tag) for ending in endings} for tag in before}
        stays = tuple(tag.tag for tag in tags if _stays(tag, after[tag.tag]))
        return Undo(
            stays=stays,
            problems=tuple(
                f"if this deployment fails, tag {tag} will stay at {_either(places)}"
                for tag, places in after.items()
                if tag not in stays and places != {before[tag]}
            ),
        )


@dataclass(frozen=True, slots=True)
class _Ending:
    """
    How a rollback ends, in one order.

    Attributes:
        failures: Why the requests to some changes fail, by the identity of the change.
    """

    turns: Turns
    failures: Mapping[int, ImageError]

    @classmethod
    def of(cls, changes: Sequence[Change], turns: Turns) -> _Ending:
        """Roll back *changes* in their order; CloudFormation deletes what it created at the very end."""
        order = sorted(changes, key=_is_created)
        failures = {id(change): _failure(change, turns) for change in order}
        return cls(turns, {change: failure for change, failure in failures.items() if failure is not None})

    def place(self, image: DeclaredImage, tag: str) -> str:
        """Say where a tag is at last."""
        return str(self.turns.repository(image).resolve([tag]).get(tag, NOWHERE))


def _failure(change: Change, turns: Turns) -> ImageError | None:
    """Roll a change back; return why that does not work."""
    try:
        if _is_created(change):
            undo.delete(turns.delete(change.image), is_created=True)
        elif change.deployed is not None:
            _update(turns.update(change.image, change.deployed))
    except ImageError as error:
        return error
    return None


def _update(turn: Turn) -> None:
    """Serve an update the other way round, as far as it moves tags."""
    tags, repository = turn.declaration.tags, turn.ports.destination
    content = _restored(turn)
    remember(turn, content, Observed(tags=repository.resolve(tags)))
    for tag in tags or [None]:
        repository.put(content.root, tag)
    undo.leave_old_declaration(turn)


def _stays(tag: TagEffect, places: set[str]) -> bool:
    """Whether a tag that is new is left where it was put."""
    return tag.before is None and places == {tag.after}


def _either(places: set[str]) -> str:
    """Name each place where a tag may be."""
    if len(places) == 1:
        return "".join(places)
    return f"{' or at '.join(sorted(places))}: that depends on the order in which CloudFormation rolls resources back"


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


def _restored(turn: Turn) -> Content:
    """
    Return the image that a declaration comes back to.

    Raises:
        ImageError: As the function will raise it.
    """
    declaration, destination = turn.declaration, turn.ports.destination
    if declaration.pinned is None:
        # Where that may not be read, we do not know; where there is nothing, the function will not either.
        _ = turn.record
        return _there(destination.manifest(deployed(turn)), turn)
    if declaration.pinned == declaration.source.pinned and not destination.missing_images([declaration.pinned]):
        # What the repository holds is read from nowhere else.
        return _there(destination.manifest(declaration.pinned), turn)
    content = resolve(declaration, turn.ports)
    rules = tuple(rule for rule in declaration.rules if not rule.yields_to_rollback)
    desired = replace(desire(declaration, content), rules=rules)
    make_plan(desired, observe(content, declaration.tags, destination))
    return content


def _there(manifest: Manifest, turn: Turn) -> Content:
    """Return the content of an image that the repository holds, whatever platforms are declared."""
    return present(manifest, turn.ports.destination, ())
