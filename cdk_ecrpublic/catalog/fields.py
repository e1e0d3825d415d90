"""Reads checked values out of nodes; what is wrong is collected, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import ClassVar, TypeVar

from .._assets.lambda_handler.errors import ImageError, truncated_repr
from .nodes import BOOLEAN, NULL, STRING, Items, Mapping, Node, Scalar, is_empty, is_refused, kind, position
from .problems import Position, Problems

T = TypeVar("T")


class Fields:
    """
    The readers of one file.

    Each takes a node and *what* it is called in messages, and returns None,
    or nothing, where the node is not what it should be.

    Args:
        problems: Where that is noted.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    @property
    def refused(self) -> bool:
        """Whether anything was refused so far."""
        return bool(self._problems)

    def refuse(self, at: Position | None, text: str) -> None:
        """Note a problem."""
        self._problems.add(at, text)

    def mapping(
        self, node: Node, what: str, *, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> dict[str, Node] | None:
        """Read a mapping of which all keys are known."""
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
        Read a mapping whose keys are values; *of* says what it maps to what.

        A key that is not one is None, so that what is below it is read all the same.
        """
        if not isinstance(node, Mapping):
            self._refuse_kind(node, what, f"a mapping of {of}")
            return
        for key, value in node.value:
            yield self.text(key, what, parse), position(key), value

    def items(self, node: Node, what: str, of: str) -> Iterator[tuple[Node, str]]:
        """Read a list; yields each item with what it is called."""
        if not isinstance(node, Items):
            self._refuse_kind(node, what, f"a list of {of}")
            return
        for number, item in enumerate(node.value):
            yield item, f"{what}[{number}]"

    def text(self, node: Node, what: str, parse: Callable[[str], T]) -> T | None:
        """Read a string by the grammar of *parse*, which refuses by an ImageError."""
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

    def texts(self, node: Node, what: str, parse: Callable[[str], T], of: str) -> tuple[tuple[T, Position], ...]:
        """Read a list of strings, none of them twice."""
        found: dict[str, tuple[T, Position]] = {}
        for item, name in self.items(node, what, of):
            value = self.text(item, name, parse)
            if value is None:
                continue
            if item.value in found:
                self._refuse_repeated(item, name)
            else:
                found[item.value] = value, position(item)
        return tuple(found.values())

    def flag(self, node: Node, what: str) -> bool | None:
        """Read ``true`` or ``false``; YAML 1.1's other words for them are refused."""
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
            position(item), f"{what}: {truncated_repr(item.value)} is in this list already; remove one of the two"
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
    The readers of a format all of whose values are strings, but for flags.

    As the image promoter reads its files: ``1.10`` is the string that it looks
    like, lists and mappings may be left empty, what is repeated counts once,
    and ``yes`` is a flag.
    """

    _flags: ClassVar[dict[str, bool]] = dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(
        ("false", "no", "off"), False
    )

    def table(
        self, node: Node, what: str, parse: Callable[[str], T], of: str
    ) -> Iterator[tuple[T | None, Position, Node]]:
        """Read a mapping, or nothing at all; see ``Fields.table``."""
        return iter(()) if is_empty(node) else super().table(node, what, parse, of)

    def items(self, node: Node, what: str, of: str) -> Iterator[tuple[Node, str]]:
        """Read a list, or nothing at all; see ``Fields.items``."""
        return iter(()) if is_empty(node) else super().items(node, what, of)

    def _is_string(self, node: Scalar) -> bool:
        return kind(node) != NULL

    def _refuse_repeated(self, item: Scalar, what: str) -> None:
        """Take it once."""


def _plain(node: Scalar) -> str:
    return truncated_repr(node.value)[1:-1]


def _remedy(node: Scalar) -> str:
    return f'quote it: "{_plain(node)}"' if node.value else "write it out, or leave its key out"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
