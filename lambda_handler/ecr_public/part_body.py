"""
The body of UploadLayerPart, made while it is sent.

The API takes a part of a layer as base64 in JSON. botocore would hold it in
four forms at once, several times the part; here it is encoded piece by piece
from the part itself, for the signature and then for the connection.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

_MEMBER = "layerPartBlob"
_STAND_IN = b"what stands here is put in later"
_CONTEXT = "cdk_ecrpublic_layer_part"
_EVENTS = "ecr-public.UploadLayerPart"


class PartBody:
    """
    JSON with a base64 value, as a file that can be read from any place.

    Args:
        before: The text before the value.
        part: What is encoded.
        after: The text behind it.
    """

    def __init__(self, before: bytes, part: memoryview, after: bytes) -> None:
        self._before, self._part, self._after = before, part, after
        self._value_end = len(before) + -(-len(part) // 3) * 4
        self._position = 0

    def __len__(self) -> int:
        """Return the length of the whole text, in bytes."""
        return self._value_end + len(self._after)

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
        stop = len(self) if size < 0 else min(start + size, len(self))
        self._position = stop
        value = self._encoded(max(start, len(self._before)), min(stop, self._value_end))
        return (
            self._before[start:stop]
            + value
            + self._after[max(0, start - self._value_end) : max(0, stop - self._value_end)]
        )

    def _encoded(self, start: int, stop: int) -> bytes:
        """Encode the three bytes behind each four characters between two places of the text."""
        if start >= stop:
            return b""
        first, last = (start - len(self._before)) // 4, -(-(stop - len(self._before)) // 4)
        offset = len(self._before) + first * 4
        return base64.b64encode(self._part[first * 3 : last * 3])[start - offset : stop - offset]


def stream_parts(client: Any) -> None:  # noqa: ANN401 - botocore's clients are made at run time
    """Have *client* encode the parts of layers while it sends them; more than once is fine."""
    events = client.meta.events
    events.register(f"provide-client-params.{_EVENTS}", _withhold, unique_id=f"{_CONTEXT}-withhold")
    events.register(f"before-call.{_EVENTS}", _put_in, unique_id=f"{_CONTEXT}-put-in")


def _withhold(params: Mapping[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    context[_CONTEXT] = params[_MEMBER]
    return {**params, _MEMBER: _STAND_IN}


def _put_in(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    before, _, after = params["body"].partition(base64.b64encode(_STAND_IN))
    params["body"] = PartBody(before, context[_CONTEXT], after)
