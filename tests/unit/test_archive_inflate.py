"""Reading from the middle of gzip files: the bytes are right, few states are kept, and nothing is read twice."""

from __future__ import annotations

import gzip
import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.archive import inflate
from lambda_handler.archive.inflate import GzipContent
from lambda_handler.errors import IntegrityError
from tests.support.archives import MemoryObject

MIB = 1024 * 1024
DICE = random.Random(1)  # noqa: S311 - the same numbers in every run


def text(size: int) -> bytes:
    """Return data that compresses, but not to almost nothing."""
    noise = DICE.randbytes(size // 4 + 1)
    return b"".join(bytes([byte, 0, 1, byte]) for byte in noise)[:size]


def read(inflated: GzipContent, start: int, stop: int) -> bytes:
    return b"".join(inflated.read(start, stop))


@pytest.fixture(scope="module")
def content() -> bytes:
    return text(3 * MIB)


@pytest.fixture
def closer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save states so often that 3 MiB have many of them and some are dropped."""
    monkeypatch.setattr(inflate, "SPACING_BYTES", 16 * 1024)
    monkeypatch.setattr(inflate, "STATES_MAX", 16)
    monkeypatch.setattr(inflate, "CHUNK_BYTES", 8 * 1024)


@pytest.mark.usefixtures("closer")
def test_reads_any_range_in_any_order(content: bytes) -> None:
    inflated = GzipContent(MemoryObject(gzip.compress(content)))

    for _ in range(40):
        start = DICE.randrange(len(content) + 100)
        stop = start + DICE.randrange(200_000)
        assert read(inflated, start, stop) == content[start:stop]


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 40))
@settings(max_examples=200)
def test_concatenates_the_members_of_a_gzip_file(parts: list[bytes], start: int, length: int, zeros: int) -> None:
    whole = b"".join(parts)
    packed = b"".join(gzip.compress(part) for part in parts) + bytes(zeros)

    assert read(GzipContent(MemoryObject(packed)), start, start + length) == whole[start : start + length]


@pytest.mark.usefixtures("closer")
def test_the_number_of_saved_states_is_bounded(content: bytes) -> None:
    inflated = GzipContent(MemoryObject(gzip.compress(content)))

    read(inflated, 0, len(content))

    kept = [state.position for state in inflated._kept]  # noqa: SLF001 - its bound is what is tested
    assert kept == sorted(kept)
    assert inflate.STATES_MAX / 2 <= len(kept) <= inflate.STATES_MAX
    assert max(second - first for first, second in itertools.pairwise(kept)) < 2 * len(content) / len(kept)


@pytest.mark.usefixtures("closer")
def test_a_read_starts_at_the_nearest_saved_state(content: bytes) -> None:
    stored = MemoryObject(gzip.compress(content))
    inflated = GzipContent(stored)
    read(inflated, 0, len(content))
    stored.reads.clear()

    read(inflated, len(content) - 100, len(content))

    assert stored.reads[0][0] > 0.8 * stored.size


def test_sequential_reads_decompress_nothing_twice(content: bytes) -> None:
    stored = MemoryObject(gzip.compress(content))
    inflated = GzipContent(stored)

    for start in range(0, len(content), 10_000):
        read(inflated, start, start + 10)

    # Each read takes at most one chunk of the object beyond what it needs.
    starts = [start for start, _ in stored.reads]
    assert starts == sorted(starts)
    assert starts[-1] > 0.9 * stored.size


@pytest.mark.usefixtures("closer")
def test_several_threads_can_read_at_once(content: bytes) -> None:
    inflated = GzipContent(MemoryObject(gzip.compress(content)))
    starts = DICE.choices(range(len(content)), k=30)

    with ThreadPoolExecutor(8) as readers:
        found = list(readers.map(lambda start: read(inflated, start, start + 100_000), starts))

    assert found == [content[start : start + 100_000] for start in starts]


def test_chunks_are_small_even_at_a_high_compression_ratio() -> None:
    bomb = gzip.compress(bytes(64 * MIB), 9)
    assert len(bomb) < MIB / 10

    sizes = [len(chunk) for chunk in GzipContent(MemoryObject(bomb)).read(0, 64 * MIB)]

    assert sum(sizes) == 64 * MIB
    assert max(sizes) <= MIB


@pytest.mark.parametrize("left", [12, 1000, -9, -1])
def test_refuses_a_truncated_file(content: bytes, left: int) -> None:
    with pytest.raises(IntegrityError, match="is truncated: the gzip stream is incomplete"):
        read(GzipContent(MemoryObject(gzip.compress(content)[:left])), 0, len(content) + 1)


@pytest.mark.parametrize("place", [2, 100_000, -1, -5])
def test_refuses_a_corrupt_file(content: bytes, place: int) -> None:
    packed = bytearray(gzip.compress(content))
    packed[place] ^= 0xFF

    with pytest.raises(IntegrityError, match="is a corrupt gzip file: decompression failed after"):
        read(GzipContent(MemoryObject(bytes(packed))), 0, len(content) + 1)


@pytest.mark.parametrize("rest", [b"rest", b"\0\0rest", b"\x1frest" * 50_000])
def test_ignores_trailing_data_that_is_not_gzip(content: bytes, rest: bytes) -> None:
    """gzip, skopeo and regctl do the same. Such data may be an appended signature."""
    inflated = GzipContent(MemoryObject(gzip.compress(content) + rest))

    assert read(inflated, 0, len(content) + 1) == content
    assert read(inflated, len(content) - 5, len(content) + 1) == content[-5:]


def test_refuses_a_file_that_is_not_gzip_or_has_a_corrupt_member() -> None:
    for packed in (b"\x1f\x8brest", gzip.compress(b"one") + b"\x1f\x8brest"):
        with pytest.raises(IntegrityError, match="is a corrupt gzip file"):
            read(GzipContent(MemoryObject(packed)), 0, 100)
