"""
Typed readers for the fields of manifests.

Each reader takes the path of its object, so that an error says where it is:
``manifests[2].platform.os is 7; expected a string``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeVar

from ..errors import InvalidManifestError, truncated_repr

T = TypeVar("T")

SIZE_MAX_BYTES = 2**63 - 1
"""OCI image-spec v1.1, descriptor.md: ``size`` is an int64."""


def optional_string(data: Mapping[str, object], key: str, path: str) -> str:
    """Read a string; return an empty string if it is missing or null."""
    value = data.get(key)
    return "" if value is None else _expect(value, str, "a string", f"{path}{key}")


def required_string(data: Mapping[str, object], key: str, path: str) -> str:
    """Read a required string that is not empty."""
    value = optional_string(data, key, path)
    return value or refuse(f"{path}{key} is missing")


def required_size(data: Mapping[str, object], key: str, path: str) -> int:
    """Read a size in bytes: an integer from 0 to 2^63 - 1."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SIZE_MAX_BYTES:
        refuse(f"{path}{key} is {truncated_repr(value)}; expected a size in bytes")
    return value


def optional_object(data: Mapping[str, object], key: str, path: str) -> Mapping[str, object] | None:
    """Read an object; return None if it is missing or null."""
    value = data.get(key)
    return None if value is None else _expect(value, dict, "an object", f"{path}{key}")


def optional_objects(data: Mapping[str, object], key: str, path: str) -> Sequence[Mapping[str, object]]:
    """Read a list of objects; return an empty list if it is missing or null."""
    values = data.get(key)
    if values is None:
        return ()
    items = _expect(values, list, "a list", f"{path}{key}")
    return [_expect(item, dict, "an object", f"{path}{key}[{number}]") for number, item in enumerate(items)]


def string_map(data: Mapping[str, object], key: str, path: str) -> Mapping[str, str]:
    """Read an object whose values are strings, or null for an empty one; return an empty object if it is missing."""
    value = optional_object(data, key, path) or {}
    return {name: optional_string(value, name, f"{path}{key}.") for name in value}


def string_list(data: Mapping[str, object], key: str, path: str) -> tuple[str, ...]:
    """Read a list of strings; return an empty one if it is missing."""
    value = data.get(key)
    items = [] if value is None else _expect(value, list, "a list", f"{path}{key}")
    return tuple(_expect(item, str, "a string", f"{path}{key}[{number}]") for number, item in enumerate(items))


def refuse(message: str) -> NoReturn:
    """Refuse the manifest."""
    raise InvalidManifestError(message)


def _expect(value: object, kind: type[T], name: str, path: str) -> T:
    if not isinstance(value, kind):
        refuse(f"{path} is {truncated_repr(value)}; expected {name}")
    return value
