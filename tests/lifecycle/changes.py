"""
Changes of templates from one release to the next.

Most changes take the number of a resource. If there is nothing to change, the
declarations stay the same.
"""

from __future__ import annotations

from dataclasses import replace

from .declarations import NAMES, TAGS, Declaration, Declarations, Source
from .registry import HOMES


def release(declared: Declarations, number: int, source: Source) -> Declarations:
    """Publish another image under the same tags."""
    return {**declared, **{name: replace(old, source=source) for name, old in _from(declared, number)[:1]}}


def swap_tags(declared: Declarations, number: int) -> Declarations:
    """Exchange the tags of two resources."""
    if len(declared) < 2:
        return declared
    (name, one), (other_name, other), *_ = _from(declared, number)
    return {**declared, name: replace(one, tags=other.tags), other_name: replace(other, tags=one.tags)}


def move_a_tag(declared: Declarations, number: int) -> Declarations:
    """Move a tag from one resource to another."""
    if len(declared) < 2:
        return declared
    (name, giver), (other_name, taker), *_ = _from(declared, number)
    tags = tuple(dict.fromkeys((*taker.tags, *giver.tags[:1])))
    return {**declared, name: replace(giver, tags=giver.tags[1:]), other_name: replace(taker, tags=tags)}


def rename(declared: Declarations, number: int, source: Source | None) -> Declarations:
    """Give a resource another logical id, and perhaps another image too."""
    if len(declared) in (0, len(NAMES)):
        return declared
    name, declaration = _from(declared, number)[0]
    free = next(other for other in NAMES if other not in declared)
    others = {other: kept for other, kept in declared.items() if other != name}
    return {**others, free: replace(declaration, source=source or declaration.source)}


def bump(declared: Declarations, source: Source) -> Declarations:
    """
    Release the next versions of a catalog: each resource is replaced, because its logical id contains the version.

    A new resource has a new tag, and the tags that move from version to version.
    """
    bumped: dict[str, Declaration] = {}
    for number, declaration in enumerate(declared.values()):
        free = [name for name in NAMES if name not in declared and name not in bumped]
        if not free:
            return declared
        tags = tuple(tag for tag in TAGS if (tag in declaration.tags) != (tag == TAGS[0]))
        other = replace(source, number=source.number + number)
        bumped[free[0]] = replace(declaration, tags=tags, source=other)
    return bumped


def replace_the_repository(declared: Declarations, number: int) -> Declarations:
    """Publish to the other repository."""
    return {
        **declared,
        **{
            name: replace(old, repository=HOMES[1 - HOMES.index(old.repository)])
            for name, old in _from(declared, number)[:1]
        },
    }


def _from(declared: Declarations, number: int) -> list[tuple[str, Declaration]]:
    """Return all resources in cyclic order, beginning with the one with this number."""
    items = sorted(declared.items())
    first = number % max(len(items), 1)
    return [*items[first:], *items[:first]]
