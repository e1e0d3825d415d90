"""The bearer token dance of container registries."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from ..errors import AccessError, ImageError, ThrottledError, UnavailableError, shown
from ..oci import RegistryHost
from .failures import SERVER_ERRORS, THROTTLED, UNAUTHENTICATED
from .transport import Reply, Transport

TOKEN_ANSWER_MAX_BYTES = 256 * 1024
"""ECR Public's tokens have a few KiB."""

KNOWN_PAIRS = frozenset({("docker.io", "auth.docker.io")})
"""Registries whose token endpoint is on a host beside theirs: registry, endpoint."""

Password = Callable[[], str | None]
"""Gives ``user:password`` for a registry, or None where there is none (anonymous)."""

Send = Callable[[Mapping[str, str]], Reply]
"""Sends a request with these headers beside its own."""

_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_OK = 200
_OPERATION = "GET token"


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    How a registry wants its clients to authenticate.

    Attributes:
        realm: Where bearer tokens come from; empty when the registry takes
            user and password itself (``Basic``).

    Source:
        Distribution's token specification; RFC 6750 and 7617. ECR Public sends
        ``Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"``.
    """

    realm: str
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, header: str, registry: RegistryHost) -> Challenge:
        """
        Read a ``WWW-Authenticate`` header.

        Raises:
            AccessError: Neither a bearer nor a basic challenge, or a token
                endpoint that cannot be asked safely.
        """
        scheme, _, rest = header.partition(" ")
        values = dict(_PARAMETER.findall(rest))
        realm = values.pop("realm", "")
        if scheme.lower() == "basic":
            return cls("")
        if scheme.lower() != "bearer" or not realm:
            raise _refused(registry, f"it asks for authentication by {scheme[:40]!r}; expected Bearer or Basic")
        if not _is_safe(realm, registry):
            raise _refused(registry, f"its token endpoint {shown(realm)} is no address with TLS")
        return cls(realm, tuple((name, values[name]) for name in ("service", "scope") if name in values))

    @property
    def url(self) -> str:
        """The address to get a token from."""
        return f"{self.realm}?{urlencode(self.parameters)}" if self.parameters else self.realm

    def may_have_credentials_of(self, registry: RegistryHost) -> bool:
        """
        Whether the token endpoint belongs to *registry*: its own host, one above it, or a known pair.

        Whoever holds ``gitlab.com`` holds ``registry.gitlab.com`` too; the
        other way round, or beside it, says nothing.
        """
        host = RegistryHost.parse(urlsplit(self.realm).netloc)
        above = host.port is None and "." in host.name and registry.name.endswith(f".{host.name}")
        return host == registry or above or (registry.name, host.name) in KNOWN_PAIRS


@dataclass(slots=True)
class Tokens:
    """
    What authenticates us to one registry, kept while it works.

    A token is a secret: it is in no ``repr``, log line or exception.

    Attributes:
        password: The credentials that were declared for this very registry.
        current: What follows ``Bearer`` (or ``Basic``); empty: nothing yet.
        is_open: Whether everybody may read: credentials that cannot be had are
            no reason not to.
        role_needs: IAM actions that reading takes, where the credentials are
            the function's own role's.
    """

    registry: RegistryHost
    password: Password
    current: str = field(default="", repr=False)
    scheme: str = "Bearer"
    is_open: bool = False
    role_needs: tuple[str, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def header(self) -> dict[str, str]:
        """Return the header to send, to this registry only."""
        return {"Authorization": f"{self.scheme} {self.current}"} if self.current else {}

    def request(self, transport: Transport, send: Send, *, writes: bool = False) -> Reply:
        """
        Send a request, and where that takes a token that works, get one and send it again.

        With credentials where there are some, then without. Several threads
        that want a token at the same time get one together.

        Args:
            send: Sends the request with these headers.
            writes: Nobody may do this without credentials.

        Raises:
            The same as ``renew``.
        """
        used = self.header()
        reply = send(used)
        if reply.status not in UNAUTHENTICATED:
            return reply
        with self._lock:
            if self.header() != used:
                reply = send(self.header())
            return self._renewed(transport, send, reply, writes=writes) if reply.status in UNAUTHENTICATED else reply

    def _renewed(self, transport: Transport, send: Send, reply: Reply, *, writes: bool) -> Reply:
        if "WWW-Authenticate" not in reply.headers:
            # A token that is no good draws no challenge; no token at all does.
            reply = send({})
        if "WWW-Authenticate" not in reply.headers:
            return reply
        challenge = Challenge.parse(reply.headers["WWW-Authenticate"], self.registry)
        with_credentials = self.renew(challenge, transport, anonymous=False, writes=writes)
        reply = send(self.header())
        if reply.status in UNAUTHENTICATED and with_credentials and challenge.realm and not writes:
            # Stale credentials break even the reading of public images. (Basic authentication has no anonymous users.)
            self.renew(challenge, transport, anonymous=True)
            reply = send(self.header())
        return reply

    def renew(self, challenge: Challenge, transport: Transport, *, anonymous: bool, writes: bool = False) -> bool:
        """
        Get a new token.

        Args:
            writes: It takes credentials: that they cannot be had is an error.

        Returns:
            Whether it was got with credentials. Where there are none, or they
            are refused, it is an anonymous one: public images need no more.

        Raises:
            AccessError: Not even an anonymous token was given.
            ThrottledError, UnavailableError: The token endpoint cannot answer now.
        """
        password = None if anonymous else self._password(writes=writes)
        if not challenge.realm:
            return self._use_basic(password)
        if password is not None:
            if not challenge.may_have_credentials_of(self.registry):
                host = urlsplit(challenge.realm).netloc[:100]
                raise _refused(self.registry, f"it sends clients for a token to {host!r}, which is another site")
            reply = _ask(challenge, transport, password)
            if reply.status == _OK:
                self._use_bearer(reply)
                return True
        reply = _ask(challenge, transport, None)
        if reply.status != _OK:
            raise _refused(self.registry, f"its token endpoint answered {reply.status}")
        self._use_bearer(reply)
        return False

    def _password(self, *, writes: bool) -> str | None:
        try:
            return self.password()
        except ImageError:
            if writes or not self.is_open:
                raise
            return None

    def _use_basic(self, password: str | None) -> bool:
        if password is None:
            raise _refused(self.registry, "it asks for user and password, and none are declared")
        self.scheme, self.current = "Basic", base64.b64encode(password.encode()).decode()
        return True

    def _use_bearer(self, reply: Reply) -> None:
        self.scheme, self.current = "Bearer", _token(reply, self.registry)


def _ask(challenge: Challenge, transport: Transport, password: str | None) -> Reply:
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
    reply = transport.send("GET", challenge.url, headers, limit=TOKEN_ANSWER_MAX_BYTES, doing=_OPERATION)
    # These say nothing of the credentials: the caller asks again.
    message = f"{_OPERATION} failed: {urlsplit(challenge.realm).netloc} answered {reply.status}"
    if reply.status == THROTTLED:
        raise ThrottledError(message, operation=_OPERATION)
    if reply.status in SERVER_ERRORS:
        raise UnavailableError(message, operation=_OPERATION)
    return reply


def _token(reply: Reply, registry: RegistryHost) -> str:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise _refused(registry, "its token endpoint answered no JSON") from error
    token = answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise _refused(registry, "its token endpoint answered no token")
    return token


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


def _refused(registry: RegistryHost, why: str) -> AccessError:
    return AccessError(f"cannot authenticate to registry {registry}: {why}", operation=_OPERATION)
