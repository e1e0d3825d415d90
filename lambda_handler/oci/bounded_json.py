"""JSON from outside, of which only so much becomes objects: three bytes can become a list of 64."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NoReturn

from ..errors import InvalidManifestError, shown

VALUES_MAX = 100_000
"""
How many values one document may have, 25 MiB of objects at most.

An index of 2,000 images with ten annotations each has 40,000.
"""


def parse_json(content: bytes) -> object:
    """
    Read JSON in UTF-8.

    Raises:
        ValueError: Not JSON, or more than 100,000 values; or a key that an
            object has twice, with two values, of which every reader takes
            another one.
        RecursionError: It is nested without end.
    """
    # A comma or a bracket comes before each value but the first; those in strings count, too.
    if content.count(b",") + content.count(b"[") + content.count(b"{") > VALUES_MAX:
        message = f"it has more than {VALUES_MAX} values"
        raise ValueError(message)
    return json.loads(content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_once)


def check_keys(data: Mapping[str, object], known: Iterable[str], path: str) -> None:
    """
    Refuse a key that only some clients take for a known one: those in Go read keys in any case.

    Raises:
        InvalidManifestError: There is one.
    """
    folded = {name.casefold(): name for name in known}
    for key in data:
        name = folded.get(key.casefold(), key)
        if name != key:
            message = (
                f"{shown(path + key)} is a key that some clients take for {name}; write it as {name}, or leave it out"
            )
            raise InvalidManifestError(message)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                message = f"the key {shown(key)} is there twice, with different values"
                raise ValueError(message)
    return found


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities, which Python takes for JSON, and nobody else does."""
    message = f"{name} is not a value of JSON"
    raise ValueError(message)
