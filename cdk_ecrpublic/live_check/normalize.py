"""Replaces what differs between two runs, and keeps everything else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HEADERS = (
    "accept-ranges",
    "content-range",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "link",
    "location",
    "oci-filters-applied",
    "oci-subject",
    "range",
    "retry-after",
    "www-authenticate",
)
"""The headers that are kept. The length is kept for HEAD only, because errors contain names of different lengths."""

_VARIABLE = {
    "authorizationToken": "<token>",
    "createdAt": "<date>",
    "expiresAt": "<date>",
    "imagePushedAt": "<date>",
    "nextToken": "<page token>",
    "token": "<token>",
}
"""Fields whose value says nothing."""

SANDBOX_DOWNLOADS = "/_blob/"
"""The sandbox has only one socket, so it tells the host of layers apart by this path."""

SECRET = re.compile("token|password|secret|signature|credential", re.IGNORECASE)
"""Names of fields whose value is a secret."""

_COLON = r"(?::|%3A)"
IDENTITY = re.compile(
    rf"arn{_COLON}aws[\w-]*{_COLON}(?:iam|sts|organizations|sso){_COLON}[^\s\"'\\,)}}<>]*"
    r"|assumed-role(?:/|%2F)[^\s\"'\\,)}<>]+",
    re.IGNORECASE,
)
"""A user, role or organization, in messages about missing permissions. It ends where a string of JSON does."""

_SCHEME = re.compile(r"https?://(?=<registry)")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(slots=True)
class Normalizer:
    """
    The placeholders of one case on one endpoint.

    Attributes:
        names: The placeholder of each string that is known: the account, hosts, digests of images.
    """

    names: dict[str, str] = field(default_factory=dict)

    def text(self, value: str) -> str:
        """Replace known strings and UUIDs."""
        for known in sorted(self.names, key=len, reverse=True):
            value = re.sub(rf"(?<![\w-]){re.escape(known)}(?![\w])", self.names[known], value)
        value = _SCHEME.sub("", IDENTITY.sub("<identity>", value))
        return _UUID.sub("<uuid>", value)

    def headers(self, headers: Mapping[str, str], *, is_head: bool = False) -> dict[str, str]:
        """Keep the headers that matter."""
        wanted = (*HEADERS, "content-length") if is_head else HEADERS
        found = {name.lower(): value for name, value in headers.items()}
        return {name: self._header(name, found[name]) for name in wanted if name in found}

    def data(self, value: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
        """Replace values in JSON, and sort lists: in this API, no order is promised."""
        if key in _VARIABLE:
            return _VARIABLE[key]
        if isinstance(value, str) and SECRET.search(key):
            return "<token>"
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.data(item, str(name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return sorted((self.data(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return self.text(value) if isinstance(value, str) else value

    def _header(self, name: str, value: str) -> str:
        if name == "location":
            return self._url(value)
        if name == "link":
            return re.sub(r"<([^>]*)>", lambda match: f"<{self._url(match[1])}>", value)
        return self.text(value)

    def _url(self, url: str) -> str:
        """Keep the path on a known host; of the query only the names."""
        parts = urlsplit(url)
        if (parts.netloc and parts.netloc not in self.names) or parts.path.startswith(SANDBOX_DOWNLOADS):
            return "<another host>"
        query = "".join(f" {name}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
        origin = f"{self.names[parts.netloc]}" if parts.netloc else ""
        return f"{origin}{self.text(parts.path)}{query}"
