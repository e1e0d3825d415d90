"""Lists of a registry: whether it is one that came, and where it goes on."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urljoin, urlsplit, urlunsplit

from ..errors import UnavailableError, shown
from .header_fields import read_links
from .redirects import is_same_host
from .transport import Reply

NO_SUCH_LIST = frozenset({204, 400, 404, 405, 406, 410, 501})
"""How a registry says that it has no list of referrers, as it need not have one."""

_LIST = "GET referrers"

_JSON = "application/json"

GENERIC_TYPES = frozenset({"", _JSON, "application/octet-stream", "binary/octet-stream", "text/plain", "text/json"})
"""Types that say nothing; the content has to tell."""


def media_type(reply: Reply) -> str:
    """Return the type that a response says its content has: in lower case, without parameters."""
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def is_list(reply: Reply) -> bool:
    """
    Whether a response is a list of referrers, or should be one.

    Any JSON object should be: then it is read, and refused if it is another.
    A page for people is none, whatever the status.
    """
    kind = media_type(reply)
    if kind == _JSON or kind.endswith("+json"):
        return True
    if kind not in GENERIC_TYPES:
        return False
    # Whoever reads it bounds what it becomes, and 4 MiB can become 200.
    return reply.body.lstrip()[:1] == b"{"


def next_page(reply: Reply, url: str) -> str:
    """
    Return where a list goes on; empty: it ends here.

    Raises:
        UnavailableError: On another registry, to which our credentials must
            not go; or nobody can tell where, so that the list would be cut off.
    """
    text = reply.headers.get("Link", "")
    links = read_links(text)
    if links is None:
        message = f"a list of {urlsplit(url).netloc} goes on at {shown(text)}, which is no link"
        raise UnavailableError(message, operation=_LIST)
    link = next((link for link in links if "next" in link.relations), None)
    if link is None:
        return ""
    with suppress(ValueError):  # a bracket that is not closed, say
        target = _at_home(urljoin(url, link.target), url)
        if is_same_host(target, url):
            return target
    message = f"a list leads from {urlsplit(url).netloc} to {shown(link.target)}"
    raise UnavailableError(message, operation=_LIST)


def _at_home(target: str, url: str) -> str:
    """Return an address as the registry is known by here: behind a proxy, it does not know that it has TLS."""
    here, there = urlsplit(url), urlsplit(target)
    if (there.scheme, here.scheme) == ("http", "https") and there.netloc == here.netloc:
        return urlunsplit(there._replace(scheme="https"))
    return target
