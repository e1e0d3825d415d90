"""
YAML as nodes with positions. The only module that knows PyYAML.

PyYAML's parser gives events, of which nothing is ever constructed: a tag such
as ``!!python/object`` names a type that nobody looks up. Aliases are refused,
so that a file is never larger than it looks; its depth is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
import yaml.resolver

from .._assets.lambda_handler.errors import shown
from .problems import Position, Problems

DEPTH_MAX = 16
"""How deep a file may be nested; the formats need seven levels."""

TEXT = "text"

_KINDS = {
    "str": TEXT,
    "int": "a number",
    "float": "a number",
    "bool": "a truth value",
    "null": "nothing",
    "timestamp": "a date",
    "merge": "a merge key",
    "value": "a default key",
}
"""YAML's types of scalars, as messages call them."""

_CORE = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Scalar:
    """
    A single value.

    Attributes:
        text: As it is written, without quotes.
        kind: What YAML takes it for: ``text``, ``a number``, ``a truth value``, …
    """

    at: Position
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    at: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping. Its keys are scalars, and no text is a key twice."""

    at: Position
    entries: tuple[tuple[Scalar, Node], ...]

    def has(self, *names: str) -> bool:
        """Whether one of *names* is a key."""
        return any(key.text in names for key, _ in self.entries)


@dataclass(frozen=True, slots=True)
class Refused:
    """Something whose problem is known already."""

    at: Position


Node = Scalar | Items | Mapping | Refused


def parse(text: str, problems: Problems) -> Node | None:
    """
    Read one YAML document.

    Args:
        text: The whole file.
        problems: Takes what is wrong; syntax is reported up to its first error.

    Returns:
        None if nothing can be made of it, which is a problem too.
    """
    loader: Any = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        return _compose(loader, problems)
    except yaml.reader.ReaderError as error:
        what = f"{shown(chr(error.character))} is a character that YAML does not allow; write it as an escape, or not"
        problems.add(_position_of(text, error.position), what)
    except yaml.MarkedYAMLError as error:
        context = f" {error.context}" if error.context else ""
        problems.add(_position(error.problem_mark or loader.get_mark()), f"no YAML:{context} {error.problem}")
    except (ValueError, OverflowError):
        # What PyYAML makes of "\UFFFFFFFF", or of a version of a thousand digits.
        problems.add(_position(loader.get_mark()), "no YAML: a number that stands for no character or version")
    finally:
        loader.dispose()
    return None


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; keys and values of a mapping take turns."""

    at: Position
    is_mapping: bool
    parts: list[Node] = field(default_factory=list)


class _Composer:
    """Makes nodes of events, without recursion."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._resolver: Any = yaml.resolver.Resolver()
        self._root: list[Node] = []
        self._open: list[_Open] = []

    @property
    def depth(self) -> int:
        """How many lists and mappings are open."""
        return len(self._open)

    @property
    def root(self) -> Node | None:
        """The document, once it is complete."""
        return self._root[0] if self._root else None

    def take(self, event: Any) -> None:  # noqa: ANN401 - PyYAML is not annotated
        """Take the next event of the document."""
        at = _position(event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            self._check_tag(event, at, "map" if isinstance(event, yaml.MappingStartEvent) else "seq")
            self._open.append(_Open(at, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            self._add(self._mapping(closed) if closed.is_mapping else Items(closed.at, tuple(closed.parts)))
        elif isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, at))
        elif isinstance(event, yaml.AliasEvent):
            self._problems.add(at, f"*{event.anchor} is an alias; aliases are not allowed: write the value out")
            self._add(Refused(at))

    def _add(self, node: Node) -> None:
        (self._open[-1].parts if self._open else self._root).append(node)

    def _scalar(self, event: Any, at: Position) -> Node:  # noqa: ANN401 - PyYAML is not annotated
        tag = event.tag
        if tag in {None, "!"}:
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = _KINDS.get(tag.removeprefix(_CORE)) if tag.startswith(_CORE) else None
        if kind is None:
            self._refuse_tag(tag, at)
            return Refused(at)
        return Scalar(at, event.value, kind)

    def _check_tag(self, event: Any, at: Position, expected: str) -> None:  # noqa: ANN401 - PyYAML is not annotated
        if event.tag not in {None, "!", f"{_CORE}{expected}"}:
            self._refuse_tag(event.tag, at)

    def _refuse_tag(self, tag: str, at: Position) -> None:
        self._problems.add(at, f"{shown(tag)} is a YAML tag that is not allowed here: leave it out")

    def _mapping(self, closed: _Open) -> Mapping:
        seen: dict[str, Position] = {}
        entries: list[tuple[Scalar, Node]] = []
        for key, value in zip(closed.parts[::2], closed.parts[1::2], strict=True):
            if isinstance(key, Items | Mapping):
                self._problems.add(key.at, "a list or mapping is no key; expected a text")
            elif isinstance(key, Scalar) and key.text in seen:
                first = f"first on line {seen[key.text].line}"
                self._problems.add(key.at, f"the key {shown(key.text)} is there twice, {first}: merge the two")
            elif isinstance(key, Scalar):
                seen[key.text] = key.at
                entries.append((key, value))
        return Mapping(closed.at, tuple(entries))


def _compose(loader: Any, problems: Problems) -> Node | None:  # noqa: ANN401 - PyYAML is not annotated
    composer = _Composer(problems)
    for event in _events(loader):
        if isinstance(event, yaml.DocumentStartEvent) and composer.root is not None:
            problems.add(_position(event.start_mark), "a second document begins; a catalog is one: remove the '---'")
            return composer.root
        composer.take(event)
        if composer.depth > DEPTH_MAX:
            problems.add(_position(event.start_mark), f"nested deeper than {DEPTH_MAX} levels, which no catalog needs")
            return None
    if composer.root is None:
        problems.add(None, "the file is empty; expected registries, images or repositories")
    return composer.root


def _events(loader: Any) -> Iterator[Any]:  # noqa: ANN401 - PyYAML is not annotated
    while loader.check_event():
        yield loader.get_event()


def _position(mark: Any) -> Position:  # noqa: ANN401 - PyYAML is not annotated
    return Position(mark.line + 1, mark.column + 1)


def _position_of(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)
