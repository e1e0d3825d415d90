"""Pages of long lists, with the addresses of their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from .addresses import with_query

T = TypeVar("T")

_DIGITS_MAX = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """
    A part of a list.

    Attributes:
        first: The position of the first item, from 1; 0 if there are none.
        total: The length of the whole list.
        newer: The address of the page before this one; empty for the first.
        older: The address of the page after this one; empty for the last.
    """

    items: Sequence[T]
    first: int
    total: int
    newer: str = ""
    older: str = ""

    @property
    def last(self) -> int:
        """The position of the last item."""
        return self.first + len(self.items) - 1 if self.items else 0

    def map(self, change: Callable[[T], Any]) -> Page[Any]:
        """Return the page with changed items."""
        return replace(self, items=[change(item) for item in self.items])


def page_of(items: Sequence[T], size: int, query: Mapping[str, str], parameter: str) -> Page[T]:
    """
    Return the page that a query asks for; the last one if there are not so many.

    Args:
        size: The number of items on a page.
        parameter: The name of the number of the page in *query*, and of the
            place on the page to go to.
    """
    last = max(-(-len(items) // size), 1)
    number = min(_number(query.get(parameter, "")), last)
    start = (number - 1) * size

    def address(other: int) -> str:
        given = "" if other == 1 else str(other)
        return f"{with_query(query, **{parameter: given})}#{parameter}" if 1 <= other <= last else ""

    return Page(
        items=items[start : start + size],
        first=start + 1 if items else 0,
        total=len(items),
        newer=address(number - 1),
        older=address(number + 1),
    )


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX
    return max(int(text), 1) if is_number else 1
