"""Send the response to CloudFormation: one PUT to a presigned URL."""

from __future__ import annotations

from urllib.parse import urlsplit

import urllib3

from ..errors import DeadlineError, DeliveryError, UnavailableError
from ..oci import RegistryHost
from ..retry import Retry

_OPERATION = "PUT response"
_SECONDS = 10.0
_ERROR_MAX_BYTES = 4096


def deliver(url: str, body: bytes, pool: urllib3.PoolManager, retry: Retry) -> None:
    """
    Send *body*. A failure is raised, so that Lambda invokes the function again.

    Args:
        url: The ResponseURL. It is presigned. urllib3 sends it unchanged, since its
            escapes are in upper case and it has no dot segments.
        body: At most 4096 bytes.

    Raises:
        DeliveryError: CloudFormation did not accept the response. The message
            has no part of the URL.
    """
    _check(url)
    try:
        # One attempt is always made, however little time is left.
        _put(url, body, pool)
    except UnavailableError:
        try:
            retry.call("responding to CloudFormation", lambda: _put(url, body, pool))
        except (UnavailableError, DeadlineError) as error:
            raise DeliveryError(error.message) from error


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and RegistryHost.parse(parts.netloc).is_loopback)
    except ValueError:
        # urlsplit raises it too, for example for an unclosed bracket.
        is_safe = False
    if not is_safe:
        message = "the ResponseURL is not an https URL; no response was sent"
        raise DeliveryError(message)


def _put(url: str, body: bytes, pool: urllib3.PoolManager) -> None:
    try:
        response = pool.request(
            "PUT",
            url,
            body=body,
            # S3 refuses any other content type, because the URL is signed for an empty one.
            headers={"Content-Type": ""},
            timeout=urllib3.Timeout(total=_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        response.read(_ERROR_MAX_BYTES)
        response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        message = f"the ResponseURL cannot be reached ({type(error).__name__})"
        # The message of the cause contains the URL, whose signature is a secret.
        raise UnavailableError(message, operation=_OPERATION) from None
    if response.status >= 500:  # noqa: PLR2004 - server errors are transient
        message = f"the ResponseURL returned status {response.status}"
        raise UnavailableError(message, operation=_OPERATION)
    if response.status >= 300:  # noqa: PLR2004 - anything but success
        message = f"the ResponseURL refused the response with status {response.status}"
        raise DeliveryError(message)
