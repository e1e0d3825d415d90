"""Repositories of ECR Public that the API does not tell us of: seen from outside, or not there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..._assets.lambda_handler.ecr_public import EcrPublicRepository
from ..._assets.lambda_handler.ecr_public.repository import ForeignRepository
from ..._assets.lambda_handler.errors import AccessError, NotFoundError
from ..._assets.lambda_handler.oci import Digest, Manifest, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRepository(ForeignRepository):
    """A repository as everybody sees it, whose owner we may be."""

    has_blob: Callable[[Repository, Digest], bool]
    is_own: ClassVar[bool] = True

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:  # noqa: ARG002
        """
        Return nothing: only the owner sees all tags of an image.

        Raises:
            AccessError: In any case.
        """
        operation = "ecr-public:DescribeImages"
        message = f"which other tags images of {self.repository} have, and so what may be removed, only its owner sees"
        raise AccessError(message, operation=operation, hint=f"set AWS credentials that may call {operation}")

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* that no blob here has. One request each."""
        return frozenset(digest for digest in digests if not self._has_blob(digest))

    def _has_blob(self, digest: Digest) -> bool:
        return self.retry.call(f"looking for {digest}", lambda: self.has_blob(self.repository, digest))


class ComingRepository(EcrPublicRepository):
    """A repository that the same deployment creates: there is nothing in it."""

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:  # noqa: ARG002
        """Return no tag."""
        return {}

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:  # noqa: ARG002
        """Return no image."""
        return {}

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return all of *digests*."""
        return frozenset(digests)

    def missing_blobs(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return all of *digests*."""
        return frozenset(digests)

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:  # noqa: ARG002
        """Find nothing."""
        message = f"{digest} cannot be in repository {self.name!r}, which does not exist yet"
        raise NotFoundError(message, operation="GET manifest")
