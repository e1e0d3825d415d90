"""Carry out a plan: all of a release, or none of it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ImageError, ReleaseError
from ..log import Log
from .plan import Plan, TagMove
from .ports import PublicRepository


def execute(plan: Plan, repository: PublicRepository, log: Log) -> None:
    """
    Put the image and its tags, one after the other, in the plan's order.

    One at a time also keeps below the service's quota of 10 PutImage a second
    for an account.

    Raises:
        ReleaseError: A tag could not be put. Those that were moved before it
            point again where they did; the text names any that could not be
            put back, and any that is new and stays.
        ImageError: Nothing was written.
    """
    if plan.put_image:
        repository.put(plan.manifest, None)
        log.info(f"image put: {plan.manifest.digest}", imageDigest=str(plan.manifest.digest))
    done: list[TagMove] = []
    for move in plan.moves:
        try:
            repository.put(plan.manifest, move.tag)
        except ImageError as error:
            if not done:
                raise
            raise _undo(plan, move, done, repository, error) from error
        done.append(move)
        log.info(f"tag {move.tag} put", tag=move.tag, imageDigest=str(plan.manifest.digest))


def _undo(
    plan: Plan, failed: TagMove, done: Sequence[TagMove], repository: PublicRepository, error: ImageError
) -> ReleaseError:
    """Point moved tags back, the last one first, and say how it went."""
    restored, stuck = [], []
    for move in reversed(done):
        if move.before is None:
            continue
        try:
            repository.put(repository.read(move.before), move.tag)
        except ImageError as trouble:
            stuck.append(f"{move.tag} (was {move.before}: {trouble.explain()})")
        else:
            restored.append(move.tag)
    new = [move.tag for move in done if move.before is None]
    outcome = [
        f"tag {failed.tag!r} could not be put: {error.explain()}",
        f"moved back: {', '.join(restored)}" if restored else "",
        f"new and left in place at {plan.manifest.digest}: {', '.join(new)}" if new else "",
        f"could not be moved back: {', '.join(stuck)}" if stuck else "",
    ]
    return ReleaseError("; ".join(part for part in outcome if part), hint=error.hint)
