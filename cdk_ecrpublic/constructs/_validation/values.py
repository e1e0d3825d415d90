"""
Checks of single values at synthesis: their types, and strings by the handler's own grammar.

Tokens pass, because their values are not known yet; the handler checks them. For
a value of the wrong type, the message says where it is, what it is and what is
expected, which is clearer than an error of the CDK's Node.js process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import NoReturn

from aws_cdk import Token

from ..._assets.lambda_handler.errors import ImageError, truncated_repr

_MARK = "Token["
"""Part of every string that contains a token: ``${Token[TOKEN.7]}``."""

_DUMMIES = ("dummy-value-for-", "DUMMY_ARN")
"""
Part of every string that a lookup (``StringParameter.value_from_lookup``, ``Repository.from_lookup``) returns at first.

The CDK learns from the first pass what to look up, and synthesizes again.
"""

_SHOWN_MEMBERS = 6


def is_known(value: object) -> bool:
    """Whether a value is known at synthesis: neither a token, nor something that the CDK has yet to look up."""
    # Asking the CDK is a call to Node.js, about twenty for each image. A string without the marker is not a token.
    if isinstance(value, str | list | tuple):
        texts = [value] if isinstance(value, str) else value
        if any(isinstance(text, str) and dummy in text for text in texts for dummy in _DUMMIES):
            return False
        if not any(isinstance(text, str) and _MARK in text for text in texts):
            return True
    elif not isinstance(value, float) and not (hasattr(value, "resolve") and hasattr(value, "to_string")):
        # Neither a number nor an IResolvable, so not a token. Node.js does not accept every Python value.
        return True
    # jsii accepts lists, but not tuples.
    return not Token.is_unresolved(list(value) if isinstance(value, tuple) else value)


def check(what: str, text: str, parser: Callable[[str], object]) -> None:
    """
    Check a string with the handler's grammar.

    Args:
        what: The place of the value, for the message.
        text: A value or a token.
        parser: Raises ImageError for a malformed value.

    Raises:
        ValueError: Names the place, the value, and what is allowed.
    """
    if not isinstance(text, str):
        refuse_kind(what, text, "a string")
    if not is_known(text):
        return
    try:
        parser(text)
    except ImageError as error:
        message = f"{what}: {error.message}"
        # One traceback: the message says everything, and people read the last line of the first one.
        raise ValueError(message) from None


def check_text(what: str, value: object, expected: str = "a string") -> None:
    """
    Check that *value* is a string or a token.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, str) and is_known(value):
        refuse_kind(what, value, expected)


def check_length(what: str, text: str | None, limit: int) -> None:
    """
    Check that *text* is a string of at most *limit* characters.

    Raises:
        ValueError: It is not.
    """
    if text is None:
        return
    check_text(what, text)
    if is_known(text) and len(text) > limit:
        refuse(what, f"has {len(text)} characters; at most {limit} are allowed")


def check_flag(what: str, value: object) -> None:
    """
    Check that *value* is True or False; ``"false"`` and tokens would count as true.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, bool):
        refuse_kind(what, value, "True or False")


def check_number(what: str, value: object, allowed: range, unit: str = "") -> None:
    """
    Check that *value* is an integer in a range.

    Args:
        unit: The unit for the message: ``" MiB"``.

    Raises:
        ValueError: It is neither in the range nor a token.
    """
    bounds = f"{allowed.start} to {allowed.stop - 1}"
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and is_known(value):
        refuse_kind(what, value, f"an integer from {bounds}")
    if is_number and value not in allowed:
        refuse(what, f"{value}{unit}; allowed: {bounds}")


def check_member(what: str, value: object, members: Collection[Enum]) -> None:
    """
    Check that *value* is a member of an enumeration; users often pass the name of a member as a string.

    Raises:
        ValueError: It is not; the message lists the members.
    """
    if value not in members:
        some = [str(member) for member in members]
        one_of = f"{', '.join(some[:-1])} or {some[-1]}"
        a_few = f"a {some[0].partition('.')[0]}, e.g. {some[0]}"
        refuse_kind(what, value, one_of if len(some) <= _SHOWN_MEMBERS else a_few)


def check_list(what: str, values: object, of: str) -> None:
    """
    Check that *values* is a list; users often pass a single string, which is a sequence of characters in Python.

    A list token is a list in Python, too.

    Args:
        of: What the list contains, with an example: ``"tags, e.g. ['1.4.2']"``.

    Raises:
        ValueError: It is something else, for example a set, which has no order.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        refuse_kind(what, values, f"a list of {of}")


