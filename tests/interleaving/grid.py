"""The pairs to explore: a few in each test run, and all of them with ``make interleavings``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from typing import get_args

from .scenarios import MINUTES, PHASES, Before, Name, Overlap, Pair, Side, Where
from .stacks import Policy

ACTIONS = ("move:s:P", "remove:s", "move:a:P", "delete:X", "move:build:P")
"""The actions of people."""

NAMES: tuple[Name, ...] = tuple(name for name in get_args(Name) if name in PHASES)


def all_pairs() -> Iterator[Pair]:
    """Yield every pair that CloudFormation can cause, without duplicates."""
    sides = [Side(name, policy) for name in NAMES for policy in Policy]
    for a, b in combinations_with_replacement(sides, 2):
        yield from filter(_is_distinct, _pairs_of(a, b))
    yield from second_deliveries()


def _pairs_of(a: Side, b: Side) -> Iterator[Pair]:
    for overlap, where, before in product(get_args(Overlap), get_args(Where), get_args(Before)):
        yield Pair(a=a, b=b, overlap=overlap, where=where, before=before)
        # Both orders count if one side has the index or replaces a resource.
        if a != b and (overlap == "child" or before == "bump"):
            yield Pair(a=b, b=a, overlap=overlap, where=where, before=before)


def _is_distinct(pair: Pair) -> bool:
    return pair.is_possible and _differs(pair)


def _differs(pair: Pair) -> bool:
    """Whether a pair differs from simpler ones. The former owner of a tag matters only if the tag is shared."""
    return pair.overlap not in {"image", "child"} or pair.before == "nothing"


def singles() -> Iterator[Pair]:
    """Yield single requests, for insertions."""
    for name, policy, before in product(NAMES, Policy, get_args(Before)):
        for overlap, source in (("same", "digest"), ("same", "manifest"), ("index", "digest"), ("same", "tag")):
            pair = Pair(a=Side(name, policy), overlap=overlap, where="one", before=before, source=source)  # type: ignore[arg-type]
            if pair.is_possible:
                yield pair


def second_deliveries() -> Iterator[Pair]:
    """Yield requests that are delivered twice, concurrently or the second time too late."""
    for name, policy, before in product(NAMES, Policy, get_args(Before)):
        again = Pair(a=Side(name, policy), b=Side("again", policy), where="one", before=before)
        late = Pair(a=Side(name, policy), b=Side("late", policy), where="one", before=before, gap=MINUTES)
        yield from (pair for pair in (again, late) if pair.is_possible)
