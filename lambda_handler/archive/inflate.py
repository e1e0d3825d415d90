"""
Random access to what is inside a gzip file.

gzip has no index: to read from the middle, everything before it must be
inflated. So states of the decompressor are kept on the way (some 60 KiB each),
and a read begins at the last one before it.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ..errors import IntegrityError
from .stored import PIECE_BYTES, StoredObject

GZIP_MAGIC = b"\x1f\x8b"

SPACING_BYTES = 4 * 1024 * 1024
"""How far apart states are kept at first, in inflated bytes."""

STATES_MAX = 128
"""When there are more, every second one is dropped: 8 MiB at most, whatever the file's size."""

RECENT_MAX = 8
"""States at the ends of the latest reads, where the next ones mostly go on; one for each thread that reads."""

_CHUNK_BYTES = 16 * 1024
"""How much is given to the decompressor at once; a state may keep as much."""

_GZIP_FORMAT = 31
"""``wbits`` of a gzip header and the largest window, as zlib's manual has it."""


@dataclass(slots=True, kw_only=True)
class _State:
    """
    A place in the file at which inflating can go on.

    Attributes:
        position: Of the next byte that comes out.
        taken: How many compressed bytes were read.
        pending: Those of them that were not inflated yet.
        inflater: None between two members, of which a gzip file may have several.
    """

    position: int = 0
    taken: int = 0
    pending: bytes = b""
    inflater: Any = None

    def copy(self) -> _State:
        return replace(self, inflater=self.inflater.copy() if self.inflater else None)


class Inflated:
    """
    The content of a gzip file, as byte ranges.

    No lock is needed: the kept states are replaced as a whole and never
    changed, so two reads at once can at most lose one of them, which costs
    time.
    """

    def __init__(self, stored: StoredObject) -> None:
        self._stored = stored
        self._spacing = SPACING_BYTES
        self._kept: tuple[_State, ...] = (_State(),)
        self._recent: deque[_State] = deque(maxlen=RECENT_MAX)

    @property
    def name(self) -> str:
        """That of the file."""
        return self._stored.name

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """
        Stream the inflated bytes from *start* up to *stop*, or the end.

        Raises:
            IntegrityError: The file is no sound gzip file, or ends in the middle.
        """
        state = max((*self._kept, *self._recent), key=lambda kept: _usefulness(kept, start)).copy()
        with closing(self._compressed(state.taken)) as chunks:
            while state.position < stop:
                wanted = state.position >= start
                piece = self._inflate(state, chunks, stop if wanted else start)
                if not piece:
                    return
                self._keep(state, is_last=state.position == stop)
                if wanted:
                    yield piece

    def _inflate(self, state: _State, chunks: Iterator[bytes], stop: int) -> bytes:
        """Move *state* on by one piece, not beyond *stop*; nothing is left where it is empty."""
        while True:
            if state.inflater is None:
                # Some tools fill up with zeros what follows a member.
                state.pending = state.pending.lstrip(b"\0")
                state.inflater = zlib.decompressobj(_GZIP_FORMAT) if state.pending else None
            if state.inflater is not None and (piece := self._decompress(state, stop)):
                return piece
            if not state.pending and not self._take(state, chunks):
                return b""

    def _decompress(self, state: _State, stop: int) -> bytes:
        try:
            piece: bytes = state.inflater.decompress(state.pending, min(PIECE_BYTES, stop - state.position))
        except zlib.error as error:
            message = f"{self.name} is not a sound gzip file: broken after {state.position} inflated bytes ({error})"
            raise IntegrityError(message) from error
        state.position += len(piece)
        state.pending = state.inflater.unconsumed_tail
        if state.inflater.eof:
            state.pending, state.inflater = state.inflater.unused_data, None
        return piece

    def _take(self, state: _State, chunks: Iterator[bytes]) -> bool:
        state.pending = next(chunks, b"")
        state.taken += len(state.pending)
        if not state.pending and state.inflater is not None:
            message = f"{self.name} is cut off: the gzip file ends in the middle, after {state.taken} bytes"
            raise IntegrityError(message)
        return bool(state.pending)

    def _compressed(self, start: int) -> Generator[bytes, None, None]:
        with closing(self._stored.read(start, self._stored.size)) as pieces:
            for piece in pieces:
                for first in range(0, len(piece), _CHUNK_BYTES):
                    yield piece[first : first + _CHUNK_BYTES]

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


def _usefulness(state: _State, start: int) -> int:
    """How near before *start* a state is; none that is behind it is of any use."""
    return state.position if state.position <= start else -1
