"""
Recognizes requests of web pages, which must not use the sandbox.

A browser sends some requests for any page without asking the server first: forms,
``text/plain``, images, links. Two of them can create a Lambda function and invoke
it, so a page that the user opens could run code on this machine. A page cannot
change these parts of a request, which the browser sets:

===================  ===========================================================
``Host``             the host name in the URL. A page can resolve its own name to
                     this machine (DNS rebinding), but it cannot make the browser
                     send another name
``Origin``           the site of the script or form
``Sec-Fetch-Site``   whether the request comes from the same origin, from another
                     site, or from the user; Chrome sends it since 2019, Firefox since
                     2021, Safari since 2023
``User-Agent``       ``Mozilla/…``; in older browsers, nothing else distinguishes
                     the request for an image
===================  ===========================================================

boto3, the cdk command line, container tools and curl send only ``Host``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import parse_qs

HTTP_PORT = 80
"""The port of a URL without a port."""

SITES = ("same-origin", "none")
"""Allowed values of ``Sec-Fetch-Site``: a page of the sandbox, or the user, who typed the URL or opened a link."""

SHOWN_CHARACTERS = 100
"""The number of characters of a header that a refusal shows."""

_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE | re.ASCII)

_SINGLE = ("host", "origin", "sec-fetch-site")

_DANGER = "A page could run code on this machine"

_OTHER_CLIENT = "Use a client that is not a browser, such as the AWS CLI, an SDK or curl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """
    The head of a request.

    Attributes:
        target: The path and the query, as they were sent.
        fields: The names and values of the headers, in order.
        port: The port of the sandbox.
    """

    target: str
    fields: Sequence[tuple[str, str]]
    port: int

    def values(self, name: str) -> list[str]:
        """Return the values of a header; *name* is in lower case."""
        return [value.strip(" \t") for field, value in self.fields if field.lower() == name]

    def value(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next(iter(self.values(name)), None)


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and a port. The host is in lower case without a final dot."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Authority | None:
        """Parse ``localhost:4566``; return None if it is malformed."""
        match = _AUTHORITY.fullmatch(text)
        if match is None:
            return None
        return cls(match["name"].lower().removesuffix("."), int(match["port"] or HTTP_PORT))

    @property
    def is_loopback(self) -> bool:
        """Whether the host always means the loopback interface."""
        if self.host.startswith("["):
            return _is_address(IPv6Address, self.host[1:-1])
        # RFC 6761: names below `localhost` are always local, so no page can have one.
        return self.host == "localhost" or self.host.endswith(".localhost") or _is_address(IPv4Address, self.host)


def refusal(head: Head) -> str | None:
    """
    Return why a request is refused.

    Returns:
        What is wrong, why it is refused, and what to do; None if no web page sent
        the request.
    """
    found = next(filter(None, (check(head) for check in _CHECKS)), None)
    return f"The sandbox refuses this request: {found}.\n" if found else None


def _repeated(head: Head) -> str | None:
    name = next((name for name in _SINGLE if len(head.values(name)) > 1), None)
    if name is None:
        return None
    count = len(head.values(name))
    return f"it has {count} {name.title()} headers, which is ambiguous. Send one"


def _foreign_host(head: Head) -> str | None:
    given = head.value("host")
    host = Authority.of(given or "")
    if host is not None and host.is_loopback and host.port == head.port:
        return None
    said = f"its Host is {_shown(given)}" if given else "it has no Host"
    return (
        f"{said}; allowed: 127.0.0.1:{head.port}, [::1]:{head.port}, localhost:{head.port} and names that end with "
        f".localhost:{head.port}. A web page can make its own name resolve to this machine (DNS rebinding), and the "
        f"browser would then treat it as a page of the sandbox. Use http://127.0.0.1:{head.port}"
    )


def _foreign_origin(head: Head) -> str | None:
    given, host = head.value("origin"), head.value("host") or ""
    if given is None:
        return None
    scheme, _, rest = given.partition("://")
    if scheme.lower() == "http" and Authority.of(rest) == Authority.of(host):
        return None
    return (
        f"a web page sent it, because its Origin is {_shown(given)}; allowed: the sandbox's own, 'http://{host}'. "
        f"{_DANGER}. {_OTHER_CLIENT}: they send no Origin"
    )


def _foreign_site(head: Head) -> str | None:
    given = head.value("sec-fetch-site")
    if given is None or given in SITES:
        return None
    return (
        f"a web page of another site sent it, because its Sec-Fetch-Site is {_shown(given)}; "
        f"allowed: {' and '.join(SITES)}. {_DANGER}. {_OTHER_CLIENT}, or type the URL into the browser"
    )


def _old_browser(head: Head) -> str | None:
    given = head.value("user-agent") or ""
    if not given.startswith("Mozilla/") or head.value("sec-fetch-site"):
        return None
    return (
        f"a browser sent it, because its User-Agent is {_shown(given)}, and it is not known for which site: "
        f"it has no Sec-Fetch-Site. {_DANGER}. Use a newer browser, or a client with another User-Agent"
    )


def _link(head: Head) -> str | None:
    # AWS's query protocol names the operation with this parameter; a URL could create a stack that runs code here.
    query = head.target.partition("?")[2]
    if head.value("sec-fetch-site") != "none" or "action" not in map(
        str.lower, parse_qs(query, keep_blank_values=True)
    ):
        return None
    return (
        "a browser opened it as a link, and its parameter Action calls an API. A link in an email could run code on "
        f"this machine. {_OTHER_CLIENT}"
    )


def _proxied(head: Head) -> str | None:
    if head.target.startswith("/") or head.target == "*":
        return None
    return (
        f"its target is {_shown(head.target)}, which is a request to a proxy, and the sandbox is not a proxy. "
        "Send a path, such as /_sandbox/health"
    )


def _is_address(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        return kind(text).is_loopback
    except ValueError:
        return False


def _shown(value: str | None) -> str:
    text = value or ""
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")


_CHECKS: tuple[Callable[[Head], str | None], ...] = (
    _repeated,
    _proxied,
    _foreign_host,
    _foreign_origin,
    _foreign_site,
    _old_browser,
    _link,
)
