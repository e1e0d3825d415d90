"""A blob is cut into the parts that the service takes, and none of it leaves unchecked."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.ecr_public.layers import (
    PART_MAX_BYTES,
    PART_MIN_BYTES,
    PARTS_MAX,
    _part_size,
    _verified,
)
from lambda_handler.ecr_public.parts import GROUP_BYTES, PartBody, cut
from lambda_handler.errors import IntegrityError
from lambda_handler.oci import Descriptor, Digest


def descriptor(content: bytes, size: int | None = None) -> Descriptor:
    return Descriptor(media_type="x", digest=Digest.of(content), size=len(content) if size is None else size)


@given(st.integers(1, PARTS_MAX * (PART_MAX_BYTES // GROUP_BYTES * GROUP_BYTES)))
def test_every_blob_that_the_service_stores_fits_into_its_parts(size: int) -> None:
    part = _part_size(size)

    assert min(size, PART_MIN_BYTES) <= part <= PART_MAX_BYTES
    assert part % GROUP_BYTES == 0
    assert -(-size // part) <= PARTS_MAX


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 8))
def test_parts_follow_on_from_each_other_and_are_the_content(pieces: list[bytes], groups: int) -> None:
    size = groups * GROUP_BYTES
    placed = [(part.first, part.size, base64.b64decode(bytes(part.text))) for part in cut(pieces, size)]

    assert b"".join(content for _, _, content in placed) == b"".join(pieces)
    assert all(len(content) == length for _, length, content in placed)
    assert all(length == size for _, length, _ in placed[:-1])
    assert all(later == first + length for (first, length, _), (later, _, _) in pairwise(placed))


@given(st.binary(max_size=50), st.binary(max_size=20), st.binary(max_size=20), st.data())
def test_the_body_of_a_part_reads_the_same_from_any_place(
    text: bytes, before: bytes, after: bytes, data: st.DataObject
) -> None:
    body = PartBody(before, memoryview(text), after)
    whole = before + text + after
    assert len(body) == len(whole)
    assert body.read() == whole
    assert body.read() == b""

    start, size = data.draw(st.integers(0, len(whole))), data.draw(st.integers(1, 30))
    body.seek(start)

    assert b"".join(iter(lambda: body.read(size), b"")) == whole[start:]
    assert body.tell() == len(whole)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=10))
def test_the_right_bytes_pass(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)

    assert b"".join(_verified(descriptor(whole), pieces)) == whole


@pytest.mark.parametrize(
    ("sent", "said"), [([b"othe", b"r"], "came as sha256:"), ([b"lay"], "of 3 bytes"), ([b"layer!"], "is longer than")]
)
def test_refuses_other_bytes(sent: list[bytes], said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        list(_verified(descriptor(b"layer"), sent))


def test_an_endless_blob_is_ended() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1024

    with pytest.raises(IntegrityError, match="is longer than the 4096 bytes that its manifest says"):
        list(_verified(descriptor(b"", size=4096), endless()))
