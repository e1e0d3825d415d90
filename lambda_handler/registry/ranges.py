"""Parts of blobs: what is asked for, and what came."""

from __future__ import annotations

import re

from ..errors import UnavailableError

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?P<first>[0-9]{1,19})-[0-9]{1,19}/(?:[0-9]{1,19}|\*)\s*", re.IGNORECASE)


def range_header(start: int, size: int | None) -> dict[str, str]:
    """
    Return the header that asks for a blob from *start* on.

    With both its ends, where the size is known: some registries answer 416 to
    an open one.
    """
    if not start:
        return {}
    return {"Range": f"bytes={start}-{size - 1 if size else ''}"}


def skipped(start: int, content_range: str, doing: str) -> int:
    """
    Return how many of the bytes of a 206 the caller has already.

    Raises:
        UnavailableError: It begins behind what was asked for.

    References:
        RFC 9110, 14.4.
    """
    match = _CONTENT_RANGE.fullmatch(content_range)
    first = int(match["first"]) if match else start
    if first > start:
        message = f"{doing} failed: asked for bytes from {start} on, the registry sent those from {first} on"
        raise UnavailableError(message, operation=doing)
    return start - first
