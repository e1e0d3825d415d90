"""
Parse YAML to PyYAML's nodes, which have positions. The only module that uses PyYAML.

No objects are constructed from the nodes, so tags such as ``!!python/object``
have no effect. Aliases are refused, so a small file cannot expand to a large
one, and the depth is limited.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import yaml
from yaml import MappingNode as Mapping
from yaml import Node
from yaml import ScalarNode as Scalar
from yaml import SequenceNode as Items

from .._assets.lambda_handler.errors import truncated_repr
from .problems import Position, Problems

__all__ = ["Items", "Mapping", "Node", "Scalar", "is_empty", "is_false", "is_refused", "kind", "parse", "position"]

DEPTH_MAX = 16
"""How deep a file may be nested; the formats need seven levels."""

STRING = "a string"
BOOLEAN = "a truth value"
NULL = "nothing"

_CORE = "tag:yaml.org,2002:"
_NULL = f"{_CORE}null"
_KINDS = {
    f"{_CORE}str": STRING,
    f"{_CORE}int": "a number",
    f"{_CORE}float": "a number",
    f"{_CORE}bool": BOOLEAN,
    _NULL: NULL,
    f"{_CORE}timestamp": "a date",
    f"{_CORE}merge": "a merge key",
    f"{_CORE}value": "a default key",
}
"""The name of a scalar in messages, by its tag."""

_TAGS = {Scalar: _KINDS.keys(), Items: {f"{_CORE}seq"}, Mapping: {f"{_CORE}map"}}
"""The allowed tags of a node, by its class."""

_REFUSED = "refused"
"""The tag of a node that was reported already."""


class _TooDeepError(Exception):
    """The file is nested too deeply, which was reported already."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML is not annotated
    """PyYAML's reader, scanner and parser, with a composer that refuses unnecessary features."""

    def __init__(self, text: str, problems: Problems) -> None:
        super().__init__(text)
        self._problems = problems
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Node | int | None) -> Node:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self.get_event()
            return self._refused(event, f"*{event.anchor} is an alias; aliases are not allowed: repeat the value")
        is_collection = isinstance(event, yaml.CollectionStartEvent)
        if is_collection and self._depth == DEPTH_MAX:
            what = f"nested deeper than {DEPTH_MAX} levels, the limit"
            self._problems.add(_position(event.start_mark), what)
            raise _TooDeepError
        self._depth += is_collection
        node = super().compose_node(parent, index)
        self._depth -= is_collection
        if node.tag not in _TAGS[type(node)]:
            return self._refused(node, f"{truncated_repr(node.tag)} is a YAML tag that is not allowed here: remove it")
        return node

    def compose_mapping_node(self, anchor: str | None) -> Node:
        """Compose a mapping with scalar keys and without duplicates."""
        node = super().compose_mapping_node(anchor)
        entries: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, Scalar):
                self._problems.add(position(key), "a list or mapping cannot be a key; expected a string")
            elif key.value in entries:
                first = f"first on line {position(entries[key.value][0]).line}"
                self._problems.add(
                    position(key), f"the key {truncated_repr(key.value)} is duplicated, {first}: merge the two"
                )
            elif not is_refused(key):
                entries[key.value] = key, value
        node.value = list(entries.values())
        return node

    def _refused(self, found: yaml.Event | Node, text: str) -> Node:
        self._problems.add(_position(found.start_mark), text)
        return Scalar(_REFUSED, "", found.start_mark)


def parse(text: str, problems: Problems) -> Node | None:
    """
    Read one YAML document.

    Args:
        text: The whole file.
        problems: Collects the problems; for invalid syntax only the first one.

    Returns:
        None if the file cannot be parsed, which is reported. A file that has
        only comments is a node that ``is_empty``.
    """
    loader: Any = None
    try:
        loader = _Loader(_without_tabs(text), problems)
        if not loader.check_node():
            return Scalar(_NULL, "", loader.get_mark())
        node = loader.get_node()
        while loader.check_node():
            at = _position(loader.peek_event().start_mark)
            if not is_empty(loader.get_node()):
                problems.add(at, "the file has a second document; remove the '---'")
                break
    except _TooDeepError:
        pass
    except yaml.reader.ReaderError as error:
        what = f"{truncated_repr(chr(error.character))} is a character that YAML does not allow; escape or remove it"
        problems.add(_position_of(text, error.position), what)
    except yaml.MarkedYAMLError as error:
        context = f" {error.context}" if error.context else ""
        problems.add(_position(error.problem_mark or loader.get_mark()), f"is not YAML:{context} {error.problem}")
    except (ValueError, OverflowError):
        # PyYAML raises them for "\UFFFFFFFF", or for a version with a thousand digits.
        problems.add(_position(loader.get_mark()), "is not YAML: a number is not a valid character or version")
    else:
        return node
    return None


def _without_tabs(text: str) -> str:
    """Replace the tabs of JSON, which PyYAML refuses; within a string of JSON, there are none."""
    with suppress(ValueError, RecursionError):
        if "\t" in text:
            json.loads(text)
            return text.replace("\t", " ")
    return text


def position(node: Node) -> Position:
    """Return the position of a node."""
    return _position(node.start_mark)


def kind(node: Scalar) -> str:
    """Return the type of a scalar for messages: ``STRING``, ``BOOLEAN``, ``NULL``, ``a number`` and so on."""
    return _KINDS[node.tag]


def is_empty(node: Node) -> bool:
    """Whether a node is an empty value, as after ``dmap:`` or in a file of comments."""
    return bool(node.tag == _NULL)


def is_false(node: Node) -> bool:
    """Whether a node is ``false``."""
    return isinstance(node, Scalar) and node.tag == f"{_CORE}bool" and node.value.lower() == "false"


def is_refused(node: Node) -> bool:
    """Whether the problem of a node was reported already."""
    return bool(node.tag == _REFUSED)


def _position(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _position_of(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)
