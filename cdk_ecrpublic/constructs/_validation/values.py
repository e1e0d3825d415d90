"""
Single values, checked at synthesis: their kinds, and texts by the handler's own grammar.

Tokens, whose values nobody knows yet, pass; the handler checks them. Whoever
gives a value of the wrong kind reads where it stands, what it is and what is
expected, instead of what the CDK's Node process makes of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import NoReturn

from aws_cdk import Token

from ..._assets.lambda_handler.errors import ImageError, truncated_repr

_MARK = "Token["
"""In every text that stands for one: ``${Token[TOKEN.7]}``."""

_DUMMIES = ("dummy-value-for-", "DUMMY_ARN")
"""
In each text that a lookup (``StringParameter.value_from_lookup``, ``Repository.from_lookup``) gives on the first pass.

The CDK learns from that pass what to look up, and synthesizes again.
"""

_SHOWN_MEMBERS = 6


def is_known(value: object) -> bool:
    """Whether a value is known now, and not only at deployment, or once the CDK has looked it up."""
    # Asking the CDK costs a question to Node, some twenty for each image: what has no mark of a token, is none.
    if isinstance(value, str | list | tuple):
        texts = [value] if isinstance(value, str) else value
        if any(isinstance(text, str) and dummy in text for text in texts for dummy in _DUMMIES):
            return False
        if not any(isinstance(text, str) and _MARK in text for text in texts):
            return True
    elif not isinstance(value, float) and not (hasattr(value, "resolve") and hasattr(value, "to_string")):
        # Neither a number nor an IResolvable, so none; and not all that Python has can be shown to Node.
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
        refuse_kind(what, text, "a text")
    if not is_known(text):
        return
    try:
        parser(text)
    except ImageError as error:
        message = f"{what}: {error.message}"
        raise ValueError(message) from error


def check_text(what: str, value: object, expected: str = "a text") -> None:
    """
    Refuse what is neither a text nor a token.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, str) and is_known(value):
        refuse_kind(what, value, expected)


def check_length(what: str, text: str | None, limit: int) -> None:
    """
    Refuse what is no text, and one of more than *limit* characters.

    Raises:
        ValueError: It is.
    """
    if text is None:
        return
    check_text(what, text)
    if is_known(text) and len(text) > limit:
        refuse(what, f"has {len(text)} characters; at most {limit} are allowed")


def check_flag(what: str, value: object) -> None:
    """
    Refuse what is neither True nor False; ``"false"`` would count as true, and so would a token.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, bool):
        refuse_kind(what, value, "True or False")


def check_number(what: str, value: object, allowed: range, unit: str = "") -> None:
    """
    Refuse a number out of range, and what is no whole number.

    Args:
        unit: Of the number, for the message: ``" MiB"``.

    Raises:
        ValueError: It is neither in range nor a token.
    """
    bounds = f"{allowed.start} to {allowed.stop - 1}"
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and is_known(value):
        refuse_kind(what, value, f"a whole number from {bounds}")
    if is_number and value not in allowed:
        refuse(what, f"{value}{unit}; allowed are {bounds}")


def check_member(what: str, value: object, members: Collection[Enum]) -> None:
    """
    Refuse what is not among the members of an enumeration; their names as texts are tried most often.

    Raises:
        ValueError: Names those that are allowed.
    """
    if value not in members:
        some = [str(member) for member in members]
        one_of = f"{', '.join(some[:-1])} or {some[-1]}"
        a_few = f"a {some[0].partition('.')[0]}, e.g. {some[0]}"
        refuse_kind(what, value, one_of if len(some) <= _SHOWN_MEMBERS else a_few)


def check_list(what: str, values: object, of: str) -> None:
    """
    Refuse what is no list; a single text is tried most often, which is a list of its characters to Python.

    A list that only the deployment knows is a list to Python too.

    Args:
        of: What it is a list of, with an example: ``"tags, e.g. ['1.4.2']"``.

    Raises:
        ValueError: It is something else, e.g. a set, which has no order.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        refuse_kind(what, values, f"a list of {of}")


def check_texts(what: str, values: Sequence[str], of: str, parser: Callable[[str], object]) -> None:
    """
    Hold each text of a list against the handler's grammar.

    Raises:
        ValueError: It is no list, or says which text is refused.
    """
    check_list(what, values, of)
    for number, text in enumerate(values if is_known(values) else ()):
        check(f"{what}[{number}]", text, parser)


