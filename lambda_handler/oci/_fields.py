"""
Typed readers for JSON objects from outside.

Each takes the path of the object that it reads from, so that an error names
the place: ``manifests[2].platform.os is 7; expected a string``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeVar

from ..errors import InvalidManifestError, shown

T = TypeVar("T")

SIZE_MAX_BYTES = 2**63 - 1
"""OCI image-spec v1.1, descriptor.md: ``size`` is an int64."""


def optional_text(data: Mapping[str, object], key: str, path: str) -> str:
    """Read a string; a missing one (or null) is the empty string."""
    value = data.get(key)
    return "" if value is None else _expect(value, str, "a string", f"{path}{key}")


def required_text(data: Mapping[str, object], key: str, path: str) -> str:
    """Read a string that must be there and not be empty."""
    value = optional_text(data, key, path)
    return value or refuse(f"{path}{key} is missing")


def required_size(data: Mapping[str, object], key: str, path: str) -> int:
    """Read a size in bytes: an integer from 0 to 2^63 - 1."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SIZE_MAX_BYTES:
        refuse(f"{path}{key} is {shown(value)}; expected a size in bytes")
    return value


def optional_object(data: Mapping[str, object], key: str, path: str) -> Mapping[str, object] | None:
    """Read an object; None when it is missing (or null)."""
    value = data.get(key)
    return None if value is None else _expect(value, dict, "an object", f"{path}{key}")


def optional_objects(data: Mapping[str, object], key: str, path: str) -> Sequence[Mapping[str, object]]:
    """Read a list of objects; a missing one (or null) is empty."""
    values = data.get(key)
    if values is None:
        return ()
    items = _expect(values, list, "a list", f"{path}{key}")
    return [_expect(item, dict, "an object", f"{path}{key}[{number}]") for number, item in enumerate(items)]


def text_map(data: Mapping[str, object], key: str, path: str) -> Mapping[str, str]:
    """Read an object whose values are strings; a missing one is empty."""
    value = optional_object(data, key, path) or {}
    return {name: _expect(item, str, "a string", f"{path}{key}.{name}") for name, item in value.items()}


def text_list(data: Mapping[str, object], key: str, path: str) -> tuple[str, ...]:
    """Read a list of strings; a missing one is empty."""
    value = data.get(key)
    items = [] if value is None else _expect(value, list, "a list", f"{path}{key}")
    return tuple(_expect(item, str, "a string", f"{path}{key}[{number}]") for number, item in enumerate(items))


def refuse(message: str) -> NoReturn:
    """Refuse the manifest."""
    raise InvalidManifestError(message)


def _expect(value: object, kind: type[T], name: str, path: str) -> T:
    if not isinstance(value, kind):
        refuse(f"{path} is {shown(value)}; expected {name}")
    return value
