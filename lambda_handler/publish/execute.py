"""Carry out a plan: blobs, then manifests, then tags; all tags of a release, or none."""

from __future__ import annotations

import functools
from collections.abc import Generator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

from ..errors import DeadlineError, ImageError, ReleaseError
from ..log import Log
from .plan import BlobCopy, Plan, TagMove
from .ports import PublicRepository

COPIERS = 3
"""How many blobs go up at once. Each holds a piece of 1 MiB, some of the time twice."""


@dataclass(slots=True)
class Progress:
    """
    How far an execution has come, for a report while it hangs.

    Attributes:
        moved: Tags that were put, and not yet put back.
    """

    moved: list[TagMove] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{move.tag} (was {move.before or 'new'})" for move in list(self.moved))


def execute(
    plan: Plan,
    repository: PublicRepository,
    log: Log,
    undoing: PublicRepository | None = None,
    progress: Progress | None = None,
) -> None:
    """
    Write what the plan says, in its order.

    Args:
        undoing: The same repository, with time left to undo when time for the
            work has run out. Default: *repository* itself.
        progress: Is kept up to date. Default: progress is not reported.

    Manifests and tags are put one after the other, which also keeps below the
    service's quota of 10 PutImage a second for an account.

    Raises:
        DeadlineError: Time ran out; the text says what is done.
        ReleaseError: A tag could not be put. Those that were moved before it
            point again where they did; the text names any that could not be
            put back, and any that is new and stays.
        ImageError: No tag was put.
    """
    _copy(plan, repository, log)
    for part in plan.parts:
        repository.put(part, None)
    if plan.put_image:
        repository.put(plan.manifest, None)
        log.info(f"image put: {plan.manifest.digest}", imageDigest=str(plan.manifest.digest))
    for manifest, tag in plan.referrers:
        repository.put(manifest, tag)
        log.info(f"referrer put: {tag or manifest.digest}", tag=tag, imageDigest=str(manifest.digest))
    _move(plan, repository, log, undoing or repository, progress or Progress())


def _copy(plan: Plan, repository: PublicRepository, log: Log) -> None:
    """Copy blobs, several at once; the first failure ends it."""
    if not plan.blobs:
        return
    stopped = Event()
    with ThreadPoolExecutor(COPIERS) as copiers:
        # The largest first, so that none of them is left over at the end.
        copies = sorted(plan.blobs, key=lambda copy: -copy.blob.size)
        running = [copiers.submit(_copy_blob, copy, repository, log, stopped) for copy in copies]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        stopped.set()
        copiers.shutdown(wait=False, cancel_futures=True)
    failures = [error for future in done if (error := future.exception()) is not None]
    if not failures:
        return
    if isinstance(failures[0], DeadlineError):
        finished = [copy for copy, future in zip(copies, running, strict=True) if future.done() and _succeeded(future)]
        message = f"ran out of time after {len(finished)} of {len(copies)} blobs were copied"
        raise DeadlineError(message, hint="deploy again: it goes on from there") from failures[0]
    raise failures[0]


def _succeeded(future: Future[None]) -> bool:
    return not future.cancelled() and future.exception() is None


def _copy_blob(copy: BlobCopy, repository: PublicRepository, log: Log, stopped: Event) -> None:
    repository.upload(copy.blob, lambda: _while_others_go_on(copy, stopped))
    log.info(f"blob copied: {copy.blob.digest}", digest=str(copy.blob.digest), sizeBytes=copy.blob.size)


def _while_others_go_on(copy: BlobCopy, stopped: Event) -> Generator[bytes, None, None]:
    """Yield the content of a blob until another blob fails, so that no gigabytes are copied in vain."""
    with closing(copy.origin.blob(copy.blob)) as content:
        for piece in content:
            if stopped.is_set():
                message = "stopped, because another blob failed"
                raise ImageError(message)
            yield piece


def _move(plan: Plan, repository: PublicRepository, log: Log, undoing: PublicRepository, progress: Progress) -> None:
    done = progress.moved
    for move in plan.moves:
        try:
            is_moved = repository.put(plan.manifest, move.tag)
        except ImageError as error:
            # Without a response it is not known whether the tag was moved.
            if error.outcome_unknown and move.before is not None:
                done.append(move)
            if not done:
                raise
            raise _undo(plan, move, progress, undoing, error) from error
        if is_moved:
            # What another delivery of the request has put is not ours to put back.
            done.append(move)
        log.info(f"tag {move.tag} put", tag=move.tag, imageDigest=str(plan.manifest.digest))


def _undo(
    plan: Plan, failed: TagMove, progress: Progress, repository: PublicRepository, error: ImageError
) -> ReleaseError:
    """Point moved tags back, the last one first, and say how it went."""
    restored, stuck = [], []
    new = [move.tag for move in progress.moved if move.before is None]
    # The tags of one release mostly pointed to one image: read once, that leaves more time to put it.
    manifest_of = functools.cache(repository.manifest)
    for move in reversed(list(progress.moved)):
        if move.before is None:
            continue
        try:
            repository.put(manifest_of(move.before), move.tag)
        except ImageError as trouble:
            stuck.append(f"{move.tag} (was {move.before}: {trouble.explain()})")
        else:
            restored.append(move.tag)
            progress.moved.remove(move)
    outcome = [
        f"tag {failed.tag!r} could not be put: {error.explain()}",
        f"moved back: {', '.join(restored)}" if restored else "",
        f"new and left in place at {plan.manifest.digest}: {', '.join(new)}" if new else "",
        f"could not be moved back: {', '.join(stuck)}" if stuck else "",
    ]
    return ReleaseError("; ".join(part for part in outcome if part), hint=error.hint)
