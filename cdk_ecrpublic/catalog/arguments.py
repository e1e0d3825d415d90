"""Readers of the arguments of a method, by their names in a catalog."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .._assets.lambda_handler.errors import InvalidInputError, truncated_repr
from .fields import Fields
from .model import RuleArguments
from .nodes import Items, Node, position

Reader = Callable[[Fields, Node, str], Any]
"""Reads an argument; the string is its name in messages."""


def texts(parse: Callable[[str], object], of: str) -> Reader:
    """Return the reader of a list of strings without duplicates."""
    return lambda fields, node, what: [str(value) for value, _ in fields.strings(node, what, parse, of)]


def text(parse: Callable[[str], str]) -> Reader:
    """Return the reader of a string."""
    return lambda fields, node, what: fields.string(node, what, parse)


def choice(allowed: Collection[str]) -> Reader:
    """Return the reader of one of the *allowed* strings."""
    return text(_one_of(allowed))


def _one_of(allowed: Collection[str]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            message = f"{truncated_repr(value)} is not allowed; expected {' or '.join(allowed)}"
            raise InvalidInputError(message)
        return value

    return parse


def flag(fields: Fields, node: Node, what: str) -> bool | None:
    """Read ``true`` or ``false``."""
    return fields.flag(node, what)


def texts_of(allowed: Collection[str], of: str) -> Reader:
    """Return the reader of a list of *allowed* strings without duplicates."""
    return lambda fields, node, what: [str(value) for value, _ in fields.strings(node, what, _one_of(allowed), of)]


def not_empty(read: Reader) -> Reader:
    """Return the reader of a list that must not be empty."""

    def checked(fields: Fields, node: Node, what: str) -> Any:  # noqa: ANN401 - as the reader
        if isinstance(node, Items) and not node.value:
            fields.refuse(position(node), f"{what}: is empty; list something, or leave it out")
        return read(fields, node, what)

    return checked


def read_arguments(
    node: Node, what: str, fields: Fields, readers: Mapping[str, Reader], required: Collection[str] = ()
) -> RuleArguments:
    """
    Read the arguments of a method.

    Args:
        readers: The reader of each argument.
        required: The arguments without a default.
    """
    optional = [each for each in readers if each not in required]
    given = fields.mapping(node, what, required=required, optional=optional) or {}
    return {key: readers[key](fields, value, f"{what}.{key}") for key, value in given.items()}
