"""Uploads: every blob is checked, and credentials go only to the registry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import IntegrityError
from lambda_handler.oci import Descriptor, Digest
from lambda_handler.registry.uploads import verified


def descriptor(content: bytes, size: int | None = None) -> Descriptor:
    return Descriptor(media_type="x", digest=Digest.of(content), size=len(content) if size is None else size)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=10))
def test_accepts_the_right_bytes(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)

    assert b"".join(verified(descriptor(whole), pieces)) == whole


@given(st.binary(min_size=1, max_size=50), st.binary(min_size=1, max_size=5))
def test_never_sends_a_wrong_blob_completely(content: bytes, last: bytes) -> None:
    """The registry waits for the rest, so it cannot mistake the blob for complete."""
    sent: list[bytes] = []

    with pytest.raises(IntegrityError):
        sent.extend(verified(descriptor(b"x" + content + last, len(content + last)), [content, last, b""]))

    assert len(b"".join(sent)) < len(content + last)


@pytest.mark.parametrize(
    ("sent", "said"),
    [([b"othe", b"r"], "was received as sha256:"), ([b"lay"], "of 3 bytes"), ([b"layer!"], "is longer than")],
)
def test_refuses_wrong_bytes(sent: list[bytes], said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        list(verified(descriptor(b"layer"), sent))


def test_stops_an_endless_blob() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1024

    with pytest.raises(IntegrityError, match="is longer than the 4096 bytes in its descriptor"):
        list(verified(descriptor(b"", size=4096), endless()))
