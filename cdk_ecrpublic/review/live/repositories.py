"""Find many repositories at once, and those that the control-plane API cannot read: anonymous, or not created yet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..._assets.lambda_handler.aws.errcode import translated
from ..._assets.lambda_handler.ecr_public import EcrPublicRepository
from ..._assets.lambda_handler.ecr_public.foreign import ForeignRepository
from ..._assets.lambda_handler.ecr_public.location import RepositoryLocation
from ..._assets.lambda_handler.errors import AccessError, NotFoundError
from ..._assets.lambda_handler.oci import Digest, Manifest, Repository, is_account_id
from ..._assets.lambda_handler.retry import Retry

NAMES_MAX = 100
"""How many names ``DescribeRepositories`` accepts (AWS API reference)."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class AnonymousRepository(ForeignRepository):
    """A repository that is read anonymously. It may be the user's own."""

    has_blob: Callable[[Repository, Digest], bool]
    is_own: ClassVar[bool] = True

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:  # noqa: ARG002
        """
        Raise an error: only the owner can list all tags of an image.

        Raises:
            AccessError: Always.
        """
        operation = "ecr-public:DescribeImages"
        message = f"only the owner of {self.repository} can see all tags of an image, and so what will be removed"
        raise AccessError(message, operation=operation, hint=f"set AWS credentials that may call {operation}")

    def tags_read(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        """Raise an error, as ``tags_of`` does: the function will see the tags, so a guess would be wrong."""
        return self.tags_of(digests)

    def blob_sizes(self, digests: Iterable[Digest]) -> Mapping[Digest, int | None]:
        """Return the digests of which the repository has a blob. Each needs a request."""
        return {digest: None for digest in digests if self._has_blob(digest)}

    def _has_blob(self, digest: Digest) -> bool:
        return self.retry.call(f"looking for {digest}", lambda: self.has_blob(self.repository, digest))


class PendingRepository(EcrPublicRepository):
    """A repository that the same deployment creates. It is empty."""

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:  # noqa: ARG002
        """Return no tag."""
        return {}

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:  # noqa: ARG002
        """Return no image."""
        return {}

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return all of *digests*."""
        return frozenset(digests)

    def blob_sizes(self, digests: Iterable[Digest]) -> Mapping[Digest, int | None]:  # noqa: ARG002
        """Return no blob."""
        return {}

    def manifest(self, digest: Digest, *, wait_seconds: float = 0.0) -> Manifest:  # noqa: ARG002
        """Raise NotFoundError."""
        message = f"{digest} cannot be in repository {self.name!r}, which does not exist yet"
        raise NotFoundError(message, operation="GET manifest")


def find_locations(
    client: Any,  # noqa: ANN401 - botocore's clients are made at run time
    registry_id: str | None,
    names: Sequence[str],
    retry: Retry,
) -> Iterator[RepositoryLocation]:
    """
    Find several repositories of one registry; none for a single name, or if the registry is named by its alias.

    Raises:
        NotFoundError: One of them does not exist; the service does not say which.
    """
    if len(names) == 1 or not (registry_id is None or is_account_id(registry_id)):
        return
    registry = {"registryId": registry_id} if registry_id else {}

    def describe(some: Sequence[str]) -> list[Mapping[str, str]]:
        with translated("ecr-public:DescribeRepositories"):
            found: list[Mapping[str, str]] = client.describe_repositories(repositoryNames=list(some), **registry)[
                "repositories"
            ]
            return found

    for start in range(0, len(names), NAMES_MAX):
        some = names[start : start + NAMES_MAX]
        for found in retry.call(f"describing {len(some)} repositories", functools.partial(describe, some)):
            yield RepositoryLocation(
                registry_id=found["registryId"],
                name=found["repositoryName"],
                repository=Repository.parse(found["repositoryUri"]),
            )
