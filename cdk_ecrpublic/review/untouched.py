"""
What becomes of a declaration that has not changed since it was deployed: nothing.

So it matters what it was deployed as, and not what its source stands for now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.publish.ports import PublicRepository
from .._assets.lambda_handler.spec import Declaration, decode
from .app.declared import DeclaredImage
from .effect import Action, Effect, State, TagEffect, Writes
from .live.registry import Registry
from .turns import Turns

LEFT = (
    "the registry is not as declared, and the deployment will leave it so, since the declaration has not changed; "
    "set `refresh` to have it applied again"
)

NOT_REMEMBERED = (
    "its source is mutable, and what it was deployed as is not known here: declared is what the source stands for now"
)

UNREADABLE = "its source cannot be read any more, so it could not be applied again: "


def left_alone(effect: Effect, declared: DeclaredImage, registry: Registry) -> Effect:
    """
    Say what becomes of an image whose declaration has not changed.

    Args:
        effect: What applying it again would do.
    """
    if effect.state not in {State.CHANGED, State.REFUSED}:
        return effect
    try:
        declaration = decode(declared.properties)
        repository = registry.ports(declaration, account=declared.account).destination
        digest, notes = _deployed(effect, declared, declaration, registry)
        found = repository.resolve(declaration.tags)
        differences = list(_differences(declaration.tags, digest, found, repository)) if digest else []
    except ImageError:
        return replace(effect, state=State.DRIFTED, writes=Writes(), problems=(*effect.problems, LEFT))
    # Applied again, it would write something else than tags: a child that is missing, say.
    lacks_parts = effect.state is State.CHANGED and effect.digest == str(digest)
    is_drifted = bool(differences) or lacks_parts
    return replace(
        effect,
        state=State.DRIFTED if is_drifted else State.UNCHANGED,
        digest=str(digest) if digest else None,
        tags=tuple(_as_they_are(declaration.tags, found)),
        writes=Writes(),
        problems=(LEFT, *differences) if is_drifted else (),
        notes=tuple(note for note in notes if is_drifted or note != NOT_REMEMBERED),
    )


def deployed_digest(image: DeclaredImage, declaration: Declaration, registry: Registry) -> Digest | None:
    """Return what a declaration was deployed as; None: it was not, or we may not know."""
    if declaration.pinned is not None:
        return declaration.pinned
    try:
        turn = Turns(registry).deployed(image)
        return turn.resolved(declaration, turn.event.properties)
    except ImageError:
        return None


def moved(now: object) -> str:
    """Say that a source stands for another image than the one that was deployed."""
    return f"its source has moved since it was deployed, to {now}; set `refresh` to have that published"


def tag_differences(tags: Sequence[str], digest: Digest, found: Mapping[str, Digest]) -> Iterator[str]:
    """Name each of *tags* that does not point to *digest*."""
    for tag in tags:
        if tag not in found:
            yield f"tag {tag} does not exist; declared is {digest}"
        elif found[tag] != digest:
            yield f"tag {tag} points to {found[tag]}; declared is {digest}"


def _deployed(
    effect: Effect, declared: DeclaredImage, declaration: Declaration, registry: Registry
) -> tuple[Digest | None, list[str]]:
    """Return what it was deployed as, and what there is to say of its source."""
    digest = deployed_digest(declared, declaration, registry)
    if effect.digest is None:
        return digest, [UNREADABLE + problem for problem in effect.problems]
    if digest is not None and effect.digest != str(digest):
        return digest, [moved(effect.digest)]
    return (digest, []) if digest else (Digest.parse(effect.digest), [NOT_REMEMBERED])


def _differences(
    tags: Sequence[str], digest: Digest, found: Mapping[str, Digest], repository: PublicRepository
) -> Iterator[str]:
    yield from tag_differences(tags, digest, found)
    if repository.missing_images([digest]):
        yield f"image {digest} is missing"


def _as_they_are(tags: Sequence[str], found: Mapping[str, Digest]) -> Iterator[TagEffect]:
    for tag in tags:
        there = str(found[tag]) if tag in found else None
        yield TagEffect(tag=tag, action=Action.UNCHANGED, before=there, after=there)
