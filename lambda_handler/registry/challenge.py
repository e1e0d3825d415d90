"""Authentication challenges of registries."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from ..errors import AccessError, shown_url, truncated_repr
from ..oci import RegistryHost
from .header_fields import OfferedChallenge, parse_challenges
from .redirects import with_tls

KNOWN_PAIRS = frozenset({("docker.io", "auth.docker.io")})
"""Registries whose token endpoint is on another host: registry and endpoint."""

OPERATION = "GET token"

_BEARER, _BASIC = "bearer", "basic"
_USED = frozenset({"realm", "service", "scope"})
"""The parameters of a Bearer challenge that a token request depends on."""

_CLIENT = "cdk-ecrpublic"


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    The challenge that is used.

    Attributes:
        realm: The URL of the token endpoint; empty for basic authentication.
        parameters: The query parameters of the token request; ``scope`` may be repeated.

    References:
        Distribution token specification; RFC 6750 and 7617. ECR Public sends
        ``Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"``.
    """

    realm: str
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, header: str, registry: RegistryHost, scope: str = "", *, is_general: bool = False) -> Challenge:
        """
        Parse a ``WWW-Authenticate`` header, and select a challenge: Bearer is preferred to Basic.

        Args:
            scope: The scope to request if the challenge has none.
            is_general: Whether the challenge is for the whole registry, so
                that *scope* applies. The scope in such a challenge is a
                placeholder, for example ``repository:user/image:pull``.

        Raises:
            AccessError: There is neither a Bearer nor a Basic challenge, or
                the token endpoint is not secure.
        """
        offered = parse_challenges(header)
        challenges = [each for each in offered if each.is_valid and not each.ambiguous & _USED]
        bearers = [each for each in challenges if each.scheme == _BEARER and each.parameters.get("realm")]
        realms = [(_resolved(each, registry), each) for each in bearers]
        for realm, bearer in realms:
            if _is_safe(realm, registry):
                return cls(realm, tuple(_parameters(bearer.parameters, scope, is_general=is_general)))
        if any(each.scheme == _BASIC for each in challenges):
            return cls("")
        if realms:
            raise refused(registry, f"its token endpoint {shown_url(realms[0][0])} is not an https URL")
        if any(each.scheme in {_BEARER, _BASIC} for each in offered):
            raise refused(registry, f"its challenge is invalid or has no realm: {shown_url(header)}")
        schemes = ", ".join(dict.fromkeys(each.scheme for each in offered)) or header
        raise refused(registry, f"it requires authentication with {truncated_repr(schemes)}; expected Bearer or Basic")

    @property
    def url(self) -> str:
        """The URL of the token request, including any query of the realm."""
        parts = urlsplit(self.realm)
        query = "&".join(filter(None, (parts.query, urlencode(self.parameters))))
        return urlunsplit(parts._replace(query=query, fragment=""))

    def form(self, password: str | None) -> dict[str, str]:
        """
        Return the form fields of an OAuth 2 token request.

        Args:
            password: ``user:password``; None for an anonymous token.

        References:
            Distribution documentation, "Docker Registry v2 authentication using OAuth2".
        """
        fields: dict[str, str] = {}
        for name, value in self.parameters:
            # OAuth 2 joins several scopes in one field.
            fields[name] = f"{fields[name]} {value}" if name in fields else value
        user, _, secret = (password or "").partition(":")
        login = {"username": user, "password": secret} if password is not None else {}
        return {"grant_type": "password", "client_id": _CLIENT, **fields, **login}

    @property
    def host(self) -> str:
        """The host of the token endpoint, for messages."""
        return urlsplit(self.realm).netloc.rpartition("@")[2][:100]

    def may_have_credentials_of(self, registry: RegistryHost, trusted: AbstractSet[RegistryHost] = frozenset()) -> bool:
        """
        Whether the token endpoint may receive the credentials of *registry*.

        It may if it has the same host name (on any port, because TLS verifies
        only the name), a parent domain of it (the owner of ``gitlab.com`` also
        owns ``registry.gitlab.com``, but not vice versa), or is a known
        endpoint of the registry. On loopback hosts the port must be equal too:
        there is no TLS, and each port may belong to another program.

        Args:
            trusted: Hosts that are explicitly trusted.
        """
        host, registry = RegistryHost.parse(urlsplit(self.realm).netloc).canonical, registry.canonical
        if host == registry or host in trusted:
            return True
        if host.is_loopback or registry.is_loopback:
            return False
        above = "." in host.name and registry.name.endswith(f".{host.name}")
        return host.name == registry.name or above or (registry.name, str(host)) in KNOWN_PAIRS


def refused(registry: RegistryHost, why: str, *, hint: str | None = None) -> AccessError:
    """Return the error for a registry to which authentication is not possible."""
    return AccessError(f"cannot authenticate to registry {registry}: {why}", operation=OPERATION, hint=hint)


def _resolved(challenge: OfferedChallenge, registry: RegistryHost) -> str:
    """Return the URL of a realm; a path is relative to the registry."""
    realm = challenge.parameters["realm"]
    is_path = realm.startswith("/") and not realm.startswith("//")
    with suppress(ValueError):  # for example an unclosed bracket
        return with_tls(urljoin(registry.url, realm) if is_path else realm, registry.url)
    return realm


def _parameters(given: Mapping[str, str], scope: str, *, is_general: bool) -> list[tuple[str, str]]:
    service = [("service", given["service"])] if given.get("service") else []
    named, own = given.get("scope", "").split(), [scope] if scope else []
    return service + [("scope", each) for each in ((own or named) if is_general else (named or own))]


def _is_safe(realm: str, registry: RegistryHost) -> bool:
    """Whether a token endpoint uses TLS. Only a loopback registry may have a loopback endpoint."""
    try:
        parts = urlsplit(realm)
        host = RegistryHost.parse(parts.netloc)
    except ValueError:
        # urlsplit raises it too, for example for an unclosed bracket.
        return False
    if host.is_loopback != registry.is_loopback:
        return parts.scheme == "https" and not host.is_loopback
    return parts.scheme == urlsplit(host.url).scheme
