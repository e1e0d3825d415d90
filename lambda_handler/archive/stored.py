"""The protocols that archives are read through; adapters implement them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

CHUNK_BYTES = 1024 * 1024
"""The largest chunk of any stream, and so the memory that one stream takes."""


class ByteRanges(Protocol):
    """Content that several threads can read from any offset at the same time."""

    @property
    def name(self) -> str:
        """The name for messages: ``s3://bucket/key``."""

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """
        Stream the bytes from *start* up to *stop* in chunks of at most 1 MiB.

        The stream ends early if the content ends before *stop*. The caller
        closes the stream.

        Raises:
            IntegrityError: The content is corrupt, or changed while it was read.
            UnavailableError: The connection was lost and retries failed; at any chunk.
        """


class StoredObject(ByteRanges, Protocol):
    """An object or file that does not change while it is read."""

    @property
    def size(self) -> int:
        """Length in bytes."""
