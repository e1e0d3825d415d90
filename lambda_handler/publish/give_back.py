"""Point tags that a deployment took over to their previous images again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet

from ..errors import ImageError, NotFoundError, TooLateError
from ..log import Log
from ..oci import Digest, Manifest
from .ports import PUT_SECONDS, PublicRepository


def give_back(
    found: Mapping[str, Digest],
    ours: AbstractSet[Digest],
    repository: PublicRepository,
    log: Log,
    settle: Callable[[], None] = lambda: None,
    moved_on: Callable[[Mapping[str, Digest]], Collection[str]] = lambda _: (),
) -> Iterator[str]:
    """
    Point tags that a deployment took over to their previous images again, and yield each that was given back.

    A tag that points to a third image was moved since, and one that does not
    exist was removed: both stay as they are. All others are put, even if they
    seem to be in place, because reads lag. But if the deployment had left them
    at their image, there is nothing to put: another resource may have just
    taken them.

    Args:
        found: The tags, each with its previous image.
        ours: The images that the deployment put them to, if they are known.
        settle: Waits until reads show what was put before.
        moved_on: Returns the tags that another release has taken over from this one, and put to these images.
    """
    found, seen = _newest(found, ours, repository, settle, moved_on)
    manifest_of = functools.cache(functools.partial(_manifest, repository))
    for tag, digest in found.items():
        if tag not in seen or seen[tag] not in {digest, *ours}:
            state = f"points to {seen[tag]}" if tag in seen else "does not exist"
            log.warning(f"tag {tag} is not given back to {digest}: by now it {state}", tag=tag)
            continue
        if ours == {digest}:
            yield tag
            continue
        if (manifest := manifest_of(digest)) is None:
            log.warning(f"tag {tag} cannot be given back: its previous image {digest} no longer exists", tag=tag)
            continue
        try:
            repository.put(manifest, tag)
        except ImageError as error:
            if error.retryable or seen[tag] != digest or isinstance(error, TooLateError):
                raise
            # A permanent refusal also applied before, so the tag never moved.
            log.warning(f"tag {tag} seems to be at {digest} already, and could not be put: {error.explain()}", tag=tag)
            continue
        log.info(f"tag {tag} was given back to {digest}", tag=tag, imageDigest=str(digest))
        yield tag


def _newest(
    found: Mapping[str, Digest],
    ours: AbstractSet[Digest],
    repository: PublicRepository,
    settle: Callable[[], None],
    moved_on: Callable[[Mapping[str, Digest]], Collection[str]],
) -> tuple[Mapping[str, Digest], Mapping[str, Digest]]:
    """Return the previous images of the tags, and where the tags point now; both may be newer than what was known."""
    seen = repository.resolve(list(found))
    odd = [tag for tag, digest in found.items() if seen.get(tag) not in {digest, *ours}]
    if not odd:
        return found, seen
    later = moved_on({tag: seen[tag] for tag in odd if tag in seen})
    # An undo of that release moves the tag before it deletes its record, so look again after the records were read.
    again = repository.resolve(odd)
    before = {tag: at for tag, at in again.items() if at == seen.get(tag) and tag not in later}
    settle()
    now = repository.resolve(odd)
    # The first read was older than the deployment, but not as old as the reads of the deployment.
    newer = {tag: at for tag, at in before.items() if now.get(tag) in ours}
    return {**found, **newer}, {tag: at for tag, at in seen.items() if tag not in odd} | dict(now)


def _manifest(repository: PublicRepository, digest: Digest) -> Manifest | None:
    try:
        # It may have just been put, or another declaration may be removing its last tag and will put it back.
        return repository.manifest(digest, wait_seconds=PUT_SECONDS)
    except NotFoundError:
        return None
