"""Hostile input: values of any shape, and valid values with replaced parts."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import strategies as st

from lambda_handler.errors import ImageError

T = TypeVar("T")

Path = tuple[Any, ...]

ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "\udfff me",
    "\u202e\u0130",
    "ünprintable\u0007",
    "a\r\nb: c",
    "a:b",
    "../../etc/passwd",
    "x" * 5000,
    "1" * 5000,
)

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    10**4000,
    0.5,
    1e308,
    float("inf"),
    float("nan"),
    *ODD_TEXTS,
    [],
    [None],
    [[[[[[[[]]]]]]]],
    {},
    {"": ""},
    {"a": {"a": {"a": {"a": {}}}}},
    [0] * 1000,
)
"""Values that break what expects another: of every type, at every limit."""

TEXTS = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(ODD_TEXTS)
"""Any characters; lone surrogates, which no bytes stand for, often enough."""

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(ODD).map(copy.deepcopy)

JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)

OBJECTS = st.dictionaries(TEXTS, JSON, max_size=5)


@st.composite
def changed(draw: st.DrawFn, valid: st.SearchStrategy[T], values: st.SearchStrategy[Any] = JSON) -> T:
    """Generate a valid object in which one to three parts are replaced, removed, duplicated or renamed."""
    root = copy.deepcopy(draw(valid))
    for _ in range(draw(st.integers(1, 3))):
        if not (paths := list(_paths(root, ()))):
            break
        *way, key = draw(st.sampled_from(paths))
        holder: Any = root
        for step in way:
            holder = holder[step]
        draw(st.sampled_from(_CHANGES))(holder, key, draw(values))
    return root


def _paths(value: object, here: Path) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*here, key)
        yield from _paths(item, (*here, key))


def _replace(holder: Any, key: Any, value: object) -> None:
    holder[key] = value


def _remove(holder: Any, key: Any, _: object) -> None:
    del holder[key]


def _double(holder: Any, key: Any, _: object) -> None:
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[f"{key}{key}"] = copy.deepcopy(holder[key])


def _rename(holder: Any, key: Any, value: object) -> None:
    holder[key if isinstance(holder, list) else str(value)[:100]] = holder[key]


_CHANGES: tuple[Callable[[Any, Any, object], None], ...] = (_replace, _replace, _replace, _remove, _double, _rename)


def written(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Generate JSON of values in different styles, with NaN and infinities as Python writes them."""
    ways = ({"ensure_ascii": True}, {"ensure_ascii": False}, {"indent": 1})
    return st.builds(
        lambda value, way: json.dumps(value, **way).encode("utf-8", "surrogatepass"), values, st.sampled_from(ways)
    )


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Generate valid bytes in which a range is removed, duplicated or overwritten."""
    content = draw(valid)
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, min(len(content), start + 40)))
    middle = draw(st.binary(max_size=20) | st.just(content[start:stop] * 2))
    return content[:start] + middle + content[stop:]


def outcome(action: Callable[[], T]) -> T | ImageError:
    """Return the result of *action* or its typed error. Any other error is a bug, and is not caught."""
    try:
        return action()
    except ImageError as error:
        failure = error
    assert failure.code != ImageError.code, "a typed error says what it is"
    return failure
