"""Recognize lists of referrers and their next pages."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from ..errors import InvalidManifestError, shown_url
from .header_fields import parse_links
from .redirects import is_same_host, with_tls
from .transport import HttpResponse

NO_SUCH_LIST = frozenset({204, 400, 404, 405, 406, 410, 501})
"""Statuses of registries without the referrers API, which is optional."""

_JSON = "application/json"

GENERIC_TYPES = frozenset({"", _JSON, "application/octet-stream", "binary/octet-stream", "text/plain", "text/json"})
"""Types that do not identify the content, so the content itself is checked."""


_MANIFEST_TYPES = (
    "application/vnd.oci.image.",
    "application/vnd.oci.artifact.",
    "application/vnd.docker.distribution.manifest.",
)
"""The beginnings of the media types of manifests, including those that ECR Public does not store."""


def manifest_type(response: HttpResponse) -> str:
    """Return the Content-Type of a manifest; empty if it is not that of any manifest, so that it says nothing."""
    kind = media_type(response)
    return kind if kind.startswith(_MANIFEST_TYPES) else ""


def media_type(response: HttpResponse) -> str:
    """Return the Content-Type of a response in lower case, without parameters."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def is_list(response: HttpResponse) -> bool:
    """
    Whether a response should be a list of referrers.

    Any JSON object should be one, and is refused later if it is not. A web page is
    not a list, whatever its status.
    """
    kind = media_type(response)
    if kind == _JSON or kind.endswith("+json"):
        return True
    if kind not in GENERIC_TYPES:
        return False
    # The reader limits the size of the parsed list; 4 MiB of JSON can take 200 MiB.
    return response.body.lstrip()[:1] == b"{"


def next_page(response: HttpResponse, url: str) -> str:
    """
    Return the URL of the next page; empty for the last page.

    Raises:
        InvalidManifestError: The URL is invalid, so the list would be incomplete;
            or it is on another host, which must not receive credentials.
    """
    text = response.headers.get("Link", "")
    links = parse_links(text)
    if links is None:
        message = f"a list of {urlsplit(url).netloc} has an invalid Link header: {shown_url(text)}"
        raise InvalidManifestError(message)
    link = next((link for link in links if "next" in link.relations), None)
    if link is None:
        return ""
    with suppress(ValueError):  # for example an unclosed bracket
        target = with_tls(urljoin(url, link.target), url)
        if is_same_host(target, url):
            return target
    message = f"a list of {urlsplit(url).netloc} continues on another host: {shown_url(link.target)}"
    raise InvalidManifestError(message)
