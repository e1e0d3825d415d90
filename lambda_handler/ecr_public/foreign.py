"""A repository of another account, which the control-plane API does not describe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from ..concurrency import MAX_CONNECTIONS, ask_each
from ..oci import Digest
from .repository import EcrPublicRepository


class ForeignRepository(EcrPublicRepository):
    """
    A repository in another account whose policy allows putting images.

    The control-plane API only describes repositories in the caller's own
    account, so this one is read through the registry API.
    """

    is_own: ClassVar[bool] = False

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        """Return the digests that *tags* point to now, with one request for each tag."""
        return ask_each(self._resolve, tags, max_workers=MAX_CONNECTIONS)

    def missing_images(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return those of *digests* for which no image exists, with one request for each digest."""
        wanted = frozenset(digests)
        there = ask_each(lambda digest: self._resolve(str(digest)), sorted(wanted), max_workers=MAX_CONNECTIONS)
        return wanted - there.keys()

    def tags_read(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:  # noqa: ARG002
        """Return none: only the owner can list all tags of an image."""
        return {}

    def _resolve(self, reference: str) -> Digest | None:
        return self.retry.call(f"resolving {reference}", lambda: self.registry.digest_of(reference))
