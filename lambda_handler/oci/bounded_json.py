"""Parse untrusted JSON and configs within a memory limit: three bytes of JSON can take 64 bytes as an object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..errors import InvalidManifestError, truncated_repr

VALUES_MAX = 100_000
"""
How many values a document may have: at most 25 MiB of objects.

An index of 2,000 images with ten annotations each has 40,000 values.
"""

_CONFIG_KEYS = ("architecture", "os", "variant", "os.version", "os.features", "rootfs", "config", "history")
_ROOTFS_KEYS = ("type", "diff_ids")


def parse_json(content: bytes) -> object:
    """
    Parse JSON in UTF-8.

    Raises:
        ValueError: The content is not JSON or has more than 100,000 values, or
            an object has a duplicate key with different values, which parsers
            resolve differently.
        RecursionError: The JSON is nested too deeply.
    """
    # Every value but the first follows a comma or an opening bracket. Those inside strings are counted too.
    if content.count(b",") + content.count(b"[") + content.count(b"{") > VALUES_MAX:
        message = f"it has more than {VALUES_MAX} values"
        raise ValueError(message)
    return json.loads(content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)


def check_keys(data: Mapping[str, object], known: Iterable[str], path: str) -> None:
    """
    Refuse a known key in another case: clients in Go accept it, others do not.

    Args:
        path: Of the object, for the message.

    Raises:
        InvalidManifestError: An object has such a key.
    """
    folded = {name.casefold(): name for name in known}
    for key in data:
        name = folded.get(key.casefold(), key)
        if name != key:
            message = (
                f"{truncated_repr(path + key)} is a key that some clients read as {name}; write {name}, or remove it"
            )
            raise InvalidManifestError(message)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                message = f"the key {truncated_repr(key)} is duplicated with different values"
                raise InvalidManifestError(message)
    return found


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities, which Python accepts although they are not JSON."""
    message = f"{name} is not a JSON value"
    raise ValueError(message)


def parse_config(content: bytes) -> Any:  # noqa: ANN401 - JSON that the caller checks
    """
    Parse the config of an image as every client parses it.

    Raises:
        ValueError: The content is not JSON, or has a known key in another
            case, which clients in Go accept and others do not.
        RecursionError: The JSON is nested too deeply.
    """
    config = parse_json(content)
    if isinstance(config, dict):
        check_keys(config, _CONFIG_KEYS, "")
        if isinstance(rootfs := config.get("rootfs"), dict):
            check_keys(rootfs, _ROOTFS_KEYS, "rootfs.")
    return config
