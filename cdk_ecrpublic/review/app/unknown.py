"""A value that cannot be known before the deployment, and what would make it known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

DEPLOY = "it is known after the deployment"

CORRECT = "CloudFormation will refuse it; correct the template"


@dataclass(frozen=True, slots=True)
class Unknown:
    """
    A value that is not known here.

    Attributes:
        expression: What stands for it in the template.
        cure: What makes it known; part of a sentence.
    """

    expression: str
    cure: str = DEPLOY

    def __str__(self) -> str:
        return f"<{self.expression}>"

    @property
    def problem(self) -> str:
        """The sentence for a person."""
        return f"{self.expression} is not known here: {self.cure}"


def unknowns(value: object) -> Iterator[Unknown]:
    """Give all of *value* that is not known, at whatever depth."""
    if isinstance(value, Unknown):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from unknowns(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from unknowns(item)


def problems_with(value: object) -> tuple[str, ...]:
    """Return a sentence for each part of *value* that is not known; empty: all is known."""
    return tuple(sorted({each.problem for each in unknowns(value)}))


def when_known(parts: Sequence[object], make: Callable[[], object]) -> object:
    """Return what *make* makes of *parts*, or the first of them that is not known."""
    return next(unknowns(list(parts)), None) or make()
