"""Where the live registry is no longer what the app declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.ecr_public import EcrPublicRepository
from .._assets.lambda_handler.errors import ImageError, NotFoundError
from .._assets.lambda_handler.oci import Digest, Manifest
from .._assets.lambda_handler.publish.tree import DEPTH_MAX
from .._assets.lambda_handler.resources.planning import resolve
from .._assets.lambda_handler.spec import Declaration, decode
from .app.declared import DeclaredImage
from .effect import AT_ONCE, NOT_BUILT, UNANSWERED, problems_of
from .live.registry import Registry
from .untouched import NOT_REMEMBERED, UNREADABLE, deployed_digest, moved, tag_differences


class Verdict(StrEnum):
    """How a declared image was found."""

    AS_DECLARED = "as declared"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """What is declared is not known here."""
    UNSEEN = "unseen"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One declared image, and what is found in its place.

    Attributes:
        digest: What is declared; None: not known.
        differences: One sentence each.
        problems: Why it is unknown or unseen.
        notes: What else there is to know, such as a source that has moved.
    """

    stack: str
    path: str
    repository: str
    verdict: Verdict
    digest: str | None = None
    differences: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_drift(
    declared: Sequence[DeclaredImage],
    registry: Registry,
    done: Callable[[Finding], None] = lambda _: None,
    *,
    tags_only: bool = False,
) -> list[Finding]:
    """
    Compare all of *declared* with what is there, several at once.

    Args:
        done: Called with each finding as soon as there is one, by any thread.
        tags_only: Do not look whether the images are complete.
    """

    def find(image: DeclaredImage) -> Finding:
        finding = _compare(image, registry, tags_only=tags_only)
        done(finding)
        return finding

    return map_concurrently(find, declared, max_workers=AT_ONCE)


def _compare(declared: DeclaredImage, registry: Registry, *, tags_only: bool) -> Finding:
    name = str(declared.properties.get("RepositoryName", ""))
    finding = Finding(stack=declared.stack, path=declared.path, repository=name, verdict=Verdict.UNKNOWN)
    if declared.unknowns:
        return replace(finding, problems=declared.unknowns)
    try:
        declaration = decode(declared.properties)
        ports = registry.ports(declaration, account=declared.account)
        repository = ports.destination
        digest, notes = _expected(declared, declaration, registry)
        found = repository.resolve(declaration.tags)
        differences = [*tag_differences(declaration.tags, digest, found)]
        if not tags_only:
            differences += _Completeness(repository).lacking(digest)
    except UNANSWERED as error:
        return replace(finding, verdict=Verdict.UNSEEN, problems=problems_of(error))
    except ImageError as error:
        if declared.built_here and isinstance(error, NotFoundError):
            return replace(finding, problems=(NOT_BUILT,))
        # The registries did answer: what is declared cannot be there.
        return replace(finding, verdict=Verdict.DIFFERENT, differences=problems_of(error))
    return replace(
        finding,
        repository=str(repository.repository),
        verdict=Verdict.DIFFERENT if differences else Verdict.AS_DECLARED,
        digest=str(digest),
        differences=tuple(differences),
        notes=tuple(note for note in notes if differences or note != NOT_REMEMBERED),
    )


def _expected(declared: DeclaredImage, declaration: Declaration, registry: Registry) -> tuple[Digest, tuple[str, ...]]:
    """
    Return the image that has to be there, and what there is to say of its source.

    Raises:
        ImageError: It cannot be found out.
    """
    ports = registry.ports(declaration, account=declared.account)
    if declaration.pinned is not None:
        return declaration.pinned, ()
    digest = deployed_digest(declared, declaration, registry)
    try:
        now = resolve(declaration, ports).root.digest
    except ImageError as error:
        if digest is None:
            raise
        return digest, tuple(UNREADABLE + problem for problem in problems_of(error))
    if digest is None:
        return now, (NOT_REMEMBERED,)
    return digest, () if now == digest else (moved(now),)


@dataclass(frozen=True, slots=True)
class _Completeness:
    """Looks whether all is there that an image consists of."""

    repository: EcrPublicRepository

    def lacking(self, digest: Digest) -> Iterator[str]:
        """Name what is missing of an image."""
        manifests, missing = self._descend([digest], DEPTH_MAX)
        for each in missing:
            what = "image" if each == digest else f"child of {digest}"
            yield f"{what} {each} is missing"
        blobs = {blob.digest for manifest in manifests for blob in manifest.blobs if not blob.is_foreign}
        for each in sorted(self.repository.missing_blobs(blobs)):
            yield f"blob {each} of {digest} is missing"

    def _descend(self, digests: Sequence[Digest], depth: int) -> tuple[list[Manifest], list[Digest]]:
        manifests, missing = [], []
        for digest in digests:
            try:
                manifest = self.repository.manifest(digest)
            except NotFoundError:
                missing.append(digest)
                continue
            manifests.append(manifest)
            if depth:
                below, absent = self._descend([child.digest for child in manifest.children], depth - 1)
                manifests += below
                missing += absent
        return manifests, missing
