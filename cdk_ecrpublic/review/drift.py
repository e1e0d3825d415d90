"""Where the live registry is no longer what the app declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

from .._assets.lambda_handler.ecr_public import EcrPublicRepository
from .._assets.lambda_handler.errors import ImageError, NotFoundError
from .._assets.lambda_handler.oci import Digest, Manifest
from .._assets.lambda_handler.publish.content import DEPTH_MAX
from .._assets.lambda_handler.resources.planning import resolve
from .._assets.lambda_handler.spec import decode
from .effect import AT_ONCE, UNANSWERED, problems_of
from .intrinsics import unknowns
from .registry import Registry
from .template import DeclaredImage


class Verdict(StrEnum):
    """How a declared image was found."""

    AS_DECLARED = "as declared"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """Only the deployment knows what is declared."""
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
    """

    stack: str
    path: str
    repository: str
    verdict: Verdict
    digest: str | None = None
    differences: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


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

    with ThreadPoolExecutor(AT_ONCE) as finders:
        return list(finders.map(find, declared))


def _compare(declared: DeclaredImage, registry: Registry, *, tags_only: bool) -> Finding:
    name = str(declared.properties.get("RepositoryName", ""))
    finding = Finding(stack=declared.stack, path=declared.path, repository=name, verdict=Verdict.UNKNOWN)
    if open_ends := sorted(set(map(str, unknowns(declared.properties)))):
        return replace(finding, problems=tuple(f"only the deployment knows {each}" for each in open_ends))
    try:
        declaration = decode(declared.properties)
        ports = registry.ports(declaration, account=declared.account)
        repository = ports.destination
        digest = declaration.pinned or resolve(declaration, ports).root.digest
        found = repository.resolve(declaration.tags)
        differences = [*_tags(declaration.tags, digest, found)]
        if not tags_only:
            differences += _Completeness(repository).lacking(digest)
    except UNANSWERED as error:
        return replace(finding, verdict=Verdict.UNSEEN, problems=problems_of(error))
    except ImageError as error:
        if declared.built_here and isinstance(error, NotFoundError):
            return replace(finding, problems=("only the deployment builds and pushes the image",))
        # The registries did answer: what is declared cannot be there.
        return replace(finding, verdict=Verdict.DIFFERENT, differences=problems_of(error))
    return replace(
        finding,
        repository=str(repository.repository),
        verdict=Verdict.DIFFERENT if differences else Verdict.AS_DECLARED,
        digest=str(digest),
        differences=tuple(differences),
    )


def _tags(tags: Sequence[str], digest: Digest, found: Mapping[str, Digest]) -> Iterator[str]:
    for tag in tags:
        if tag not in found:
            yield f"tag {tag} does not exist; declared is {digest}"
        elif found[tag] != digest:
            yield f"tag {tag} points to {found[tag]}; declared is {digest}"


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
