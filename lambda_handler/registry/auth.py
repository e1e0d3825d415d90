"""The bearer token dance of container registries."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ..errors import ImageError, ThrottledError, UnavailableError
from ..oci import RegistryHost
from .challenge import OPERATION, Challenge, refused
from .failures import SERVER_ERRORS, THROTTLED, UNAUTHENTICATED
from .redirects import REDIRECTS, Trail
from .transport import Reply, Transport

TOKEN_ANSWER_MAX_BYTES = 256 * 1024
"""ECR Public's tokens have a few KiB."""

Password = Callable[[], str | None]
"""Gives ``user:password`` for a registry, or None where there is none (anonymous)."""

Send = Callable[[Mapping[str, str]], Reply]
"""Sends a request with these headers beside its own."""

_OK, _DENIED, _NOT_FOUND = 200, 401, 404
_NO_GET = frozenset({404, 405, 501})
"""How a token endpoint says that it takes requests of OAuth 2 only, which are POST."""

_FORM = "application/x-www-form-urlencoded"
_CHALLENGE = "WWW-Authenticate"


@dataclass(slots=True)
class Tokens:
    """
    What authenticates us to one registry, kept while it works.

    A token is a secret: it is in no ``repr``, log line or exception.

    Attributes:
        password: The credentials that were declared for this very registry.
        current: What follows ``Bearer`` (or ``Basic``); empty: nothing yet.
        scope: What to ask a token for where the registry does not say.
        is_declared: Whether there are credentials that nobody asked for yet:
            a registry may hide from anonymous readers what they open.
        endpoints: Hosts beside the registry's that may have the credentials, too.
        refusal: What became of the declared credentials, where they were refused.
        is_open: Whether everybody may read: credentials that cannot be had are
            no reason not to.
        role_needs: IAM actions that reading takes, where the credentials are
            the function's own role's.
    """

    registry: RegistryHost
    password: Password
    current: str = field(default="", repr=False)
    scheme: str = "Bearer"
    scope: str = ""
    is_open: bool = False
    is_declared: bool = False
    endpoints: frozenset[RegistryHost] = frozenset()
    refusal: str = field(default="", init=False)
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
        if not self._is_refused(reply, used):
            return reply
        with self._lock:
            if self.header() != used:
                used = self.header()
                reply = send(used)
            is_refused = self._is_refused(reply, used)
            return self._renewed(transport, send, reply, writes=writes) if is_refused else reply

    def _is_refused(self, reply: Reply, used: Mapping[str, str]) -> bool:
        """Whether a token may help; some registries say 404 to anonymous readers, of what is there."""
        hidden = reply.status == _NOT_FOUND and self.is_declared and not used
        return hidden or reply.status in UNAUTHENTICATED

    def _renewed(self, transport: Transport, send: Send, reply: Reply, *, writes: bool) -> Reply:
        if _CHALLENGE not in reply.headers and reply.status in UNAUTHENTICATED:
            # A token that is no good draws no challenge; no token at all does.
            reply = send({})
        header = reply.headers.get(_CHALLENGE)
        if header is None and reply.status in {_DENIED, _NOT_FOUND}:
            header = self._ask_for_challenge(transport)
        if header is None:
            return reply
        challenge = Challenge.parse(header, self.registry, self.scope)
        self.refusal = f"the registry answered {reply.status} to them" if self.current and self.is_declared else ""
        with_credentials = self.renew(challenge, transport, anonymous=False, writes=writes)
        reply = send(self.header())
        if reply.status in UNAUTHENTICATED and with_credentials and challenge.realm and not writes:
            # Stale credentials break even the reading of public images. (Basic authentication has no anonymous users.)
            self.refusal = f"the registry answered {reply.status} to a token got with them"
            self.renew(challenge, transport, anonymous=True)
            reply = send(self.header())
        return reply

    def _ask_for_challenge(self, transport: Transport) -> str | None:
        """Ask where every registry has to say how to authenticate. One that does not need it is asked once."""
        url = f"{self.registry.url}/v2/"
        reply = transport.send("GET", url, {}, limit=TOKEN_ANSWER_MAX_BYTES, doing="GET /v2/")
        header = reply.headers.get(_CHALLENGE)
        self.is_declared = self.is_declared and header is not None
        return header

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
            self._check_trusted(challenge)
            reply = _ask(challenge, transport, password)
            if reply.status == _OK:
                self._use_bearer(reply)
                return True
            self.refusal = f"the token endpoint {challenge.host} answered {reply.status} to them"
        reply = _ask(challenge, transport, None)
        if reply.status != _OK:
            raise refused(self.registry, f"its token endpoint answered {reply.status}")
        self._use_bearer(reply)
        return False

    def _check_trusted(self, challenge: Challenge) -> None:
        if not challenge.may_have_credentials_of(self.registry, self.endpoints):
            why = f"it sends clients for a token to {challenge.host!r}, which is another site"
            hint = (
                f'if that is where its tokens come from, add "tokenEndpoint": "{challenge.host}" to the secret'
                if self.is_declared
                else None
            )
            raise refused(self.registry, why, hint=hint)

    def _password(self, *, writes: bool) -> str | None:
        try:
            return self.password()
        except ImageError:
            if writes or not self.is_open:
                raise
            return None

    def _use_basic(self, password: str | None) -> bool:
        if password is None:
            raise refused(self.registry, "it asks for user and password, and none are declared")
        self.scheme, self.current = "Basic", base64.b64encode(password.encode()).decode()
        return True

    def _use_bearer(self, reply: Reply) -> None:
        self.scheme, self.current = "Bearer", _token(reply, self.registry)


def _ask(challenge: Challenge, transport: Transport, password: str | None) -> Reply:
    """Ask for a token, as Docker does first (GET), or as OAuth 2 does where that is all the endpoint takes."""
    trail = Trail(challenge.url, OPERATION)
    basic = {} if password is None else {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"}
    while (reply := _get(trail, transport, basic)).status in REDIRECTS:
        trail.follow(reply.headers.get("Location", ""))
    if reply.status in _NO_GET:
        url = trail.url if trail.hops else challenge.realm
        reply = _post(url, transport, challenge.form(password if trail.is_home else None))
    # These say nothing of the credentials: the caller asks again.
    message = f"{OPERATION} failed: {challenge.host} answered {reply.status}"
    if reply.status == THROTTLED:
        raise ThrottledError(message, operation=OPERATION)
    if reply.status in SERVER_ERRORS:
        raise UnavailableError(message, operation=OPERATION)
    return reply


def _get(trail: Trail, transport: Transport, headers: Mapping[str, str]) -> Reply:
    sent = headers if trail.is_home else {}
    return transport.send("GET", trail.url, sent, limit=TOKEN_ANSWER_MAX_BYTES, doing=OPERATION)


def _post(url: str, transport: Transport, fields: Mapping[str, str]) -> Reply:
    """Send a form, and no further than there: a redirect of it would be one of a password."""
    form = urlencode(fields).encode()
    headers = {"Content-Type": _FORM, "Content-Length": str(len(form))}
    return transport.send("POST", url, headers, limit=TOKEN_ANSWER_MAX_BYTES, doing=OPERATION, body=[form])


def _token(reply: Reply, registry: RegistryHost) -> str:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise refused(registry, "its token endpoint answered no JSON") from error
    token = answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise refused(registry, "its token endpoint answered no token")
    return token
