"""Turn a declaration into the input of the planner, for the function and for the review commands."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import RuleViolationError
from ..publish.content import Content
from ..publish.own import without_own
from ..publish.plan import Desired, Observed
from ..publish.ports import MissingSignature, PublicRepository, SourcePorts
from ..publish.rule import Release, Verdict, is_protected
from ..spec import Declaration, Property


def refuse_removal_elsewhere(declaration: Declaration, repository: PublicRepository) -> None:
    """
    Refuse a declaration that may remove something from the registry of another account.

    Raises:
        RuleViolationError: The declaration may do that.
    """
    if repository.is_own or not (declaration.untags or declaration.deletes):
        return
    violation = (
        f"{Property.ON_TAG_REMOVED} and {Property.ON_DELETE} must be Keep: in the registry "
        f"{repository.registry_id!r} of another account, the function cannot see which other tags an image has"
    )
    raise RuleViolationError([violation])


def resolve(declaration: Declaration, ports: SourcePorts) -> Content:
    """
    Resolve the source of a declaration, with referrers if it includes them.

    Raises:
        ImageError: The image does not exist, cannot be read, or lacks a platform.
    """
    content = declaration.source.resolve(ports, declaration.platforms)
    if declaration.include_referrers:
        from ..publish.referrers import with_referrers  # noqa: PLC0415 - a cold start compiles what it imports

        content = with_referrers(content)
    return without_own(content, ports.destination.repository)


def release_of(declaration: Declaration, content: Content, observed: Observed, ports: SourcePorts) -> Release:
    """Return the release that the rules of a declaration judge."""
    return Release(content=content, tags=declaration.tags, found=observed.tags, ports=ports)


def missing_signatures(
    declaration: Declaration, content: Content, observed: Observed, ports: SourcePorts
) -> tuple[MissingSignature, ...]:
    """
    Return the signatures that a declaration asks for and the image lacks.

    Raises:
        ImageError: They cannot be read.
    """
    signing = declaration.signing
    return signing.missing(content, observed.missing_images, ports) if signing else ()


def desire(
    declaration: Declaration,
    content: Content,
    verdict: Verdict,
    *,
    confirm: Collection[str] = (),
    confirm_image: bool = False,
    signatures: Sequence[MissingSignature] = (),
) -> Desired:
    """
    Combine the content with the tags of its declaration, as its rules allow them: protected tags first.

    Args:
        verdict: What the rules of the declaration say; see ``judge``.
        confirm: Tags to put even if they seem to be in place; see ``Desired.confirm``.
        confirm_image: Put the image itself even if it seems to exist.
        signatures: The signatures that the image lacks.
    """
    tags = [tag for tag in declaration.tags if tag not in verdict.stays]
    return Desired(
        content=content,
        tags=tuple(sorted(tags, key=lambda tag: not is_protected(tag, declaration.rules))),
        verdict=verdict,
        confirm=frozenset(confirm),
        confirm_image=confirm_image,
        signatures=tuple(signatures),
    )
