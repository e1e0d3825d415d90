"""
Follow redirects safely.

Registries redirect layers to storage, usually with presigned URLs, and some
redirect manifests to another registry. Once a redirect has left the host, no
request of the chain has credentials any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

from ..errors import AccessError, InvalidReferenceError, UnavailableError
from ..oci import RegistryHost

REDIRECTS = frozenset({301, 302, 303, 307, 308})

REDIRECTS_MAX = 5
"""Registries redirect once or twice; more redirects are a loop."""

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_LAST_DOT = re.compile(r"\.(?=(:[0-9]*)?$)")
_NOT_ASCII = re.compile(r"[\x80-\xff]")


@dataclass(slots=True, eq=False, repr=False)
class RedirectChain:
    """
    The redirects of one request.

    Attributes:
        url: The current URL.
        doing: The request, for messages: ``GET blob``.
        on_origin_host: Whether all redirects stayed on the host of the first URL.
        hops: The number of redirects.
    """

    url: str
    doing: str
    on_origin_host: bool = True
    hops: int = 0

    @property
    def host(self) -> str:
        """The host of the current URL, for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def follow(self, location: str) -> None:
        """
        Follow a redirect.

        Args:
            location: The Location header.

        Raises:
            AccessError: The redirect leads to plain HTTP or to this machine.
            UnavailableError: The location is missing or invalid, or there are too many redirects.
        """
        if self.hops == REDIRECTS_MAX:
            message = f"{self.doing} failed: more than {REDIRECTS_MAX} redirects"
            raise UnavailableError(message, operation=self.doing)
        url = target(self.url, location, self.doing)
        self.on_origin_host = self.on_origin_host and is_same_host(self.url, url)
        self.url, self.hops = url, self.hops + 1


def target(url: str, location: str, doing: str) -> str:
    """
    Return the URL of a redirect, byte for byte.

    Raises:
        AccessError: The redirect leads to plain HTTP or to this machine.
        UnavailableError: The location is missing or invalid.
    """
    # http.client decodes headers as Latin-1, but the bytes are usually those of UTF-8.
    location = _NOT_ASCII.sub(lambda found: f"%{ord(found[0]):02X}", location)
    here = urlsplit(url).netloc
    try:
        # urljoin rewrites the URL, which would break a signature.
        led = location.partition("#")[0] if _ABSOLUTE.match(location) else urldefrag(urljoin(url, location))[0]
        led = with_tls(led, url)
        parts = urlsplit(led)
        to_loopback = host_in(led if location else "").is_loopback
    except ValueError:
        # urljoin raises it too, for example for an unclosed bracket.
        message = f"{doing} failed: {here} sent a redirect without a valid location"
        raise UnavailableError(message, operation=doing) from None
    from_loopback = host_in(url).is_loopback
    if parts.scheme != "https" and not (parts.scheme == "http" and to_loopback and from_loopback):
        message = f"{doing} failed: {here} redirects to plain {parts.scheme or 'nothing'}"
        raise AccessError(message, operation=doing)
    if to_loopback and not from_loopback:
        message = f"{doing} failed: {here} redirects to this machine"
        raise AccessError(message, operation=doing)
    return led


def host_in(url: str) -> RegistryHost:
    """
    Return the host of a URL, to compare it with a registry.

    Hosts of storage may have underscores or end with a dot, unlike those of
    registries. The dot is left out.

    Raises:
        ValueError: The URL has no valid host.
    """
    netloc = _LAST_DOT.sub("", urlsplit(url).netloc)
    port = RegistryHost.parse(netloc.replace("_", "-")).port
    return RegistryHost((netloc if port is None else netloc.rpartition(":")[0]).lower(), port)


def with_tls(target: str, url: str) -> str:
    """
    Return *target* with https if only its scheme differs from that of *url*.

    A registry behind a proxy may not know that the proxy adds TLS.

    Raises:
        ValueError: *target* is not a URL.
    """
    here, there = urlsplit(url), urlsplit(target)
    is_same = (there.scheme, there.netloc.lower()) == ("http", here.netloc.lower())
    return f"https{target[len('http') :]}" if is_same and here.scheme == "https" else target


def is_same_host(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host (by any of its names) and port."""
    try:
        first, second = urlsplit(one), urlsplit(other)
        hosts = [RegistryHost.parse(parts.netloc).canonical for parts in (first, second)]
    except (ValueError, InvalidReferenceError):
        return False
    return first.scheme == second.scheme and hosts[0] == hosts[1]
