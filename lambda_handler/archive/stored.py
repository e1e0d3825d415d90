"""What archives are read from. Adapters have these shapes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

PIECE_BYTES = 1024 * 1024
"""The longest piece that any stream gives: what is held of it at once."""


class ByteRanges(Protocol):
    """Bytes that can be read from any place, by several threads at once."""

    @property
    def name(self) -> str:
        """What people call it: ``s3://bucket/key``."""

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """
        Stream the bytes from *start* up to *stop*, in pieces of at most 1 MiB.

        Where the content ends before *stop*, so does the stream. Whoever
        reads it closes it.

        Raises:
            IntegrityError: The content is broken, or changed while it was read.
            UnavailableError: The stream broke off for good; at any piece.
        """


class StoredObject(ByteRanges, Protocol):
    """An object or a file, which is the same for as long as it is read."""

    @property
    def size(self) -> int:
        """Its length in bytes."""
