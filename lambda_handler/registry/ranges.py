"""Range requests for blobs."""

from __future__ import annotations

import re

from ..errors import UnavailableError

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?P<first>[0-9]{1,19})-[0-9]{1,19}/(?:[0-9]{1,19}|\*)\s*", re.IGNORECASE)


def range_header(start: int, size: int | None) -> dict[str, str]:
    """
    Return the header that requests a blob from offset *start*.

    If the size is known, the range has an end: some registries return 416 for
    an open range.
    """
    if not start:
        return {}
    return {"Range": f"bytes={start}-{size - 1 if size else ''}"}


def skipped(start: int, content_range: str, doing: str) -> int:
    """
    Return how many bytes of a 206 response the caller has already.

    Raises:
        UnavailableError: The response starts after the requested offset.

    References:
        RFC 9110, 14.4.
    """
    match = _CONTENT_RANGE.fullmatch(content_range)
    first = int(match["first"]) if match else start
    if first > start:
        message = (
            f"{doing} failed: requested bytes from offset {start}, but the registry sent bytes from offset {first}"
        )
        raise UnavailableError(message, operation=doing)
    return start - first
