"""
Single values, checked at synthesis by the handler's own grammar.

Tokens, whose values nobody knows yet, pass; the handler checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NoReturn

from aws_cdk import Token

from ._assets.lambda_handler.errors import ImageError, shown

_MARK = "Token["
"""In every text that stands for one: ``${Token[TOKEN.7]}``."""


def is_known(value: object) -> bool:
    """Whether a value is known now, and not only at deployment."""
    # Asking the CDK costs a question to Node, some twenty for each image: what has no mark of a token, is none.
    if isinstance(value, str) and _MARK not in value:
        return True
    # jsii takes lists, but no tuples.
    return not Token.is_unresolved(list(value) if isinstance(value, tuple) else value)


def check(what: str, text: str, parser: Callable[[str], object]) -> None:
    """
    Hold *text* against the handler's grammar.

    Args:
        what: Where the value stands, for the message.
        text: A value or a token.
        parser: Refuses by an ImageError.

    Raises:
        ValueError: Says where, the value got, and what is allowed.
    """
    if not isinstance(text, str):
        refuse(what, f"{text!r} is not a string")
    if not is_known(text):
        return
    try:
        parser(text)
    except ImageError as error:
        message = f"{what}: {error.message}"
        raise ValueError(message) from error


def check_length(what: str, text: str | None, limit: int) -> None:
    """
    Refuse a text of more than *limit* characters.

    Raises:
        ValueError: It is longer.
    """
    if text is not None and is_known(text) and len(text) > limit:
        refuse(what, f"has {len(text)} characters; at most {limit} are allowed")


def check_choices(what: str, values: Collection[str], allowed: Collection[str]) -> None:
    """
    Refuse values that are not among *allowed*.

    Raises:
        ValueError: Names the first such value.
    """
    for value in values:
        if is_known(value) and value not in allowed:
            refuse(what, f"{value!r} is unknown; allowed: {', '.join(map(repr, allowed))}")


def check_kind(what: str, value: object, attribute: str, expected: str) -> None:
    """
    Refuse a value of another kind: a text, mostly, or the private counterpart of something public.

    Args:
        attribute: What only the right kind has.
        expected: What it should be, and how to get one.

    Raises:
        ValueError: It has no such attribute.
    """
    if not hasattr(value, attribute):
        refuse(what, f"{shown(value)} is a {type(value).__name__}; expected {expected}")


def refuse(what: str, why: str) -> NoReturn:
    """Refuse with a message that names the place first."""
    message = f"{what}: {why}"
    raise ValueError(message)
