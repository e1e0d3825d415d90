"""Anonymous access to the hosts that a registry redirects to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .auth import RegistryAuth
from .redirects import host_in

_NAME = re.compile(r"/v2/(?P<name>.+)/(?:manifests|blobs|referrers)/[^/]*")


@dataclass(slots=True, eq=False, repr=False)
class AnonymousAuth:
    """The anonymous tokens of hosts other than the registry itself, for one invocation."""

    auths: dict[tuple[str, str], RegistryAuth] = field(default_factory=dict, repr=False)

    def for_url(self, url: str) -> RegistryAuth:
        """Return the anonymous authentication for a URL; its token has the scope of that repository."""
        parts = urlsplit(url)
        match = _NAME.fullmatch(parts.path)
        scope = f"repository:{match['name']}:pull" if match else ""
        host = host_in(url)
        return self.auths.setdefault((parts.netloc, scope), RegistryAuth(host, lambda: None, scope=scope))
