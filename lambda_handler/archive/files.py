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

_HINT = "write the archive again with all of the image, or publish only the platforms that are in it"
"""Docker saves an index whole, but only those of its images that it has pulled."""


def path_of(digest: Digest) -> str:
    """Return where a layout keeps what has this digest."""
    return f"blobs/sha256/{digest.hex}"


@dataclass(frozen=True, slots=True)
class Files:
    """
    Reads the files of a tar file.

    Attributes:
        tar: Its bytes, inflated.
        extents: Where in it each file is.
    """

    tar: ByteRanges
    extents: Mapping[str, Extent] = field(repr=False)

    @property
    def name(self) -> str:
        """What people call the archive."""
        return self.tar.name

    def __contains__(self, path: object) -> bool:
        return path in self.extents

    def size(self, path: str) -> int:
        """
        Return the length of a file in bytes.

        Raises:
            NotFoundError: It is not in the archive.
        """
        return self._extent(path).size

    def read(self, path: str, limit: int) -> bytes:
        """
        Read a whole file of at most *limit* bytes.

        Raises:
            NotFoundError: It is not in the archive.
            InvalidArchiveError: It is longer.
        """
        if (size := self.size(path)) > limit:
            message = f"{path} in {self.name} has {size} bytes; at most {limit} are allowed"
            raise InvalidArchiveError(message)
        with closing(self.stream(path)) as pieces:
            return b"".join(pieces)

    def stream(self, path: str, limit: int | None = None) -> Generator[bytes, None, None]:
        """
        Stream a file, in pieces of at most 1 MiB.

        Args:
            limit: Only so many bytes from its beginning. Default: all.

        Raises:
            NotFoundError: It is not in the archive.
            IntegrityError: The archive ends before the file does.
        """
        extent = self._extent(path)
        left = extent.size if limit is None else min(limit, extent.size)
        with closing(self.tar.read(extent.offset, extent.offset + left)) as pieces:
            for piece in pieces:
                left -= len(piece)
                yield piece
        if left:
            message = f"{self.name} is cut off: {left} bytes of {path} are not there"
            raise IntegrityError(message)

    def _extent(self, path: str) -> Extent:
        if path not in self.extents:
            message = f"{self.name} does not hold {path}"
            raise NotFoundError(message, operation=OPERATION, hint=_HINT)
        return self.extents[path]
