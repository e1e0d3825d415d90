"""Retries of a review: a person waits, and no permission is about to take effect."""

from __future__ import annotations

import os
from dataclasses import replace
from urllib.parse import urlsplit

from ..._assets.lambda_handler.errors import ImageError
from ..._assets.lambda_handler.retry import Attempts, Retry

REFUSED_ATTEMPTS = 2
"""How often something is tried if nothing listens at its address, which waiting seldom cures."""

_ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
"""It, and it with the name of a service behind it, sends the requests for AWS elsewhere."""


class ReviewAttempts(Attempts):
    """The failed attempts at one action of a review."""

    def pause(self, error: ImageError) -> None:
        """
        Wait before the next attempt, or raise *error* again, with a hint if nothing listens at the address.

        Raises:
            ImageError: *error*.
        """
        if _is_refused(error):
            self.most = min(self.most, REFUSED_ATTEMPTS)
            error.hint = _hint(error.message)
        super().pause(error)


class ReviewRetry(Retry):
    """Repeats what may succeed the next time. A denied call is not repeated."""

    def start(self, doing: str, *, retry_access_denied: bool = False) -> Attempts:  # noqa: ARG002
        """Begin to count attempts."""
        return ReviewAttempts(
            doing=doing, deadline=self.deadline, log=self.log, jitter=self.jitter, retry_access_denied=False
        )


class PromptRetry(ReviewRetry):
    """Repeats throttled requests only, for what a review can do without."""

    def start(self, doing: str, *, retry_access_denied: bool = False) -> Attempts:  # noqa: ARG002
        """Begin to count attempts."""
        return replace(super().start(doing), most=1)


def _is_refused(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _hint(message: str) -> str:
    """Name the variable that the address in *message* comes from, if it is one."""
    listens = "nothing listens at this address"
    for name, value in sorted(os.environ.items()):
        if name.startswith(_ENDPOINT_VARIABLE) and (host := urlsplit(value).netloc) and host in message:
            return f"{listens}; start the sandbox there, or correct or unset {name}"
    return listens
