"""
Random access to the content of a gzip file.

gzip has no index: to read from the middle, a client must decompress everything
before it. So this module keeps snapshots of the decompressor (about 60 KiB
each) and starts each read at the nearest snapshot before the offset.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ..errors import IntegrityError
from .stored import CHUNK_BYTES, StoredObject

GZIP_MAGIC = b"\x1f\x8b"

SPACING_BYTES = 4 * 1024 * 1024
"""The initial distance between two snapshots, in decompressed bytes."""

STATES_MAX = 128
"""If there are more snapshots, every second one is dropped: at most 8 MiB in memory, whatever the size of the file."""

RECENT_MAX = 8
"""Snapshots at the ends of the latest reads, where most reads continue: one for each thread."""

_CHUNK_BYTES = 16 * 1024
"""How many bytes the decompressor takes at once; a snapshot may keep as many."""

_GZIP_FORMAT = 31
"""zlib's ``wbits`` for a gzip header and the largest window."""


@dataclass(slots=True, kw_only=True)
class _State:
    """
    A snapshot of the decompressor.

    Attributes:
        position: Offset of the next decompressed byte.
        taken: How many compressed bytes were read.
        pending: Compressed bytes that were read but not decompressed yet.
        inflater: None between two members of the gzip file.
    """

    position: int = 0
    taken: int = 0
    pending: bytes = b""
    inflater: Any = None

    def copy(self) -> _State:
        return replace(self, inflater=self.inflater.copy() if self.inflater else None)


class GzipContent:
    """
    The decompressed content of a gzip file, as byte ranges.

    No lock is needed: snapshots never change, and their tuple is replaced as
    a whole. Two concurrent reads can at most lose a snapshot, which only
    costs time.
    """

    def __init__(self, stored: StoredObject) -> None:
        self._stored = stored
        self._spacing = SPACING_BYTES
        self._kept: tuple[_State, ...] = (_State(),)
        self._recent: deque[_State] = deque(maxlen=RECENT_MAX)

    @property
    def name(self) -> str:
        """The name of the file."""
        return self._stored.name

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """
        Stream the decompressed bytes from *start* up to *stop*, or up to the end.

        Raises:
            IntegrityError: The gzip file is corrupt or truncated.
        """
        state = max((*self._kept, *self._recent), key=lambda kept: _usefulness(kept, start)).copy()
        with closing(self._compressed(state.taken)) as chunks:
            while state.position < stop:
                wanted = state.position >= start
                chunk = self._inflate(state, chunks, stop if wanted else start)
                if not chunk:
                    return
                self._keep(state, is_last=state.position == stop)
                if wanted:
                    yield chunk

    def _inflate(self, state: _State, chunks: Iterator[bytes], stop: int) -> bytes:
        """Decompress one chunk, up to *stop* at most, and advance *state*; an empty chunk means the end."""
        while True:
            if state.inflater is None:
                # Some tools pad a member with zeros.
                state.pending = state.pending.lstrip(b"\0")
                if state.position and not _may_be_gzip(state.pending):
                    # Anything else after the last member is ignored, as gzip does.
                    return b""
                state.inflater = zlib.decompressobj(_GZIP_FORMAT) if state.pending else None
            if state.inflater is not None and (chunk := self._decompress(state, stop)):
                return chunk
            if not state.pending and not self._take(state, chunks):
                return b""

    def _decompress(self, state: _State, stop: int) -> bytes:
        try:
            chunk: bytes = state.inflater.decompress(state.pending, min(CHUNK_BYTES, stop - state.position))
        except zlib.error as error:
            message = f"{self.name} is a corrupt gzip file: decompression failed after {state.position} bytes ({error})"
            raise IntegrityError(message) from error
        state.position += len(chunk)
        state.pending = state.inflater.unconsumed_tail
        if state.inflater.eof:
            state.pending, state.inflater = state.inflater.unused_data, None
        return chunk

    def _take(self, state: _State, chunks: Iterator[bytes]) -> bool:
        state.pending = next(chunks, b"")
        state.taken += len(state.pending)
        if not state.pending and state.inflater is not None:
            message = f"{self.name} is truncated: the gzip stream is incomplete after {state.taken} bytes"
            raise IntegrityError(message)
        return bool(state.pending)

    def _compressed(self, start: int) -> Generator[bytes, None, None]:
        with closing(self._stored.read(start, self._stored.size)) as chunks:
            for chunk in chunks:
                for first in range(0, len(chunk), _CHUNK_BYTES):
                    yield chunk[first : first + _CHUNK_BYTES]

    def _keep(self, state: _State, *, is_last: bool) -> None:
        if is_last:
            self._recent.append(state.copy())
        kept = self._kept
        if state.position < kept[-1].position + self._spacing:
            return
        kept = (*kept, state.copy())
        if len(kept) > STATES_MAX:
            self._spacing *= 2
            kept = kept[::2]
        self._kept = kept


def _may_be_gzip(start: bytes) -> bool:
    return start[: len(GZIP_MAGIC)] == GZIP_MAGIC[: len(start)]


def _usefulness(state: _State, start: int) -> int:
    """Rank snapshots by how close they are before *start*; those after it cannot be used."""
    return state.position if state.position <= start else -1