def check_texts(what: str, values: Sequence[str], of: str, parser: Callable[[str], object]) -> None:
    """
    Check each string of a list with the handler's grammar.

    Raises:
        ValueError: It is not a list, or a string is malformed; the message names the string.
    """
    check_list(what, values, of)
    for number, text in enumerate(values if is_known(values) else ()):
        check(f"{what}[{number}]", text, parser)


def check_choices(what: str, values: Collection[str], allowed: Collection[str]) -> None:
    """
    Check that *values* is a list of *allowed* strings.

    Raises:
        ValueError: It is not; the message names the first unknown string.
    """
    choices = ", ".join(map(repr, allowed))
    check_list(what, values, f"any of {choices}")
    for value in values if is_known(values) else ():
        if is_known(value) and value not in allowed:
            refuse(what, f"{truncated_repr(value)} is unknown; allowed: {choices}")


def check_mapping(what: str, value: object, expected: str) -> None:
    """
    Check that *value* is a mapping with strings as keys.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, Mapping):
        refuse_kind(what, value, expected)
    for key in value:
        if not isinstance(key, str):
            refuse_kind(what, key, expected)


def check_path(what: str, value: object) -> None:
    """
    Check that *value* is the path of a local file.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, str | os.PathLike):
        refuse_kind(what, value, "the path of a file")


def check_instance(what: str, value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """
    Check that *value* is an instance of a class.

    Args:
        expected: What is expected, and how to create it.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, kind):
        refuse_kind(what, value, expected)


def check_kind(what: str, value: object, attribute: str, expected: str) -> None:
    """
    Check that *value* implements an interface of the CDK, which has no class in Python.

    Users often pass a string, or the counterpart for private ECR.

    Args:
        attribute: An attribute that only the interface has.
        expected: What is expected, and how to create it.

    Raises:
        ValueError: It has no such attribute.
    """
    # Check the class first: reading an attribute of a construct is a call to Node.js.
    if not hasattr(type(value), attribute) and not hasattr(value, attribute):
        refuse_kind(what, value, expected)


def check_repository(what: str, value: object) -> None:
    """
    Check that *value* is a repository of ECR Public; users often pass its name.

    Raises:
        ValueError: It is not; the message says how to create one.
    """
    expected = "a repository of ECR Public: PublicRepository.from_repository_name(self, 'Repository', 'acme/agent')"
    if hasattr(value, "repository_uri_for_digest"):
        expected += "; a private repository can be the source: ImageSource.ecr"
    if hasattr(type(value), "repository_catalog_data"):
        expected = "a repository: wrap it with PublicRepository.from_cfn_public_repository(…)"
    check_kind(what, value, "identity", expected)


def check_source(what: str, source: object) -> None:
    """
    Check that *source* is a source; users often pass a digest as a string.

    Raises:
        ValueError: It is not; the message says how to create one.
    """
    check_kind(what, source, "bind", "a source, e.g. ImageSource.digest('sha256:…')")


def check_secret(what: str, value: object) -> None:
    """
    Check that *value* is a secret; the message does not show the value, which may be the password.

    Raises:
        ValueError: It is not; the message says how to import one.
    """
    if not hasattr(type(value), "secret_arn") and not hasattr(value, "secret_arn"):
        expected = "secretsmanager.Secret.from_secret_name_v2(self, 'Token', 'ghcr-token')"
        refuse(what, f"{_kind_of(value)}; expected a secret: {expected}")


def check_secrets(what: str, value: object, parser: Callable[[str], object]) -> None:
    """
    Check that *value* maps hosts to secrets; the message shows no value.

    Args:
        parser: Parses a host; raises ImageError if it is malformed.

    Raises:
        ValueError: It does not.
    """
    if not isinstance(value, Mapping):
        refuse(what, f'{_kind_of(value)}; expected secrets by host: {{"ghcr.io": secret}}')
    for host, secret in value.items():
        if not isinstance(host, str):
            refuse(what, f'{_kind_of(host)} as a key; expected secrets by host: {{"ghcr.io": secret}}')
        check(what, host, parser)
        check_secret(f"{what}[{host!r}]", secret)


def refuse_kind(what: str, value: object, expected: str) -> NoReturn:
    """Refuse a value of the wrong type, with a message that says what it is and what is expected."""
    refuse(what, f"{_described(value)}; expected {expected}")


def refuse(what: str, why: str) -> NoReturn:
    """Raise ValueError with a message that begins with the place."""
    message = f"{what}: {why}"
    raise ValueError(message)


def _described(value: object) -> str:
    if value is None or isinstance(value, Enum):
        return str(value)
    # The address of an object is of no use to the reader.
    return _kind_of(value) if " at 0x" in repr(value) else f"{truncated_repr(value)} is {_kind_of(value)}"


def _kind_of(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__.lstrip("_")
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
