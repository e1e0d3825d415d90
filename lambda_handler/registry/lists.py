"""Lists of a registry: whether it is one that came, and where it goes on."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import urljoin, urlsplit, urlunsplit

from ..errors import UnavailableError, truncated_repr
from .header_fields import parse_links
from .redirects import is_same_host
from .transport import HttpResponse

NO_SUCH_LIST = frozenset({204, 400, 404, 405, 406, 410, 501})
"""How a registry says that it has no list of referrers, as it need not have one."""

_LIST = "GET referrers"

_JSON = "application/json"

GENERIC_TYPES = frozenset({"", _JSON, "application/octet-stream", "binary/octet-stream", "text/plain", "text/json"})
"""Types that say nothing; the content has to tell."""


def media_type(response: HttpResponse) -> str:
    """Return the type that a response says its content has: in lower case, without parameters."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def is_list(response: HttpResponse) -> bool:
    """
    Whether a response is a list of referrers, or should be one.

    Any JSON should be: then it is read, and refused if it is another. A page
    for people is none, whatever the status.
    """
    kind = media_type(response)
    if kind == _JSON or kind.endswith("+json"):
        return True
    if kind not in GENERIC_TYPES:
        return False
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(response.body), dict)
    return False


def next_page(response: HttpResponse, url: str) -> str:
    """
    Return where a list goes on; empty: it ends here.

    Raises:
        UnavailableError: On another registry, to which our credentials must
            not go; or nobody can tell where, so that the list would be cut off.
    """
    text = response.headers.get("Link", "")
    links = parse_links(text)
    if links is None:
        message = f"a list of {urlsplit(url).netloc} goes on at {truncated_repr(text)}, which is no link"
        raise UnavailableError(message, operation=_LIST)
    link = next((link for link in links if "next" in link.relations), None)
    if link is None:
        return ""
    with suppress(ValueError):  # a bracket that is not closed, say
        target = _at_home(urljoin(url, link.target), url)
        if is_same_host(target, url):
            return target
    message = f"a list leads from {urlsplit(url).netloc} to {truncated_repr(link.target)}"
    raise UnavailableError(message, operation=_LIST)


def _at_home(target: str, url: str) -> str:
    """Return an address as the registry is known by here: behind a proxy, it does not know that it has TLS."""
    here, there = urlsplit(url), urlsplit(target)
    if (there.scheme, here.scheme) == ("http", "https") and there.netloc == here.netloc:
        return urlunsplit(there._replace(scheme="https"))
    return target
