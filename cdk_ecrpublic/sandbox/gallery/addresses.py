"""The addresses of the pages, which look like image references: ``…/<alias>/<name>@<digest>``."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

PREFIX = "/_sandbox/gallery"


def repository_url(alias: str, name: str) -> str:
    """Return the address of a repository's page."""
    return f"{PREFIX}/{quote(alias)}/{quote(name)}"


def image_url(alias: str, name: str, digest: str) -> str:
    """Return the address of an image's page."""
    return f"{repository_url(alias, name)}@{quote(digest, safe=':')}"


def manifest_url(alias: str, name: str, digest: str) -> str:
    """Return the address of the bytes of a manifest."""
    return f"{image_url(alias, name, digest)}/manifest"


def with_query(query: Mapping[str, str], **changed: str) -> str:
    """Return a relative address with some parameters of the query changed; empty ones are left out."""
    kept = {name: value for name, value in {**query, **changed}.items() if value}
    return f"?{urlencode(kept)}"
