"""
The effect of a deployment on a declaration that has not changed: none.

So its tags are compared with the digest that was deployed, not with the digest
that its source resolves to now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.publish.differences import image_differences
from .._assets.lambda_handler.resources.judging import tags_ahead
from .._assets.lambda_handler.spec import Declaration
from .app.declared import DeclaredImage
from .effect import Action, Effect, State, TagEffect, Writes
from .live.registry import Registry
from .turns import Turns

NOT_APPLIED = (
    "the registry differs from the declaration, and the deployment will not correct it, because the declaration has "
    "not changed; set `refresh` to apply it again"
)

NO_RECORD = (
    "its source is mutable, and the deployed digest is not known here; this compares with what the source is now"
)

UNREADABLE = "its source can no longer be read, so the declaration could not be applied again: "


def effect_if_unchanged(effect: Effect, declared: DeclaredImage, registry: Registry) -> Effect:
    """
    Return the effect on an image whose declaration has not changed.

    Args:
        effect: The effect that applying the declaration again would have.
    """
    is_as_applied = effect.state is State.UNCHANGED
    if effect.state not in {State.CHANGED, State.REFUSED} and not is_as_applied:
        return effect
    try:
        declaration = declared.declaration
        if is_as_applied and declaration.pinned is not None:
            return effect
        ports = registry.ports(declaration, account=declared.account)
        repository = ports.destination
        digest, notes = _deployed(effect, declared, declaration, registry)
        if is_as_applied and effect.digest == str(digest):
            return effect
        # Otherwise the source and the tags have both moved to another image than the deployed one.
        found = repository.resolve(declaration.tags)
        ahead = tags_ahead(declaration, digest, found, ports) if digest else {}
        tags = [tag for tag in declaration.tags if tag not in ahead]
        differences = list(image_differences(tags, digest, found, repository)) if digest else []
    except ImageError:
        return replace(effect, state=State.DRIFTED, writes=Writes(), problems=(*effect.problems, NOT_APPLIED))
    # Applying it again would write something other than tags, for example a missing child.
    lacks_parts = effect.writes != Writes() and effect.digest == str(digest)
    is_drifted = bool(differences) or lacks_parts
    return replace(
        effect,
        state=State.DRIFTED if is_drifted else State.UNCHANGED,
        digest=str(digest) if digest else None,
        tags=tuple(_as_they_are(declaration.tags, found, ahead)),
        writes=Writes(),
        problems=(NOT_APPLIED, *differences) if is_drifted else (),
        notes=tuple(note for note in notes if is_drifted or note != NO_RECORD),
    )


def deployed_digest(image: DeclaredImage, declaration: Declaration, registry: Registry) -> Digest | None:
    """Return the deployed digest of a declaration; None if it was not deployed, or its record cannot be read."""
    if declaration.pinned is not None:
        return declaration.pinned
    try:
        turn = Turns(registry).deployed(image)
        return turn.known_digest(declaration, turn.event.properties)
    except ImageError:
        return None


def moved(now: object) -> str:
    """Return the note that a source now resolves to another image than the deployed one."""
    return f"its source has moved to {now} since it was deployed; set `refresh` to publish that"


def _deployed(
    effect: Effect, declared: DeclaredImage, declaration: Declaration, registry: Registry
) -> tuple[Digest | None, list[str]]:
    """Return the deployed digest, and notes about the source."""
    digest = deployed_digest(declared, declaration, registry)
    if effect.digest is None:
        return digest, [UNREADABLE + problem for problem in effect.problems]
    if digest is not None and effect.digest != str(digest):
        return digest, [moved(effect.digest)]
    return (digest, []) if digest else (Digest.parse(effect.digest), [NO_RECORD])


def _as_they_are(tags: Sequence[str], found: Mapping[str, Digest], ahead: Mapping[str, str]) -> Iterator[TagEffect]:
    for tag in tags:
        there = str(found[tag]) if tag in found else None
        action = Action.SKIP if tag in ahead else Action.UNCHANGED
        yield TagEffect(tag=tag, action=action, before=there, after=there, reason=ahead.get(tag, ""))
