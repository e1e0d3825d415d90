"""What is wrong with a catalog, each problem with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_PROBLEMS = 100
"""More than these are counted, not shown; ``CatalogError.problems`` has all."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; lines and columns begin with 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One problem.

    Attributes:
        file: As it was given.
        at: Where in the file; None is the file as a whole.
        text: What is wrong, what is allowed, and what to do.
    """

    file: str
    at: Position | None
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.at}: {self.text}" if self.at else f"{self.file}: {self.text}"


class CatalogError(ValueError):
    """
    A catalog cannot be read; nothing of it is declared.

    Attributes:
        problems: All of them, in the order of the file.
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
        file: As it was given; stands before each problem.
        found: Where they go. Default: a list of its own.
    """

    def __init__(self, file: str, found: list[Problem] | None = None) -> None:
        self._file = file
        self.found = [] if found is None else found

    def of(self, file: str) -> Problems:
        """Collect the problems of another file with those of this one."""
        return Problems(file, self.found)

    def __len__(self) -> int:
        return len(self.found)

    def add(self, at: Position | None, text: str) -> None:
        """Note a problem; reading goes on."""
        self.found.append(Problem(self._file, at, text))

    def raise_if_any(self) -> None:
        """
        Give up if there were any.

        Raises:
            CatalogError: With all of them, in the order of the file.
        """
        if self.found:
            raise CatalogError(sorted(self.found, key=lambda problem: (problem.file, problem.at or Position(0, 0))))
