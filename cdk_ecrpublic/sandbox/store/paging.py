"""
Pages of lists in an arbitrary order.

The service promises no order, so clients must not rely on one. The token of a page
contains the key of the last item, so concurrent changes do not shift the pages.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
from collections.abc import Callable, Iterable
from typing import TypeVar

from .. import errors

T = TypeVar("T")

PAGE_SIZE = 100
"""The default number of items on a page. Reference: ECR Public API reference, DescribeImages."""

PAGE_MAX = 1000

_PREFIX = "ecr-public-page:"


def page(items: Iterable[T], size: int, token: str | None, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """
    Return one page, and the token of the next page if there is one.

    The order is that of a hash: it is stable, but does not look sorted.

    Args:
        items: All items.
        token: The token of this page; None for the first page.

    Raises:
        ServiceError: The token is invalid.
    """
    last = b"" if token is None else _rank(_last_key(token))
    ranked = ((_rank(key(item)), item) for item in items)
    found = heapq.nsmallest(size + 1, (pair for pair in ranked if pair[0] > last), key=lambda pair: pair[0])
    chosen = [item for _, item in found[:size]]
    return chosen, _token(key(chosen[-1])) if len(found) > size else None


def _rank(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(f"{_PREFIX}{key}".encode()).decode()


def _last_key(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        text = ""
    if not text.startswith(_PREFIX):
        raise _invalid()
    return text.removeprefix(_PREFIX)


def _invalid() -> errors.ServiceError:
    return errors.INVALID_PARAMETER.error(member="NextToken", constraint="Invalid next token provided")
