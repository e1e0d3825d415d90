"""Reads checked values out of nodes; what is wrong is collected, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from .._assets.lambda_handler.errors import ImageError, shown
from .nodes import TEXT, Items, Mapping, Node, Refused, Scalar
from .problems import Position, Problems

T = TypeVar("T")


class Fields:
    """
    The readers of one file.

    Each takes a node and *what* it is called in messages, and answers None,
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
        found: dict[str, Node] = {}
        for key, value in node.entries:
            if key.text in allowed:
                found[key.text] = value
            else:
                self.refuse(key.at, f"{what}: {shown(key.text)} is an unknown key; allowed: {_listed(allowed)}")
        for name in required:
            if name not in found and not any(key.text == name for key, _ in node.entries):
                self.refuse(node.at, f"{what}: {name!r} is missing; add it")
        return found

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
        for key, value in node.entries:
            yield self.text(key, what, parse), key.at, value

    def items(self, node: Node, what: str, of: str) -> Iterator[tuple[Node, str]]:
        """Read a list; gives each item with what it is called."""
        if not isinstance(node, Items):
            self._refuse_kind(node, what, f"a list of {of}")
            return
        for number, item in enumerate(node.items):
            yield item, f"{what}[{number}]"

    def text(self, node: Node, what: str, parse: Callable[[str], T]) -> T | None:
        """Read a text by the grammar of *parse*, which refuses by an ImageError."""
        if not isinstance(node, Scalar):
            self._refuse_kind(node, what, "a text")
            return None
        if node.kind != TEXT:
            found = _plain(node) or "an empty value"
            self.refuse(node.at, f"{what}: YAML reads {found} as {node.kind}, not as text; {_remedy(node)}")
            return None
        try:
            return parse(node.text)
        except ImageError as error:
            self.refuse(node.at, f"{what}: {error.message}")
            return None

    def texts(self, node: Node, what: str, parse: Callable[[str], T], of: str) -> tuple[tuple[T, Position], ...]:
        """Read a list of texts, none of them twice."""
        seen: set[str] = set()
        found = []
        for item, name in self.items(node, what, of):
            value = self.text(item, name, parse)
            if value is None or not isinstance(item, Scalar):
                continue
            if item.text in seen:
                self.refuse(item.at, f"{name}: {shown(item.text)} is in this list already; remove one of the two")
            else:
                seen.add(item.text)
                found.append((value, item.at))
        return tuple(found)

    def flag(self, node: Node, what: str) -> bool | None:
        """Read ``true`` or ``false``; YAML 1.1's other words for them are refused."""
        if isinstance(node, Scalar) and node.kind != TEXT and node.text in {"true", "false"}:
            return node.text == "true"
        self._refuse_kind(node, what, "true or false")
        return None

    def _refuse_kind(self, node: Node, what: str, expected: str) -> None:
        if isinstance(node, Refused):
            return
        if isinstance(node, Scalar):
            found = f"{_plain(node)} ({node.kind})" if node.text else "empty"
        else:
            found = "a list" if isinstance(node, Items) else "a mapping"
        self.refuse(node.at, f"{what}: is {found}; expected {expected}")


def _plain(node: Scalar) -> str:
    return shown(node.text)[1:-1]


def _remedy(node: Scalar) -> str:
    return f'quote it: "{_plain(node)}"' if node.text else "write it out, or leave its key out"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
