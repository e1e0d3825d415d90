"""The bearer token dance of container registries."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from ..errors import AccessError, InvalidReferenceError
from ..oci import RegistryHost
from .transport import Reply, Transport

TOKEN_ANSWER_MAX_BYTES = 256 * 1024
"""ECR Public's tokens have a few KiB."""

Password = Callable[[], str | None]
"""Gives ``user:password`` for a registry, or None where there is none (anonymous)."""

_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_OK = 200


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    Where a registry says that tokens come from.

    Source:
        Distribution's token specification; RFC 6750. ECR Public sends
        ``Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"``.
    """

    realm: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, header: str, registry: RegistryHost) -> Challenge:
        """
        Read a ``WWW-Authenticate`` header.

        Raises:
            AccessError: No bearer challenge, or one that would have the
                credentials sent to another host than the registry's own.
        """
        scheme, _, rest = header.partition(" ")
        values = dict(_PARAMETER.findall(rest))
        realm = values.pop("realm", "")
        if scheme.lower() != "bearer" or not realm:
            raise _refused(registry, f"it asks for authentication by {scheme[:40]!r}; expected a bearer challenge")
        if not _same_site(realm, registry):
            raise _refused(registry, f"it sends clients for a token to another host, {urlsplit(realm).netloc[:100]!r}")
        return cls(realm, tuple((name, values[name]) for name in ("service", "scope") if name in values))

    @property
    def url(self) -> str:
        """The address to get a token from."""
        return f"{self.realm}?{urlencode(self.parameters)}" if self.parameters else self.realm


@dataclass(slots=True)
class Tokens:
    """
    Tokens of one registry, kept while they work.

    A token is a secret: it is in no ``repr``, log line or exception.
    """

    registry: RegistryHost
    password: Password
    current: str = field(default="", repr=False)

    def renew(self, challenge: Challenge, transport: Transport, *, anonymous: bool) -> bool:
        """
        Get a new token.

        Returns:
            Whether it was got with credentials. Where there are none, or they
            are refused, it is an anonymous one: public images need no more.

        Raises:
            AccessError: Not even an anonymous token was given.
        """
        password = None if anonymous else self.password()
        if password is not None:
            reply = _ask(challenge, transport, password)
            if reply.status == _OK:
                self.current = _token(reply, self.registry)
                return True
        reply = _ask(challenge, transport, None)
        if reply.status != _OK:
            raise _refused(self.registry, f"its token endpoint answered {reply.status}")
        self.current = _token(reply, self.registry)
        return False


def _ask(challenge: Challenge, transport: Transport, password: str | None) -> Reply:
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
    return transport.send("GET", challenge.url, headers, limit=TOKEN_ANSWER_MAX_BYTES, doing="GET token")


def _token(reply: Reply, registry: RegistryHost) -> str:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise _refused(registry, "its token endpoint answered no JSON") from error
    token = answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise _refused(registry, "its token endpoint answered no token")
    return token


def _same_site(realm: str, registry: RegistryHost) -> bool:
    parts = urlsplit(realm)
    try:
        host = RegistryHost.parse(parts.netloc)
    except InvalidReferenceError:
        return False
    return host == registry and parts.scheme == urlsplit(registry.url).scheme


def _refused(registry: RegistryHost, why: str) -> AccessError:
    return AccessError(f"cannot authenticate to registry {registry}: {why}", operation="GET token")
