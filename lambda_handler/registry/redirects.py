"""
Where redirects lead, and what may go along.

Registries redirect layers to storage, mostly with a signed address, and some
redirect manifests to another registry. Credentials stay behind when the host
changes, and do not come back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

from ..errors import AccessError, InvalidReferenceError, UnavailableError
from ..oci import RegistryHost

REDIRECTS = frozenset({301, 302, 303, 307, 308})

REDIRECTS_MAX = 5
"""Registries redirect once or twice; more is a loop."""

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)


@dataclass(slots=True)
class RedirectChain:
    """
    Where a request has been led.

    Attributes:
        url: Where it is now.
        doing: For messages: ``GET blob``.
        on_origin_host: Whether it has never left the host that it began at.
        hops: How often it was led on.
    """

    url: str
    doing: str
    on_origin_host: bool = True
    hops: int = 0

    def follow(self, location: str) -> None:
        """
        Go where a redirect leads.

        Args:
            location: As the response has it.

        Raises:
            AccessError: Away from TLS, or to this machine.
            UnavailableError: Nowhere, or too often.
        """
        if self.hops == REDIRECTS_MAX:
            message = f"{self.doing} failed: more than {REDIRECTS_MAX} redirects"
            raise UnavailableError(message, operation=self.doing)
        url = target(self.url, location, self.doing)
        self.on_origin_host = self.on_origin_host and is_same_host(self.url, url)
        self.url, self.hops = url, self.hops + 1


def target(url: str, location: str, doing: str) -> str:
    """
    Return where a redirect leads, to the byte, if that is a place to go to.

    Raises:
        AccessError: It leads away from TLS, or to this machine.
        UnavailableError: It leads nowhere.
    """
    try:
        # What is joined is written anew, and a signature is about the bytes.
        led = location.partition("#")[0] if _ABSOLUTE.match(location) else urldefrag(urljoin(url, location))[0]
        parts = urlsplit(led)
        to_loopback = RegistryHost.parse(parts.netloc).is_loopback
    except ValueError:
        # Of urljoin too: a bracket that is not closed, say.
        message = f"{doing} failed: a redirect without a usable address"
        raise UnavailableError(message, operation=doing) from None
    here = urlsplit(url).netloc
    from_loopback = RegistryHost.parse(here).is_loopback
    if parts.scheme != "https" and not (parts.scheme == "http" and to_loopback and from_loopback):
        message = f"{doing} failed: a redirect leads from {here} to plain {parts.scheme or 'nothing'}"
        raise AccessError(message, operation=doing)
    if to_loopback and not from_loopback:
        message = f"{doing} failed: a redirect leads from {here} to this machine"
        raise AccessError(message, operation=doing)
    return led


def is_same_host(one: str, other: str) -> bool:
    """Whether two addresses are on the same host, by whatever of its names, at the same port and as safe."""
    try:
        first, second = urlsplit(one), urlsplit(other)
        hosts = [RegistryHost.parse(parts.netloc).canonical for parts in (first, second)]
    except (ValueError, InvalidReferenceError):
        return False
    return first.scheme == second.scheme and hosts[0] == hosts[1]
