"""A repository in any registry."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ..errors import ImageError, NotFoundError, UnavailableError
from ..oci import Descriptor, Digest, Manifest, Reference, Repository
from ..retry import Retry
from .client import RegistryClient

if TYPE_CHECKING:
    from .uploads import BlobOpener, Uploads

T = TypeVar("T")

_ARCHIVED = (
    "check its name, and whether it is archived, which private ECR does not say to who pulls: ecr:DescribeImages then "
    "has the imageStatus ARCHIVED, and ecr:UpdateImageStorageClass restores it; there is no need to push it again"
)


@dataclass(slots=True, eq=False, repr=False)
class RegistryRepository:
    """
    One repository, for one invocation.

    Attributes:
        repository: The address that the client uses.
        declared: The address in the declaration, which says whose registry it is; None if there is none.
    """

    client: RegistryClient
    repository: Repository
    retry: Retry
    declared: Repository | None = None
    _uploads: Uploads | None = field(default=None, init=False)

    def __str__(self) -> str:
        return str(self.repository)

    def resolve(self, reference: Reference) -> Manifest:
        """Read the manifest that *reference* points to now."""
        try:
            if reference.digest is not None:
                return self.manifest(reference.digest)
            tag = reference.tag or ""
            return self._read(f"reading {reference}", lambda: self.client.read_tag(self.repository, tag))
        except NotFoundError as error:
            message = f"the source image {reference} does not exist, or access is denied: {error.message}"
            hint = "check the reference, and whether the registry requires credentials"
            if self.client.auth.role_needs:
                hint = _ARCHIVED
            # Registries return 404 for private images to clients whose credentials they refuse.
            hint = self.client.auth.hint or hint
            raise NotFoundError(message, operation=error.operation, hint=hint) from error
        except ImageError as error:
            error.add_context(str(reference))
            raise

    def manifest(self, digest: Digest) -> Manifest:
        """Read a manifest, byte for byte."""
        return self._named(
            f"{self.repository}@{digest}", lambda: self._read(f"reading {digest}", lambda: self.read(digest))
        )

    def listed(self, entry: Descriptor) -> Manifest:
        """Read a manifest that another one lists, up to the size in *entry*."""
        read = functools.partial(
            self.client.read, self.repository, entry.digest, size=entry.size, listed_as=entry.media_type
        )
        return self._read(f"reading {entry.digest}", read)

    def read(self, digest: Digest) -> Manifest:
        """Read a manifest, byte for byte; without retries."""
        return self.client.read(self.repository, digest)

    def digest_of(self, reference: str) -> Digest | None:
        """Resolve a tag or digest; None if the image does not exist; without retries."""
        return self.client.resolve(self.repository, reference)

    def referrers(self, subject: Digest) -> list[Descriptor]:
        """Return the referrers of *subject*; empty if the registry does not support the referrers API."""
        doing = f"listing the referrers of {subject}"
        read = functools.partial(self.client.referrers, self.repository, subject)
        return self._named(f"{self.repository}@{subject}", lambda: self.retry.call(doing, read))

    def has_tag(self, tag: str) -> bool:
        """Whether a tag exists, without reading its manifest."""
        check = functools.partial(self.client.has, self.repository, tag)
        return self._named(f"{self.repository}:{tag}", lambda: self.retry.call(f"checking {tag}", check))

    def tagged(self, tag: str) -> Manifest | None:
        """Read the manifest that *tag* points to now; None if the tag does not exist."""
        read = functools.partial(self.client.read_tag, self.repository, tag)
        try:
            return self._named(f"{self.repository}:{tag}", lambda: self.retry.call(f"reading {tag}", read))
        except NotFoundError:
            return None

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob, and resume after a lost connection.

        Progress resets the retries, so a slow connection that fails every
        gigabyte does not fail a layer of ten. The reader checks size and digest.

        Raises:
            UnavailableError: The connection was lost repeatedly at the same offset.
            NotFoundError, AccessError: The registry does not return the blob.
        """
        done, attempts = 0, self.retry.start(f"reading {blob.digest}")
        while done < blob.size:
            try:
                for chunk in self.client.open_blob(self.repository, blob.digest, done, blob.size):
                    done += len(chunk)
                    attempts.progressed()
                    yield chunk
                if done < blob.size:
                    message = f"the blob {blob.digest} ended after {done} of {blob.size} bytes"
                    raise UnavailableError(message, operation="GET blob")
            except ImageError as error:
                attempts.pause(error.add_context(f"{self.repository}@{blob.digest}"))

    def upload(self, blob: Descriptor, content: BlobOpener) -> None:
        """Upload a blob; see ``Uploads.upload``."""
        from .uploads import Uploads  # noqa: PLC0415 - a cold start compiles what it imports

        if self._uploads is None:
            self._uploads = Uploads(self.client.transport, self.client.auth, self.repository, self.retry)
        self._uploads.upload(blob, content)

    def _read(self, doing: str, read: Callable[[], Manifest]) -> Manifest:
        """Read a manifest; for private ECR, retry AccessError, because the role may be new."""
        return self.retry.call(doing, read, retry_access_denied=bool(self.client.auth.role_needs))

    def _named(self, what: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except ImageError as error:
            error.add_context(what)
            raise
