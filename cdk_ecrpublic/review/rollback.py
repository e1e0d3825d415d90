"""
Predict what a failed deployment leaves after its rollback, by running the function's code on simulated repositories.

The prediction is for the worst moment: everything is put, and nothing is
cleaned up. CloudFormation then sends the reverse Update for each updated
resource, in an unknown order, and a Delete for each created one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Manifest
from .._assets.lambda_handler.publish.content import Content, content_in_destination
from .._assets.lambda_handler.publish.differences import UNANSWERED
from .._assets.lambda_handler.publish.observe import observe
from .._assets.lambda_handler.publish.plan import Observed, make_plan
from .._assets.lambda_handler.resources import undo
from .._assets.lambda_handler.resources.judging import judge_turn
from .._assets.lambda_handler.resources.planning import desire, resolve
from .._assets.lambda_handler.resources.public_image import deployed_digest
from .._assets.lambda_handler.resources.recording import write_record
from .._assets.lambda_handler.resources.turn import Turn
from .app.declared import DeclaredImage
from .change import Change
from .effect import MAX_CONCURRENT_IMAGES, Action, State, TagEffect, Undo
from .turns import Turns

NOWHERE = "no image"


@dataclass
class Rollback:
    """
    The rollback of one deployment.

    Attributes:
        turns: The state after the writes of the deployment.
    """

    changes: Sequence[Change]
    turns: Turns

    def with_undo(self) -> list[Change]:
        """Return the changes with the effects of the rollback."""
        self._read_owners()
        sent = [change for change in self.changes if change.turn is not None and change.plan is not None]
        # In these two orders, each resource of any pair comes first once.
        orders = [sent, sent[::-1]] if len(sent) > 1 else [sent]
        endings = [_Ending.of(order, self.turns.rolling_back()) for order in orders]
        return [change.with_effect(undo=self._undo(change, endings)) for change in self.changes]

    def _read_owners(self) -> None:
        """Read the owners of tags concurrently, because the simulated rollback reads them one by one."""
        turns = self.turns.rolling_back()

        def read(change: Change) -> None:
            if change.plan is not None and change.taken:
                # The rollback reports the error if it matters.
                with suppress(ImageError):
                    turns.deployed(change.image).records.owners(change.plan.manifest.digest)

        map_concurrently(read, self.changes, max_workers=MAX_CONCURRENT_IMAGES)

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
    The result of a rollback in one order.

    Attributes:
        failures: The errors of requests that fail, by the ``id`` of the change.
    """

    turns: Turns
    failures: Mapping[int, ImageError]

    @classmethod
    def of(cls, changes: Sequence[Change], turns: Turns) -> _Ending:
        """Roll back *changes* in their order, but created resources last, as CloudFormation does."""
        order = sorted(changes, key=_is_created)
        failures = {id(change): _failure(change, turns) for change in order}
        return cls(turns, {change: failure for change, failure in failures.items() if failure is not None})

    def place(self, image: DeclaredImage, tag: str) -> str:
        """Return the final digest of a tag."""
        return str(self.turns.repository(image).resolve([tag]).get(tag, NOWHERE))


def _failure(change: Change, turns: Turns) -> ImageError | None:
    """Roll a change back. If that fails, return the error."""
    try:
        if _is_created(change):
            undo.delete(turns.delete(change.image), is_created=True)
        elif change.deployed is not None:
            _update(turns.update(change.image, change.deployed))
    except ImageError as error:
        return error
    return None


def _update(turn: Turn) -> None:
    """Serve the reverse Update, as far as it moves tags."""
    repository = turn.ports.destination
    content = _restored(turn)
    observed = Observed(tags=repository.resolve(turn.declaration.tags))
    judge_turn(turn, content, observed, lambda: True)
    write_record(turn, content, observed)
    for tag in turn.tags or [None]:
        repository.put(content.root, tag)
    undo.clean_up_after_update(turn)


def _stays(tag: TagEffect, places: set[str]) -> bool:
    """Whether a new tag stays."""
    return tag.before is None and places == {tag.after}


def _either(places: set[str]) -> str:
    """Join the digests that a tag may have."""
    if len(places) == 1:
        return "".join(places)
    return f"{' or at '.join(sorted(places))}: that depends on the order in which CloudFormation rolls resources back"


def _is_created(change: Change) -> bool:
    """Whether CloudFormation rolls the change back with a Delete. In a replacement, it deletes the new resource."""
    return change.turn is not None and change.turn.old is None


def _kept(change: Change) -> Iterator[str]:
    """Yield the new tags that stay because the declaration removes nothing."""
    if change.effect.state is not State.CHANGED:
        return
    declaration = change.image.declaration
    if not (declaration.untags or declaration.deletes):
        yield from (tag.tag for tag in change.effect.tags if tag.action is Action.CREATE)


def _restored(turn: Turn) -> Content:
    """
    Return the content that a rollback restores.

    Raises:
        ImageError: The function will fail with the same error.
    """
    declaration, destination = turn.declaration, turn.ports.destination
    if declaration.pinned is None:
        # An error here leaves the result unknown. Without a record, the rollback of the function fails, too.
        _ = turn.record
        return _there(destination.manifest(deployed_digest(turn)), turn)
    if declaration.pinned == declaration.source.pinned and not destination.missing_images([declaration.pinned]):
        # The image is in the repository, so its source is not needed.
        return _there(destination.manifest(declaration.pinned), turn)
    content = resolve(declaration, turn.ports)
    observed = observe(content, declaration.tags, destination)
    make_plan(desire(declaration, content, judge_turn(turn, content, observed, lambda: True)), observed)
    return content


def _there(manifest: Manifest, turn: Turn) -> Content:
    """Return the content of an image in the repository, without selecting platforms."""
    return content_in_destination(manifest, turn.ports.destination, ())
