"""Signing profiles of AWS Signer."""

from __future__ import annotations

import re

from ..errors import InvalidReferenceError, truncated_repr

_PROFILE_ARN = re.compile(r"arn:[a-z-]+:signer:[a-z0-9-]+:[0-9]{12}:/signing-profiles/[a-zA-Z0-9_]{2,64}")


def parse_profile_arn(text: str) -> str:
    """
    Parse the ARN of a signing profile, without a version.

    Raises:
        InvalidReferenceError: *text* has another form.
    """
    if not _PROFILE_ARN.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not the ARN of a signing profile; "
            "expected e.g. 'arn:aws:signer:us-east-1:123456789012:/signing-profiles/release'"
        )
        raise InvalidReferenceError(message)
    return text
