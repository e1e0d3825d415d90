"""Hand the answer to CloudFormation: one PUT to a pre-signed address."""

from __future__ import annotations

from urllib.parse import urlsplit

import urllib3

from ..errors import DeadlineError, DeliveryError, UnavailableError
from ..oci import RegistryHost
from ..retry import Retry

_OPERATION = "PUT answer"
_SECONDS = 10.0
_ERROR_MAX_BYTES = 4096


def deliver(url: str, body: bytes, pool: urllib3.PoolManager, retry: Retry) -> None:
    """
    Send *body*; a refusal is an error, so that Lambda delivers the event again.

    Args:
        url: CloudFormation's, used untouched: it is signed.
        body: At most 4096 bytes.

    Raises:
        DeliveryError: CloudFormation did not take it. The text holds nothing
            of the address.
    """
    _check(url)
    try:
        # However little time is left, one attempt is made.
        _put(url, body, pool)
    except UnavailableError:
        try:
            retry.call("answering CloudFormation", lambda: _put(url, body, pool))
        except (UnavailableError, DeadlineError) as error:
            raise DeliveryError(error.message) from error


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and RegistryHost.parse(parts.netloc).is_loopback)
    except ValueError:
        # Of urlsplit too: a bracket that is not closed, say.
        is_safe = False
    if not is_safe:
        message = "the ResponseURL is not an https address; nothing was sent"
        raise DeliveryError(message)


def _put(url: str, body: bytes, pool: urllib3.PoolManager) -> None:
    try:
        response = pool.request(
            "PUT",
            url,
            body=body,
            # The address is signed for an empty content type: S3 refuses any other.
            headers={"Content-Type": ""},
            timeout=urllib3.Timeout(total=_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        response.read(_ERROR_MAX_BYTES)
        response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        message = f"CloudFormation's answer address is out of reach ({type(error).__name__})"
        # The cause's text holds the address, whose signature is a secret.
        raise UnavailableError(message, operation=_OPERATION) from None
    if response.status >= 500:  # noqa: PLR2004 - server errors pass
        message = f"CloudFormation's answer address answered {response.status}"
        raise UnavailableError(message, operation=_OPERATION)
    if response.status >= 300:  # noqa: PLR2004 - anything but success
        message = f"CloudFormation's answer address refused the answer with status {response.status}"
        raise DeliveryError(message)
