"""Maps HTTP statuses of registries to errors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from ..errors import (
    AccessError,
    NotFoundError,
    RejectedError,
    RemoteError,
    ThrottledError,
    UnavailableError,
    truncated_repr,
)
from ..oci import RegistryHost

UNAUTHENTICATED = frozenset({400, 401, 403})
"""ECR Public returns 400 without a challenge for an unknown token, and 403 for an expired one."""

THROTTLED = 429
SERVER_ERRORS = frozenset({500, *range(502, 600)})
"""Without 501: a method that is not implemented is not implemented the next time either."""

TRANSIENT = frozenset({408, 421, 423, 424, 425, *SERVER_ERRORS})
"""Statuses that another attempt may resolve, such as timeouts and failed dependencies (424)."""

_NOT_FOUND = 404

_SAID_CHARACTERS = 400

_SECRET_CHARACTERS = 16
"""A message may be cut within a token, so its beginning is enough."""


def failure(
    operation: str, registry: RegistryHost, status: int, *, hint: str | None = None, said: str = "", by: str = ""
) -> RemoteError:
    """
    Return the error for the status of a failed request.

    Args:
        operation: The request, e.g. ``GET manifest``.
        hint: What to do if access is denied or the rate is limited.
        said: The message of the registry.
        by: The host that responded, if the registry has redirected to another one.
    """
    denied = status in UNAUTHENTICATED
    kind: type[RemoteError] = RejectedError
    if status == _NOT_FOUND:
        kind = NotFoundError
    elif denied:
        kind = AccessError
    elif status == THROTTLED:
        kind = ThrottledError
    elif status in TRANSIENT:
        kind = UnavailableError
    who = f"{by}, to which registry {registry} redirects," if by else f"registry {registry}"
    message = f"{operation} failed: {who} returned {status}{said and f': {said}'}"
    return kind(message, operation=operation, hint=hint if denied or status == THROTTLED else None)


def message_in(body: bytes, secrets: Iterable[str] = ()) -> str:
    """
    Return at most 400 characters of the message in a response; empty if it has none.

    Args:
        secrets: What was sent. A message that repeats the beginning of one is left out.

    References:
        OCI distribution-spec v1.1, "Error Codes"; RFC 6749, 5.2. Docker Hub's token endpoint sends ``details``.
    """
    with suppress(ValueError, LookupError, TypeError, RecursionError, AttributeError):
        data = json.loads(body)
        error = data["errors"][0] if data.get("errors") else data
        keys = ("message", "error_description", "details", "detail", "error", "code")
        text = next((error[key] for key in keys if error.get(key) and isinstance(error[key], str)), "")
        if any(secret and secret[:_SECRET_CHARACTERS] in text for secret in secrets):
            return ""
        return text[:_SAID_CHARACTERS] if text.isprintable() else truncated_repr(text)
    return ""
