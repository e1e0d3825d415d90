"""How a registry wants its clients to authenticate."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from ..errors import AccessError, truncated_repr
from ..oci import RegistryHost
from .header_fields import OfferedChallenge, parse_challenges

KNOWN_PAIRS = frozenset({("docker.io", "auth.docker.io")})
"""Registries whose token endpoint is on a host beside theirs: registry, endpoint."""

OPERATION = "GET token"

_BEARER, _BASIC = "bearer", "basic"


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    The challenge of a registry that we take.

    Attributes:
        realm: Where bearer tokens come from; empty when the registry takes
            user and password itself (``Basic``).
        parameters: What to ask there for; the scope may be there several times.

    References:
        Distribution's token specification; RFC 6750 and 7617. ECR Public sends
        ``Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"``.
    """

    realm: str
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, header: str, registry: RegistryHost, scope: str = "") -> Challenge:
        """
        Read a ``WWW-Authenticate`` header, and take the best of its challenges: Bearer before Basic.

        Args:
            scope: What to ask for where the challenge does not say.

        Raises:
            AccessError: Neither a bearer nor a basic challenge, or a token
                endpoint that cannot be asked safely.
        """
        offers = [offer for offer in parse_challenges(header) if offer.is_valid]
        bearers = [offer for offer in offers if offer.scheme == _BEARER and offer.parameters.get("realm")]
        realms = [(_resolved(offer, registry), offer) for offer in bearers]
        for realm, offer in realms:
            if _is_safe(realm, registry):
                return cls(realm, tuple(_parameters(offer.parameters, scope)))
        if any(offer.scheme == _BASIC for offer in offers):
            return cls("")
        if realms:
            raise refused(registry, f"its token endpoint {truncated_repr(realms[0][0])} is no address with TLS")
        schemes = ", ".join(dict.fromkeys(offer.scheme for offer in offers)) or header
        raise refused(registry, f"it asks for authentication by {truncated_repr(schemes)}; expected Bearer or Basic")

    @property
    def url(self) -> str:
        """The address to get a token from; a query that the realm has stays."""
        parts = urlsplit(self.realm)
        query = "&".join(filter(None, (parts.query, urlencode(self.parameters))))
        return urlunsplit(parts._replace(query=query, fragment=""))

    @property
    def host(self) -> str:
        """Where tokens come from, for messages."""
        return urlsplit(self.realm).netloc[:100]

    def may_have_credentials_of(self, registry: RegistryHost, trusted: AbstractSet[RegistryHost] = frozenset()) -> bool:
        """
        Whether the token endpoint belongs to *registry*.

        It does on the registry's own host, whatever the port, since TLS
        proves the name alone; on a host above it, since whoever holds
        ``gitlab.com`` holds ``registry.gitlab.com`` too, which is not so the
        other way round; and in a known pair. Ports of this machine have no
        TLS, and belong to different programs.

        Args:
            trusted: Hosts that are trusted expressly.
        """
        host, registry = RegistryHost.parse(urlsplit(self.realm).netloc).canonical, registry.canonical
        if host == registry or host in trusted:
            return True
        if host.is_loopback or registry.is_loopback:
            return False
        above = "." in host.name and registry.name.endswith(f".{host.name}")
        return host.name == registry.name or above or (registry.name, str(host)) in KNOWN_PAIRS


def refused(registry: RegistryHost, why: str, *, hint: str | None = None) -> AccessError:
    """Return the error for a registry that we cannot authenticate to."""
    return AccessError(f"cannot authenticate to registry {registry}: {why}", operation=OPERATION, hint=hint)


def _resolved(offer: OfferedChallenge, registry: RegistryHost) -> str:
    """Return the address of a realm; one without a host is on the registry's."""
    realm = offer.parameters["realm"]
    is_path = realm.startswith("/") and not realm.startswith("//")
    return urljoin(registry.url, realm) if is_path else realm


def _parameters(given: Mapping[str, str], scope: str) -> list[tuple[str, str]]:
    service = [("service", given["service"])] if given.get("service") else []
    return service + [("scope", each) for each in given.get("scope", "").split() or filter(None, [scope])]


def _is_safe(realm: str, registry: RegistryHost) -> bool:
    """Whether a token endpoint has TLS; only registries of this machine may have one of this machine."""
    try:
        parts = urlsplit(realm)
        host = RegistryHost.parse(parts.netloc)
    except ValueError:
        # Of urlsplit too: a bracket that is not closed, say.
        return False
    if host.is_loopback != registry.is_loopback:
        return parts.scheme == "https" and not host.is_loopback
    return parts.scheme == urlsplit(host.url).scheme
