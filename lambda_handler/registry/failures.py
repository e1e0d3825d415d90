"""Maps HTTP statuses of registries to errors."""

from __future__ import annotations

from ..errors import (
    AccessError,
    NotFoundError,
    RejectedError,
    RemoteError,
    ThrottledError,
    UnavailableError,
)
from ..oci import RegistryHost

UNAUTHENTICATED = frozenset({400, 401, 403})
"""ECR Public returns 400 without a challenge for an unknown token, and 403 for an expired one."""

THROTTLED = 429
SERVER_ERRORS = range(500, 600)

TRANSIENT = frozenset({408, 421, 423, 424, 425, *SERVER_ERRORS})
"""Statuses that another attempt may resolve, such as timeouts and failed dependencies (424)."""

_NOT_FOUND = 404


def failure(
    operation: str, registry: RegistryHost, status: int, *, hint: str | None = None, said: str = ""
) -> RemoteError:
    """
    Return the error for the status of a failed request.

    Args:
        operation: The request, e.g. ``GET manifest``.
        hint: What to do if access is denied.
        said: The message of the registry.
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
    message = f"{operation} failed: registry {registry} returned {status}{said and f': {said}'}"
    return kind(message, operation=operation, hint=hint if denied else None)
