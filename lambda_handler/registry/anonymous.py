"""Hosts that a registry redirects us to, where we are anonymous."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..oci import RegistryHost
from .auth import RegistryAuth

_NAME = re.compile(r"/v2/(?P<name>.+)/(?:manifests|blobs|referrers)/[^/]*")


@dataclass(frozen=True, slots=True)
class AnonymousAuth:
    """The anonymous tokens of other hosts than the registry's own, for one invocation."""

    auths: dict[tuple[str, str], RegistryAuth] = field(default_factory=dict, repr=False)

    def for_url(self, url: str) -> RegistryAuth:
        """Return what authenticates us at an address: a token for its repository, once one is asked for."""
        parts = urlsplit(url)
        match = _NAME.fullmatch(parts.path)
        scope = f"repository:{match['name']}:pull" if match else ""
        host = RegistryHost.parse(parts.netloc)
        return self.auths.setdefault((str(host), scope), RegistryAuth(host, lambda: None, scope=scope))
