"""Carry out a plan: copy blobs, then put manifests, then tags. Either all tags of a release move, or none."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

from ..concurrency import map_concurrently
from ..errors import DeadlineError, ImageError, ReleaseError, TooLateError
from ..log import Log
from .plan import BlobCopy, Plan, TagMove
from .ports import PublicRepository

MAX_CONCURRENT_COPIES = 10
"""
How many blobs are copied at the same time. Each needs 1 to 2 MiB of memory.

The service allows 10 initiated and 10 completed uploads per second, so more
would only be throttled more often. Most images have fewer blobs.
"""


@dataclass(slots=True, eq=False, repr=False)
class Progress:
    """
    The progress of an execution, for the response if a call hangs.

    Attributes:
        moved: The tags that were put and not put back.
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
    before_tags: Callable[[], None] = lambda: None,
) -> None:
    """
    Write the plan, in its order.

    Args:
        undoing: The same repository with a later deadline, to move tags back.
            Default: *repository* itself.
        progress: Is updated after each tag. Default: progress is not reported.
        before_tags: Called when everything but the tags is written. If it raises an error, no tag is put.

    Manifests and tags are put one after the other. That also respects the quota
    of 10 PutImage requests per second and account.

    Raises:
        DeadlineError: Time ran out. The message says how much is done.
        TooLateError: CloudFormation no longer waits. Tags that were moved stay.
        ReleaseError: A tag could not be put. The tags that were moved before it
            were moved back. The message lists those that could not be moved
            back, and new tags, which stay.
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
    put = {tag: manifest for manifest, tag in plan.referrers if tag}
    for signature in plan.signatures:
        stored, signed = signature.attach(repository, put), str(signature.image.digest)
        log.info(f"signed {signed}: {stored}", imageDigest=signed)
    before_tags()
    _move(plan, repository, log, undoing or repository, progress or Progress())


def _copy(plan: Plan, repository: PublicRepository, log: Log) -> None:
    """Copy blobs concurrently, until one fails."""
    stopped = Event()
    copied: list[BlobCopy] = []

    def copy_blob(copy: BlobCopy) -> None:
        try:
            repository.upload(copy.blob, lambda: _until_stopped(copy, stopped))
        except ImageError as error:
            where = "" if str(copy.origin) in error.message else f" in {copy.origin}"
            error.add_context(f"a blob of {copy.manifest}{where}")
            raise
        log.info(f"blob copied: {copy.blob.digest}", digest=str(copy.blob.digest), sizeBytes=copy.blob.size)
        copied.append(copy)

    # The largest first: if it were the last, it would be copied alone.
    copies = sorted(plan.blobs, key=lambda copy: -copy.blob.size)
    try:
        map_concurrently(copy_blob, copies, max_workers=MAX_CONCURRENT_COPIES, on_failure=stopped.set)
    except DeadlineError as error:
        message = f"{error.message}, after {len(copied)} of {len(copies)} blobs were copied"
        raise DeadlineError(message, hint="deploy again, which skips the blobs that were copied") from error


def _until_stopped(copy: BlobCopy, stopped: Event) -> Generator[bytes, None, None]:
    """Yield the content of a blob until another blob fails; copying gigabytes would then be useless."""
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
        except TooLateError:
            # The request that undoes this one moves the tags back.
            raise
        except ImageError as error:
            # Without a response, the tag may have been moved.
            if error.outcome_unknown and move.before is not None:
                done.append(move)
            if not done:
                raise
            raise _undo(plan, move, progress, undoing, error) from error
        if is_moved:
            # Otherwise another delivery of the request has put the tag, and this one must not move it back.
            done.append(move)
        log.info(f"tag {move.tag} put", tag=move.tag, imageDigest=str(plan.manifest.digest))


def _undo(
    plan: Plan, failed: TagMove, progress: Progress, repository: PublicRepository, error: ImageError
) -> ReleaseError:
    """Move tags back, the last one first, and return the error that reports the result."""
    restored, stuck = [], []
    new = [move.tag for move in progress.moved if move.before is None]
    # Most tags of a release pointed to the same image. Reading it once saves time.
    manifest_of = functools.cache(repository.manifest)
    for move in reversed(list(progress.moved)):
        if move.before is None:
            continue
        try:
            repository.put(manifest_of(move.before), move.tag)
        except TooLateError:
            # As above: another release may have the tags by now.
            raise
        except ImageError as failure:
            stuck.append(f"{move.tag} (was {move.before}: {failure.explain()})")
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
