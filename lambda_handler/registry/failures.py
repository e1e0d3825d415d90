"""What a registry's refusal means."""

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
"""ECR Public answers 400 to a token that it does not know (with no challenge), and 403 to one that has expired."""

THROTTLED = 429
SERVER_ERRORS = range(500, 600)

PASSING = frozenset({408, 421, 423, 424, 425, *SERVER_ERRORS})
"""What another attempt may cure: time-outs, and dependencies (424) that failed."""

_NOT_FOUND = 404


def failure(
    operation: str, registry: RegistryHost, status: int, *, hint: str | None = None, said: str = ""
) -> RemoteError:
    """
    Return the error for an answer that is none of those wanted.

    Args:
        operation: ``GET manifest``.
        hint: What to do where access is denied.
        said: The registry's own words.
    """
    denied = status in UNAUTHENTICATED
    kind: type[RemoteError] = RejectedError
    if status == _NOT_FOUND:
        kind = NotFoundError
    elif denied:
        kind = AccessError
    elif status == THROTTLED:
        kind = ThrottledError
    elif status in PASSING:
        kind = UnavailableError
    message = f"{operation} failed: registry {registry} answered {status}{said and f': {said}'}"
    return kind(message, operation=operation, hint=hint if denied else None)
