"""The files inside an archive."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from ..errors import IntegrityError, InvalidArchiveError, NotFoundError
from ..oci import Digest
from .stored import ByteRanges
from .tar import Extent

OPERATION = "reading the archive"

CONFIG_MAX_BYTES = 4 * 1024 * 1024
"""The longest config that is read, in bytes."""

_HINT = "save the complete image again, or publish only the platforms that the archive contains"
"""Docker saves a complete index, but only those of its images that it has pulled."""


def path_of(digest: Digest) -> str:
    """Return the path of a blob in an OCI image layout."""
    return f"blobs/sha256/{digest.hex}"


@dataclass(frozen=True, slots=True)
class Files:
    """
    Reads the files of a tar file.

    Attributes:
        tar: The bytes of the tar file, decompressed.
        extents: The position of each file in the tar file.
    """

    tar: ByteRanges
    extents: Mapping[str, Extent] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the archive, for messages."""
        return self.tar.name

    def __contains__(self, path: object) -> bool:
        return path in self.extents

    def size(self, path: str) -> int:
        """
        Return the length of a file in bytes.

        Raises:
            NotFoundError: The archive does not contain the file.
        """
        return self._extent(path).size

    def read(self, path: str, limit: int) -> bytes:
        """
        Read a whole file of at most *limit* bytes.

        Raises:
            NotFoundError: The archive does not contain the file.
            InvalidArchiveError: The file is longer.
        """
        if (size := self.size(path)) > limit:
            message = f"{path} in {self.name} has {size} bytes; at most {limit} are allowed"
            raise InvalidArchiveError(message)
        with closing(self.stream(path)) as chunks:
            return b"".join(chunks)

    def stream(self, path: str, limit: int | None = None) -> Generator[bytes, None, None]:
        """
        Stream a file in chunks of at most 1 MiB.

        Args:
            limit: How many bytes to read from the beginning. Default: all.

        Raises:
            NotFoundError: The archive does not contain the file.
            IntegrityError: The archive ends before the file does.
        """
        extent = self._extent(path)
        left = extent.size if limit is None else min(limit, extent.size)
        with closing(self.tar.read(extent.offset, extent.offset + left)) as chunks:
            for chunk in chunks:
                left -= len(chunk)
                yield chunk
        if left:
            message = f"{self.name} is truncated: the last {left} bytes of {path} are missing"
            raise IntegrityError(message)

    def _extent(self, path: str) -> Extent:
        if path not in self.extents:
            message = f"{self.name} does not contain {path}"
            raise NotFoundError(message, operation=OPERATION, hint=_HINT)
        return self.extents[path]
