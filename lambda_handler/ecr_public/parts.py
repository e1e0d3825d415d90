"""
Parts of layers, as UploadLayerPart wants them: base64 in JSON.

botocore would hold a part in four forms at once, several times its size. Here
it is encoded once, as its bytes arrive, into the memory that it is sent from.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GROUP_BYTES, GROUP_CHARACTERS = 3, 4
"""base64 writes so many bytes as so many characters."""

_MEMBER = "layerPartBlob"
_STAND_IN = b"what stands here is put in later"
_CONTEXT = "cdk_ecrpublic_layer_part"
_EVENTS = "ecr-public.UploadLayerPart"


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of a layer.

    Attributes:
        first: Offset of its first byte in the layer.
        size: In bytes.
        text: Its base64; good until the next part is asked for.
    """

    first: int
    size: int
    text: memoryview


def cut(content: Iterable[bytes], size: int) -> Iterator[Part]:
    """
    Cut pieces of any length into parts of *size* bytes, a multiple of three; the last one may be shorter.

    All parts are in the same memory, one after the other.
    """
    text = memoryview(bytearray(size // GROUP_BYTES * GROUP_CHARACTERS))
    first = filled = 0
    rest = b""
    for piece in content:
        data = memoryview(rest + piece if rest else piece)
        while len(data) >= GROUP_BYTES:
            whole = min(len(data) // GROUP_BYTES * GROUP_BYTES, size - filled)
            _encode(data[:whole], text, filled)
            data, filled = data[whole:], filled + whole
            if filled == size:
                yield Part(first, size, text)
                first, filled = first + size, 0
        rest = bytes(data)
    if rest:
        _encode(memoryview(rest), text, filled)
    if filled or rest:
        end = -(-(filled + len(rest)) // GROUP_BYTES) * GROUP_CHARACTERS
        yield Part(first, filled + len(rest), text[:end])


def _encode(data: memoryview, text: memoryview, filled: int) -> None:
    encoded = binascii.b2a_base64(data, newline=False)
    start = filled // GROUP_BYTES * GROUP_CHARACTERS
    text[start : start + len(encoded)] = encoded


class PartBody:
    """JSON with the text of a part in it, as a file that can be read from any place."""

    def __init__(self, before: bytes, text: memoryview, after: bytes) -> None:
        self._before, self._text, self._after = before, text, after
        self._position = 0

    def __len__(self) -> int:
        """Return the length of the whole, in bytes."""
        return len(self._before) + len(self._text) + len(self._after)

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._position

    def seek(self, position: int) -> int:
        """Let the next read begin at *position*."""
        self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        """Read at most *size* bytes; none at the end."""
        start = self._position
        stop = self._position = len(self) if size < 0 else min(start + size, len(self))
        pieces = []
        for piece in (self._before, self._text, self._after):
            pieces.append(piece[max(0, start) : max(0, stop)])
            start, stop = start - len(piece), stop - len(piece)
        return b"".join(pieces)


def stream_parts(client: Any) -> None:  # noqa: ANN401 - botocore's clients are made at run time
    """Have *client* take ``memoryview`` of base64 for the parts of layers; more than once is fine."""
    events = client.meta.events
    events.register(f"provide-client-params.{_EVENTS}", _withhold, unique_id=f"{_CONTEXT}-withhold")
    events.register(f"before-call.{_EVENTS}", _put_in, unique_id=f"{_CONTEXT}-put-in")


def _withhold(params: Mapping[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    context[_CONTEXT] = params[_MEMBER]
    return {**params, _MEMBER: _STAND_IN}


def _put_in(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    before, _, after = params["body"].partition(base64.b64encode(_STAND_IN))
    params["body"] = PartBody(before, context[_CONTEXT], after)
