"""
Values of CloudFormation properties, each with its path.

CloudFormation converts every number and boolean in the properties of a custom
resource to a string, at any depth; lists and objects keep their structure.
Only this module and ``spec.codec`` depend on that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from .errors import InvalidInputError, InvalidPropertiesError, truncated_repr

T = TypeVar("T")

_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a property, and its path: ``Source.Manifest.Body``."""

    data: object
    path: str

    def string(self) -> str:
        """
        Read a non-empty string.

        Raises:
            InvalidPropertiesError: The value is not a non-empty string, or has
                a lone surrogate, which JSON can escape but UTF-8 cannot encode.
        """
        if not isinstance(self.data, str) or not self.data:
            self.refuse(f"is {truncated_repr(self.data)}; expected a string")
        try:
            self.data.encode()
        except UnicodeEncodeError as error:
            self.refuse(f"is not Unicode text: {error.reason} at character {error.start}")
        return self.data

    def parse(self, parser: Callable[[str], T]) -> T:
        """
        Read a string and parse it; errors of *parser* get this path.

        Raises:
            InvalidPropertiesError: *parser* refused the string.
        """
        text = self.string()
        try:
            return parser(text)
        except InvalidPropertiesError:
            raise
        except InvalidInputError as error:
            self.refuse(error.message)

    def choice(self, allowed: Collection[str]) -> str:
        """Read one of the *allowed* strings."""
        if self.data not in allowed:
            self.refuse(f"is {truncated_repr(self.data)}; allowed: {', '.join(allowed)}")
        return self.string()

    def boolean(self) -> bool:
        """Read a boolean, which CloudFormation sends as the string ``true`` or ``false``."""
        text = str(self.data).lower() if isinstance(self.data, bool) else self.data
        return Value(text, self.path).choice(("true", "false")) == "true"

    def number(self) -> int:
        """Read an integer from 1 to 9,999,999,999, which CloudFormation sends as a string."""
        text = str(self.data) if isinstance(self.data, int) and not isinstance(self.data, bool) else self.data
        if not isinstance(text, str) or not _NUMBER.fullmatch(text):
            self.refuse(f"is {truncated_repr(self.data)}; expected an integer of at least 1")
        return int(text)

    def items(self) -> list[Value]:
        """Read a list."""
        if not isinstance(self.data, list):
            self.refuse(f"is {truncated_repr(self.data)}; expected a list")
        return [Value(item, f"{self.path}[{number}]") for number, item in enumerate(self.data)]

    def each(self, reader: Callable[[Value], T]) -> tuple[T, ...]:
        """
        Read every item of a list with *reader*.

        Raises:
            InvalidPropertiesError: Has the problems of all items.
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

    def string_map(self) -> dict[str, str]:
        """Read an object with any keys, whose values are strings."""
        if not isinstance(self.data, Mapping):
            self.refuse(f"is {truncated_repr(self.data)}; expected an object")
        return {str(key): Value(item, f"{self.path}.{key}").string() for key, item in self.data.items()}

    def fields(self, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, Value]:
        """Read an object that has only *allowed* keys, and all that are *required*."""
        if not isinstance(self.data, Mapping):
            self.refuse(f"is {truncated_repr(self.data)}; expected an object")
        unknown = sorted(str(key) for key in self.data.keys() - set(allowed))
        if unknown:
            self.refuse(f"has unknown keys: {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}")
        if missing := set(required) - self.data.keys():
            self.refuse(f"{' and '.join(sorted(missing))} is missing")
        return {key: Value(item, f"{self.path}.{key}") for key, item in self.data.items()}

    def refuse(self, problem: str) -> NoReturn:
        """Raise an error about this value."""
        raise InvalidPropertiesError([f"{self.path}: {problem}"])
