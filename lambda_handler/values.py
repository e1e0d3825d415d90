"""
Values of CloudFormation properties, each with its path.

CloudFormation turns every number and boolean inside a custom resource's
properties into a string, at any depth; lists and maps keep their shape. This
module and ``spec.codec`` are the only ones that know it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from .errors import InvalidInputError, InvalidPropertiesError, shown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Value:
    """A property's value, and where it stands: ``Source.Manifest.Body``."""

    data: object
    path: str

    def text(self) -> str:
        """
        Read a string that is not empty.

        Raises:
            InvalidPropertiesError: Anything else; also half of a surrogate
                pair, which JSON can escape and no bytes stand for.
        """
        if not isinstance(self.data, str) or not self.data:
            self.refuse(f"is {shown(self.data)}; expected a text")
        try:
            self.data.encode()
        except UnicodeEncodeError as error:
            self.refuse(f"is not Unicode text: {error.reason} at character {error.start}")
        return self.data

    def parse(self, parser: Callable[[str], T]) -> T:
        """
        Read a string by *parser*, whose error gets this path.

        Raises:
            InvalidPropertiesError: The parser refused it.
        """
        text = self.text()
        try:
            return parser(text)
        except InvalidPropertiesError:
            raise
        except InvalidInputError as error:
            self.refuse(error.message)

    def choice(self, allowed: Collection[str]) -> str:
        """Read one of *allowed*."""
        if self.data not in allowed:
            self.refuse(f"is {shown(self.data)}; allowed: {', '.join(allowed)}")
        return self.text()

    def boolean(self) -> bool:
        """Read ``true`` or ``false``, which CloudFormation sends as strings."""
        text = str(self.data).lower() if isinstance(self.data, bool) else self.data
        return Value(text, self.path).choice(("true", "false")) == "true"

    def items(self) -> list[Value]:
        """Read a list."""
        if not isinstance(self.data, list):
            self.refuse(f"is {shown(self.data)}; expected a list")
        return [Value(item, f"{self.path}[{number}]") for number, item in enumerate(self.data)]

    def each(self, reader: Callable[[Value], T]) -> tuple[T, ...]:
        """
        Read every item of a list by *reader*.

        Raises:
            InvalidPropertiesError: Names the problems of all items.
        """
        results: list[T] = []
        problems: list[str] = []
        for item in self.items():
            try:
                results.append(reader(item))
            except InvalidPropertiesError as error:
                problems.extend(error.problems)
        if problems:
            raise InvalidPropertiesError(problems)
        return tuple(results)

    def texts(self) -> dict[str, str]:
        """Read an object of any keys, whose values are strings."""
        if not isinstance(self.data, Mapping):
            self.refuse(f"is {shown(self.data)}; expected an object")
        return {str(key): Value(item, f"{self.path}.{key}").text() for key, item in self.data.items()}

    def fields(self, allowed: Collection[str]) -> dict[str, Value]:
        """Read an object that has no other keys than *allowed*."""
        if not isinstance(self.data, Mapping):
            self.refuse(f"is {shown(self.data)}; expected an object")
        unknown = sorted(str(key) for key in self.data.keys() - set(allowed))
        if unknown:
            self.refuse(f"has unknown keys: {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}")
        return {key: Value(item, f"{self.path}.{key}") for key, item in self.data.items()}

    def refuse(self, problem: str) -> NoReturn:
        """Refuse the value."""
        raise InvalidPropertiesError([f"{self.path}: {problem}"])
