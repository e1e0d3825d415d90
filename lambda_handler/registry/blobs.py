"""
Stream blobs of a registry, wherever it sends us for them.

Registries answer a blob's address with a redirect to storage, mostly signed.
Credentials go to the registry only, never along: storage refuses them, and it
is another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from ..errors import AccessError, UnavailableError
from ..oci import RegistryHost
from .transport import Stream, Transport

REDIRECTS_MAX = 5
"""Registries redirect once or twice; more is a loop."""

PIECE_BYTES = 1024 * 1024

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OPERATION = "GET blob"


def follow(transport: Transport, stream: Stream, url: str, headers: Mapping[str, str]) -> Stream:
    """
    Follow redirects, without any credentials.

    Args:
        stream: The answer to a request for *url*.
        headers: What to send on; never an ``Authorization``.

    Raises:
        AccessError: A redirect that leads away from TLS, or to this machine.
        UnavailableError: A redirect that leads nowhere, or too many.
    """
    for _ in range(REDIRECTS_MAX):
        if stream.status not in _REDIRECTS:
            return stream
        stream.close()
        url = _target(url, stream.headers.get("Location", ""))
        stream = transport.open("GET", url, headers, doing=_OPERATION)
    if stream.status in _REDIRECTS:
        stream.close()
        message = f"{_OPERATION} failed: more than {REDIRECTS_MAX} redirects"
        raise UnavailableError(message, operation=_OPERATION)
    return stream


def _target(url: str, location: str) -> str:
    """Return where a redirect leads, if that is a place to go to."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        to_loopback = RegistryHost.parse(parts.netloc).is_loopback
    except ValueError:
        # Of urljoin too: a bracket that is not closed, say.
        message = f"{_OPERATION} failed: a redirect without a usable address"
        raise UnavailableError(message, operation=_OPERATION) from None
    from_loopback = RegistryHost.parse(urlsplit(url).netloc).is_loopback
    if parts.scheme != "https" and not (parts.scheme == "http" and to_loopback and from_loopback):
        message = (
            f"{_OPERATION} failed: a redirect leads from {urlsplit(url).netloc} to plain {parts.scheme or 'nothing'}"
        )
        raise AccessError(message, operation=_OPERATION)
    if to_loopback and not from_loopback:
        message = f"{_OPERATION} failed: a redirect leads from {urlsplit(url).netloc} to this machine"
        raise AccessError(message, operation=_OPERATION)
    return target
