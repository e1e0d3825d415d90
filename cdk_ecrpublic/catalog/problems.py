"""The problems of a catalog, each with its position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_PROBLEMS = 100
"""How many problems a message lists; ``CatalogError.problems`` has all of them."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a file; lines and columns start at 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One problem.

    Attributes:
        file: The path as it was given.
        at: The position; None for the whole file.
        text: What is wrong, what is allowed, and what to do.
    """

    file: str
    at: Position | None
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.at}: {self.text}" if self.at else f"{self.file}: {self.text}"


class CatalogError(ValueError):
    """
    A catalog is invalid; none of its images is declared.

    Attributes:
        problems: All problems, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            lines.append(f"and {len(self.problems) - SHOWN_PROBLEMS} more")
        super().__init__("\n".join(lines))


class Problems:
    """
    Collects the problems of one file.

    Args:
        file: The path as it was given, which precedes each problem.
        found: The list to append to. Default: a new list.
    """

    def __init__(self, file: str, found: list[Problem] | None = None) -> None:
        self._file = file
        self.found = [] if found is None else found

    def of(self, file: str) -> Problems:
        """Return a collector for another file that appends to the same list."""
        return Problems(file, self.found)

    def __len__(self) -> int:
        return len(self.found)

    def add(self, at: Position | None, text: str) -> None:
        """Add a problem."""
        self.found.append(Problem(self._file, at, text))

    def raise_if_any(self) -> None:
        """
        Raise an error if there are any problems.

        Raises:
            CatalogError: Has all problems, in the order of the file.
        """
        if self.found:
            raise CatalogError(sorted(self.found, key=lambda problem: (problem.file, problem.at or Position(0, 0))))
