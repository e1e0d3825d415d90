"""A repository of any registry, as a source of content."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from ..errors import ImageError, NotFoundError, UnavailableError
from ..oci import Descriptor, Digest, Manifest, Reference, Repository
from ..retry import Retry
from .client import RegistryClient

T = TypeVar("T")

_ARCHIVED = (
    "check its name, and whether it is archived, which private ECR does not say to who pulls: ecr:DescribeImages then "
    "has the imageStatus ARCHIVED, and ecr:UpdateImageStorageClass restores it; there is no need to push it again"
)


@dataclass(frozen=True, slots=True)
class RegistryRepository:
    """
    One repository, for one invocation.

    Attributes:
        repository: Its address, where the client asks for it.
    """

    client: RegistryClient
    repository: Repository
    retry: Retry

    def resolve(self, reference: Reference) -> Manifest:
        """
        Read the manifest that *reference* stands for now.

        Raises:
            NotFoundError: There is no such image.
        """
        try:
            if reference.digest is not None:
                return self.manifest(reference.digest)
            tag = reference.tag or ""
            return self._read(f"reading {reference}", lambda: self.client.read_tag(self.repository, tag))
        except NotFoundError as error:
            message = f"the source image {reference} does not exist, or is not shown to us"
            hint = "check its name, and whether reading it needs credentials"
            if self.client.tokens.role_needs:
                hint = _ARCHIVED
            raise NotFoundError(message, operation=error.operation, hint=hint) from error
        except ImageError as error:
            error.about(str(reference))
            raise

    def manifest(self, digest: Digest) -> Manifest:
        """
        Read a manifest, exact to the byte.

        Raises:
            NotFoundError: It is not there.
        """
        read = functools.partial(self.client.read, self.repository, digest)
        return self._named(f"{self.repository}@{digest}", lambda: self._read(f"reading {digest}", read))

    def listed(self, entry: Descriptor) -> Manifest:
        """
        Read a manifest that another lists; no more of it than *entry* says.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It has another size.
        """
        read = functools.partial(
            self.client.read, self.repository, entry.digest, size=entry.size, listed_as=entry.media_type
        )
        return self._read(f"reading {entry.digest}", read)

    def _named(self, what: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except ImageError as error:
            error.about(what)
            raise

    def _read(self, doing: str, read: Callable[[], Manifest]) -> Manifest:
        """Read a manifest; where the role's own permissions decide, one granted just now is waited for."""
        return self.retry.call(doing, read, settle=bool(self.client.tokens.role_needs))

    def referrers(self, subject: Digest) -> list[Descriptor]:
        """Return what the registry lists as referring to *subject*; nothing where it keeps no such list."""
        doing = f"listing what refers to {subject}"
        read = functools.partial(self.client.referrers, self.repository, subject)
        return self._named(f"{self.repository}@{subject}", lambda: self.retry.call(doing, read))

    def has_tag(self, tag: str) -> bool:
        """Whether there is such a tag; asked for without its body."""
        return self.retry.call(f"looking for {tag}", lambda: self.client.has(self.repository, tag))

    def tagged(self, tag: str) -> Manifest | None:
        """Read the manifest that *tag* stands for now; None when there is no such tag."""
        try:
            return self.retry.call(f"reading {tag}", lambda: self.client.read_tag(self.repository, tag))
        except NotFoundError:
            return None

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob, and go on where it broke off when a connection is lost.

        Progress renews the patience: a slow line that breaks every gigabyte
        does not fail a layer of ten. Size and digest are the reader's to check.

        Raises:
            UnavailableError: It broke off again and again at the same place.
            NotFoundError, AccessError: The registry does not give it.
        """
        done, attempts = 0, self.retry.start(f"reading {blob.digest}")
        while done < blob.size:
            try:
                for piece in self.client.open_blob(self.repository, blob.digest, done, blob.size):
                    done += len(piece)
                    attempts.progressed()
                    yield piece
                if done < blob.size:
                    message = f"the blob {blob.digest} ended after {done} of {blob.size} bytes"
                    raise UnavailableError(message, operation="GET blob")
            except ImageError as error:
                attempts.pause(error.about(f"{self.repository}@{blob.digest}"))
