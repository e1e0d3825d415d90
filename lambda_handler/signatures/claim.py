"""A signature that was found, before anything about it is known to be true."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..oci.bounded_json import parse_json

SIGNATURE_MAX_BYTES = 6144
"""The longest signature that kms:Verify accepts."""

KEY = "vnd.cdk-ecrpublic.key"
"""
The annotation of a signature of ours with its ``key_hint``, by which it is found in a long list.

Nobody believes it: KMS verifies the signature.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    What a signature says, without any proof.

    Attributes:
        place: Where it was found, for messages: ``the tag sha256-….sig``.
        message: The bytes that were signed.
        signature: The signature of *message*.
        digest: The image that *message* names; empty if it names none.
        repository: The repository that *message* names; empty if it names none.
        key_hint: Base64 of the SHA-256 digest of the public key in DER, if the signature says which key made it.
        problem: Why this is not a signature in a known format; empty if it is.
    """

    place: str
    message: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)
    digest: str = ""
    repository: str = ""
    key_hint: str = ""
    problem: str = ""


def parse_object(content: bytes) -> Mapping[str, Any]:
    """
    Parse a JSON object.

    Raises:
        ValueError: *content* is something else.
    """
    try:
        data = parse_json(content)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error
    return expect_object(data)


def expect_object(value: object) -> Mapping[str, Any]:
    """
    Return *value* if it is an object.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, dict):
        message = f"it has a {type(value).__name__} where an object is expected"
        raise ValueError(message)  # noqa: TRY004 - callers handle malformed content in one way
    return value


def expect_text(data: Mapping[str, Any], key: str) -> str:
    """
    Return the string *key*; an empty one if it is missing.

    Raises:
        ValueError: It is not a string.
    """
    value = data.get(key, "")
    if not isinstance(value, str):
        message = f"its {key} is a {type(value).__name__}, not a string"
        raise ValueError(message)  # noqa: TRY004 - callers handle malformed content in one way
    return value


def from_base64(text: str) -> bytes:
    """
    Decode standard base64 with padding, as Go's ``StdEncoding`` does.

    Raises:
        ValueError: *text* is something else.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        message = "it is not base64"
        raise ValueError(message) from error


def to_base64(content: bytes) -> str:
    """Encode standard base64."""
    return base64.b64encode(content).decode()
