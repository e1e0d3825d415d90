"""Find differences between the live registry and the declarations of an app."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.ecr_public import EcrPublicRepository
from .._assets.lambda_handler.errors import ImageError, NotFoundError
from .._assets.lambda_handler.oci import Digest, Manifest
from .._assets.lambda_handler.publish.content import content_in_destination
from .._assets.lambda_handler.publish.differences import UNANSWERED, missing, tag_differences
from .._assets.lambda_handler.publish.plan import Observed
from .._assets.lambda_handler.publish.ports import SourcePorts
from .._assets.lambda_handler.publish.tree import DEPTH_MAX
from .._assets.lambda_handler.resources.judging import tags_ahead
from .._assets.lambda_handler.resources.planning import missing_signatures, resolve
from .._assets.lambda_handler.spec import Declaration
from .app.declared import DeclaredImage
from .effect import MAX_CONCURRENT_IMAGES, NOT_BUILT, problems_of
from .live.registry import Registry
from .untouched import NO_RECORD, UNREADABLE, deployed_digest, moved


class Verdict(StrEnum):
    """The result for one declared image."""

    AS_DECLARED = "as declared"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """The declaration depends on a value that is not known here."""
    UNSEEN = "unseen"
    """The registry could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    A declared image and the differences from it.

    Attributes:
        digest: The declared digest; None if not known.
        differences: One sentence for each difference.
        problems: Why the verdict is unknown or unseen.
        notes: Other facts, for example that the source has moved.
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
    Compare declared images with the registry, several concurrently.

    Args:
        done: Is called with each finding, by any thread.
        tags_only: Do not check whether the images are complete.
    """

    def find(image: DeclaredImage) -> Finding:
        finding = _compare(image, registry, tags_only=tags_only)
        done(finding)
        return finding

    registry.find_repositories(declared)
    return map_concurrently(find, declared, max_workers=MAX_CONCURRENT_IMAGES)


def _compare(declared: DeclaredImage, registry: Registry, *, tags_only: bool) -> Finding:
    name = str(declared.properties.get("RepositoryName", ""))
    finding = Finding(stack=declared.stack, path=declared.path, repository=name, verdict=Verdict.UNKNOWN)
    if declared.unknowns:
        return replace(finding, problems=declared.unknowns)
    try:
        declaration = declared.declaration
        ports = registry.ports(declaration, account=declared.account)
        repository = ports.destination
        digest, notes = _expected(declared, declaration, registry)
        found = repository.resolve(declaration.tags)
        ahead = tags_ahead(declaration, digest, found, ports)
        tags = [tag for tag in declaration.tags if tag not in ahead]
        notes = (*notes, *(f"tag {tag} stays where it is: {why}" for tag, why in ahead.items()))
        differences = [*tag_differences(tags, digest, found)]
        if not tags_only:
            lacking = [*_Completeness(repository).lacking(digest)]
            differences += lacking or _unsigned(declaration, digest, ports)
    except UNANSWERED as error:
        return replace(finding, verdict=Verdict.UNSEEN, problems=problems_of(error))
    except ImageError as error:
        if declared.built_here and isinstance(error, NotFoundError):
            return replace(finding, problems=(NOT_BUILT,))
        # The registry responded, so the declared image cannot be there.
        return replace(finding, verdict=Verdict.DIFFERENT, differences=problems_of(error))
    return replace(
        finding,
        repository=str(repository.repository),
        verdict=Verdict.DIFFERENT if differences else Verdict.AS_DECLARED,
        digest=str(digest),
        differences=tuple(differences),
        notes=tuple(note for note in notes if differences or note != NO_RECORD),
    )


def _unsigned(declaration: Declaration, digest: Digest, ports: SourcePorts) -> Iterator[str]:
    """Yield a sentence for each image that is not signed as declared."""
    if declaration.signing is None:
        return
    root = ports.destination.manifest(digest)
    content = content_in_destination(root, ports.destination, ())
    for signature in missing_signatures(declaration, content, Observed(tags={}), ports):
        yield f"{signature.image.digest} has no valid signature made with {declaration.signing.arn}"


def _expected(declared: DeclaredImage, declaration: Declaration, registry: Registry) -> tuple[Digest, tuple[str, ...]]:
    """
    Return the digest that the tags should point to, and notes about the source.

    Raises:
        ImageError: The source cannot be resolved.
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
        return now, (NO_RECORD,)
    return digest, () if now == digest else (moved(now),)


@dataclass(frozen=True, slots=True)
class _Completeness:
    """Checks whether all manifests and blobs of an image exist."""

    repository: EcrPublicRepository

    def lacking(self, digest: Digest) -> Iterator[str]:
        """Yield a sentence for each manifest and blob that an image lacks."""
        manifests, absent = self._descend([digest], DEPTH_MAX)
        for each in absent:
            yield missing(each) if each == digest else f"child of {digest} {each} is missing"
        blobs = {blob.digest for manifest in manifests for blob in manifest.blobs if not blob.is_foreign}
        for each in sorted(blobs - self.repository.blob_sizes(blobs).keys()):
            yield f"blob {each} of {digest} is missing"

    def _descend(self, digests: Sequence[Digest], depth: int) -> tuple[list[Manifest], list[Digest]]:
        manifests, lacking = [], []
        for digest in digests:
            try:
                manifest = self.repository.manifest(digest)
            except NotFoundError:
                lacking.append(digest)
                continue
            manifests.append(manifest)
            if depth:
                below, absent = self._descend([child.digest for child in manifest.children], depth - 1)
                manifests += below
                lacking += absent
        return manifests, lacking