def check_choices(what: str, values: Collection[str], allowed: Collection[str]) -> None:
    """
    Refuse what is no list, and texts that are not among *allowed*.

    Raises:
        ValueError: Names the first such text.
    """
    choices = ", ".join(map(repr, allowed))
    check_list(what, values, f"any of {choices}")
    for value in values if is_known(values) else ():
        if is_known(value) and value not in allowed:
            refuse(what, f"{truncated_repr(value)} is unknown; allowed: {choices}")


def check_mapping(what: str, value: object, expected: str) -> None:
    """
    Refuse what is no mapping with texts as its keys.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, Mapping):
        refuse_kind(what, value, expected)
    for key in value:
        if not isinstance(key, str):
            refuse_kind(what, key, expected)


def check_path(what: str, value: object) -> None:
    """
    Refuse what is no path of a file on this machine.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, str | os.PathLike):
        refuse_kind(what, value, "the path of a file")


def check_instance(what: str, value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """
    Refuse what is no instance of a class.

    Args:
        expected: What it should be, and how to get one.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, kind):
        refuse_kind(what, value, expected)


def check_kind(what: str, value: object, attribute: str, expected: str) -> None:
    """
    Refuse a value of another kind: a text, mostly, or the private counterpart of something public.

    For kinds that are interfaces of the CDK, which have no class in Python.

    Args:
        attribute: What only the right kind has.
        expected: What it should be, and how to get one.

    Raises:
        ValueError: It has no such attribute.
    """
    # The class first: to read an attribute of a construct is a question to Node.
    if not hasattr(type(value), attribute) and not hasattr(value, attribute):
        refuse_kind(what, value, expected)


def check_repository(what: str, value: object) -> None:
    """
    Refuse what is no repository of ECR Public; a name as a text is tried most often.

    Raises:
        ValueError: Says how to make one.
    """
    expected = "a repository of ECR Public: PublicRepository.from_repository_name(self, 'Repository', 'acme/agent')"
    if hasattr(value, "repository_uri_for_digest"):
        expected += "; a private one may be the source: ImageSource.ecr"
    if hasattr(type(value), "repository_catalog_data"):
        expected = "a repository: PublicRepository.from_cfn_public_repository(…) makes one of it"
    check_kind(what, value, "identity", expected)


def check_source(what: str, source: object) -> None:
    """
    Refuse what is no source; a digest as a text is tried most often.

    Raises:
        ValueError: Says how to make one.
    """
    check_kind(what, source, "bind", "a source: ImageSource.digest('sha256:…'), say")


def check_secret(what: str, value: object) -> None:
    """
    Refuse what is no secret; its value is not shown, since it may be the password.

    Raises:
        ValueError: Says how to get one.
    """
    if not hasattr(type(value), "secret_arn") and not hasattr(value, "secret_arn"):
        expected = "secretsmanager.Secret.from_secret_name_v2(self, 'Token', 'ghcr-token')"
        refuse(what, f"{_kind_of(value)}; expected a secret: {expected}")


def check_secrets(what: str, value: object, parser: Callable[[str], object]) -> None:
    """
    Refuse what is no mapping of hosts to secrets; no value is shown, as with one secret.

    Args:
        parser: Of hosts; refuses by an ImageError.

    Raises:
        ValueError: It is something else, or something else is in it.
    """
    if not isinstance(value, Mapping):
        refuse(what, f'{_kind_of(value)}; expected secrets by host: {{"ghcr.io": secret}}')
    for host, secret in value.items():
        if not isinstance(host, str):
            refuse(what, f'{_kind_of(host)} as a key; expected secrets by host: {{"ghcr.io": secret}}')
        check(what, host, parser)
        check_secret(f"{what}[{host!r}]", secret)


def refuse_kind(what: str, value: object, expected: str) -> NoReturn:
    """Refuse a value of another kind; says what it is, and what is expected."""
    refuse(what, f"{_described(value)}; expected {expected}")


def refuse(what: str, why: str) -> NoReturn:
    """Refuse with a message that names the place first."""
    message = f"{what}: {why}"
    raise ValueError(message)


def _described(value: object) -> str:
    if value is None or isinstance(value, Enum):
        return str(value)
    # The address of an object tells nobody anything.
    return _kind_of(value) if " at 0x" in repr(value) else f"{truncated_repr(value)} is {_kind_of(value)}"


def _kind_of(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__.lstrip("_")
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
