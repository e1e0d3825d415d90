"""Read checked values from nodes, and collect all problems."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import ClassVar, TypeVar

from .._assets.lambda_handler.errors import ImageError, truncated_repr
from .nodes import BOOLEAN, NULL, STRING, Items, Mapping, Node, Scalar, is_empty, is_refused, kind, position
from .problems import Position, Problems

T = TypeVar("T")


class Fields:
    """
    The readers for one file.

    Each reader takes a node and *what*, its name in messages. It returns None
    or nothing if the node is invalid.

    Args:
        problems: Collects the problems.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    @property
    def refused(self) -> bool:
        """Whether anything was refused so far."""
        return bool(self._problems)

    def refuse(self, at: Position | None, text: str) -> None:
        """Report a problem."""
        self._problems.add(at, text)

    def mapping(
        self, node: Node, what: str, *, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> dict[str, Node] | None:
        """Read a mapping with known keys only."""
        if not isinstance(node, Mapping):
            self._refuse_kind(node, what, f"a mapping with {_listed([*required, *optional])}")
            return None
        allowed = [*required, *optional]
        entries = {key.value: value for key, value in node.value}
        for key, _ in node.value:
            if key.value not in allowed:
                text = f"{what}: {truncated_repr(key.value)} is an unknown key; allowed: {_listed(allowed)}"
                self.refuse(position(key), text)
        for name in required:
            if name not in entries:
                self.refuse(position(node), f"{what}: {name!r} is missing; add it")
        return {name: value for name, value in entries.items() if name in allowed}

    def table(
        self, node: Node, what: str, parse: Callable[[str], T], of: str
    ) -> Iterator[tuple[T | None, Position, Node]]:
        """
        Read a mapping whose keys are values; *of* describes keys and values.

        An invalid key is yielded as None, so that its value is still checked.
        """
        if not isinstance(node, Mapping):
            self._refuse_kind(node, what, f"a mapping of {of}")
            return
        for key, value in node.value:
            yield self.string(key, what, parse), position(key), value

    def items(self, node: Node, what: str, of: str) -> Iterator[tuple[Node, str]]:
        """Read a list; yield each item with its name."""
        if not isinstance(node, Items):
            self._refuse_kind(node, what, f"a list of {of}")
            return
        for number, item in enumerate(node.value):
            yield item, f"{what}[{number}]"

    def string(self, node: Node, what: str, parse: Callable[[str], T]) -> T | None:
        """Read a string with *parse*, which raises an ImageError for an invalid one."""
        if is_refused(node) or not isinstance(node, Scalar):
            self._refuse_kind(node, what, "a string")
            return None
        if not self._is_string(node):
            found = _plain(node) or "an empty value"
            self.refuse(position(node), f"{what}: YAML reads {found} as {kind(node)}, not as a string; {_remedy(node)}")
            return None
        try:
            return parse(node.value)
        except ImageError as error:
            self.refuse(position(node), f"{what}: {error.message}")
            return None

    def strings(self, node: Node, what: str, parse: Callable[[str], T], of: str) -> tuple[tuple[T, Position], ...]:
        """Read a list of strings without duplicates."""
        found: dict[str, tuple[T, Position]] = {}
        for item, name in self.items(node, what, of):
            value = self.string(item, name, parse)
            if value is None:
                continue
            if item.value in found:
                self._refuse_repeated(item, name)
            else:
                found[item.value] = value, position(item)
        return tuple(found.values())

    def flag(self, node: Node, what: str) -> bool | None:
        """Read ``true`` or ``false``; other booleans of YAML 1.1 are refused."""
        if isinstance(node, Scalar) and not is_refused(node) and kind(node) == BOOLEAN:
            value = self._flags.get(node.value.lower())
            if value is not None:
                return value
        self._refuse_kind(node, what, "true or false")
        return None

    _flags: ClassVar[dict[str, bool]] = {"true": True, "false": False}

    def _is_string(self, node: Scalar) -> bool:
        return kind(node) == STRING

    def _refuse_repeated(self, item: Scalar, what: str) -> None:
        self.refuse(
            position(item), f"{what}: {truncated_repr(item.value)} is duplicated in this list; remove one of the two"
        )

    def _refuse_kind(self, node: Node, what: str, expected: str) -> None:
        if is_refused(node):
            return
        if isinstance(node, Scalar):
            found = f"{_plain(node)} ({kind(node)})" if node.value else "empty"
        else:
            found = "a list" if isinstance(node, Items) else "a mapping"
        self.refuse(position(node), f"{what}: is {found}; expected {expected}")


class StringFields(Fields):
    """
    The readers for a format whose values are all strings, except for flags.

    They match the image promoter: ``1.10`` is a string, lists and mappings may
    be empty values, duplicates are ignored, and ``yes`` is a flag.
    """

    _flags: ClassVar[dict[str, bool]] = dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(
        ("false", "no", "off"), False
    )

    def table(
        self, node: Node, what: str, parse: Callable[[str], T], of: str
    ) -> Iterator[tuple[T | None, Position, Node]]:
        """Read a mapping, or an empty value; see ``Fields.table``."""
        return iter(()) if is_empty(node) else super().table(node, what, parse, of)

    def items(self, node: Node, what: str, of: str) -> Iterator[tuple[Node, str]]:
        """Read a list, or an empty value; see ``Fields.items``."""
        return iter(()) if is_empty(node) else super().items(node, what, of)

    def _is_string(self, node: Scalar) -> bool:
        return kind(node) != NULL

    def _refuse_repeated(self, item: Scalar, what: str) -> None:
        """Ignore the duplicate."""


def _plain(node: Scalar) -> str:
    return truncated_repr(node.value)[1:-1]


def _remedy(node: Scalar) -> str:
    return f'quote it: "{_plain(node)}"' if node.value else "add a value, or remove the key"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
