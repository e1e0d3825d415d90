"""A value that is not known before the deployment, and how to make it known."""

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
        expression: The expression in the template.
        cure: What to do so that it becomes known; part of a sentence.
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
    """Yield all unknown parts of *value*, at any depth."""
    if isinstance(value, Unknown):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from unknowns(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from unknowns(item)


def problems_with(value: object) -> tuple[str, ...]:
    """Return a sentence for each unknown part of *value*."""
    return tuple(sorted({each.problem for each in unknowns(value)}))


def when_known(parts: Sequence[object], make: Callable[[], object]) -> object:
    """Return the result of *make* for *parts*, or the first of them that is unknown."""
    return next(unknowns(list(parts)), None) or make()
