"""The bearer token dance of container registries."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import ImageError, ThrottledError, UnavailableError
from ..oci import RegistryHost
from .challenge import OPERATION, Challenge, refused
from .failures import SERVER_ERRORS, THROTTLED, UNAUTHENTICATED
from .redirects import REDIRECTS, RedirectChain
from .transport import HttpResponse, Transport

TOKEN_ANSWER_MAX_BYTES = 256 * 1024
"""ECR Public's tokens have a few KiB."""

Password = Callable[[], str | None]
"""Gives ``user:password`` for a registry, or None where there is none (anonymous)."""

Send = Callable[[Mapping[str, str]], HttpResponse]
"""Sends a request with these headers beside its own."""

_OK, _DENIED, _NOT_FOUND = 200, 401, 404
_CHALLENGE = "WWW-Authenticate"


@dataclass(slots=True)
class RegistryAuth:
    """
    What authenticates us to one registry, kept while it works.

    A token is a secret: it is in no ``repr``, log line or exception.

    Attributes:
        password: The credentials that were declared for this very registry.
        current: What follows ``Bearer`` (or ``Basic``); empty: nothing yet.
        scope: What to ask a token for where the registry does not say.
        has_credentials: Whether there are credentials that nobody asked for yet:
            a registry may hide from anonymous readers what they open.
        endpoints: Hosts beside the registry's that may have the credentials, too.
        refusal: What became of the declared credentials, where they were refused.
        allow_anonymous: Whether everybody may read: credentials that cannot be had are
            no reason not to.
        role_needs: IAM actions that reading takes, where the credentials are
            the function's own role's.
    """

    registry: RegistryHost
    password: Password
    current: str = field(default="", repr=False)
    scheme: str = "Bearer"
    scope: str = ""
    allow_anonymous: bool = False
    has_credentials: bool = False
    endpoints: frozenset[RegistryHost] = frozenset()
    refusal: str = field(default="", init=False)
    role_needs: tuple[str, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def header(self) -> dict[str, str]:
        """Return the header to send, to this registry only."""
        return {"Authorization": f"{self.scheme} {self.current}"} if self.current else {}

    def request(self, transport: Transport, send: Send, *, writes: bool = False) -> HttpResponse:
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
        response = send(used)
        if not self._is_refused(response, used):
            return response
        with self._lock:
            if self.header() != used:
                used = self.header()
                response = send(used)
            is_refused = self._is_refused(response, used)
            return self._renewed(transport, send, response, writes=writes) if is_refused else response

    def _is_refused(self, response: HttpResponse, used: Mapping[str, str]) -> bool:
        """Whether a token may help; some registries say 404 to anonymous readers, of what is there."""
        hidden = response.status == _NOT_FOUND and self.has_credentials and not used
        return hidden or response.status in UNAUTHENTICATED

    def _renewed(self, transport: Transport, send: Send, response: HttpResponse, *, writes: bool) -> HttpResponse:
        if _CHALLENGE not in response.headers and response.status in UNAUTHENTICATED:
            # A token that is no good draws no challenge; no token at all does.
            response = send({})
        header = response.headers.get(_CHALLENGE)
        if header is None and response.status in {_DENIED, _NOT_FOUND}:
            header = self._ask_for_challenge(transport)
        if header is None:
            return response
        challenge = Challenge.parse(header, self.registry, self.scope)
        self.refusal = (
            f"the registry answered {response.status} to them" if self.current and self.has_credentials else ""
        )
        with_credentials = self.renew(challenge, transport, anonymous=False, writes=writes)
        response = send(self.header())
        if response.status in UNAUTHENTICATED and with_credentials and challenge.realm and not writes:
            # Stale credentials break even the reading of public images. (Basic authentication has no anonymous users.)
            self.refusal = f"the registry answered {response.status} to a token got with them"
            self.renew(challenge, transport, anonymous=True)
            response = send(self.header())
        return response

    def _ask_for_challenge(self, transport: Transport) -> str | None:
        """Ask where every registry has to say how to authenticate. One that does not need it is asked once."""
        url = f"{self.registry.url}/v2/"
        response = transport.send("GET", url, {}, limit=TOKEN_ANSWER_MAX_BYTES, doing="GET /v2/")
        header = response.headers.get(_CHALLENGE)
        self.has_credentials = self.has_credentials and header is not None
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
            response = _ask(challenge, transport, password)
            if response.status == _OK:
                self._use_bearer(response)
                return True
            self.refusal = f"the token endpoint {challenge.host} answered {response.status} to them"
        response = _ask(challenge, transport, None)
        if response.status != _OK:
            raise refused(self.registry, f"its token endpoint answered {response.status}")
        self._use_bearer(response)
        return False

    def _check_trusted(self, challenge: Challenge) -> None:
        if not challenge.may_have_credentials_of(self.registry, self.endpoints):
            why = f"it sends clients for a token to {challenge.host!r}, which is another site"
            hint = (
                f'if that is where its tokens come from, add "tokenEndpoint": "{challenge.host}" to the secret'
                if self.has_credentials
                else None
            )
            raise refused(self.registry, why, hint=hint)

    def _password(self, *, writes: bool) -> str | None:
        try:
            return self.password()
        except ImageError:
            if writes or not self.allow_anonymous:
                raise
            return None

    def _use_basic(self, password: str | None) -> bool:
        if password is None:
            raise refused(self.registry, "it asks for user and password, and none are declared")
        self.scheme, self.current = "Basic", base64.b64encode(password.encode()).decode()
        return True

    def _use_bearer(self, response: HttpResponse) -> None:
        self.scheme, self.current = "Bearer", _token(response, self.registry)


def _ask(challenge: Challenge, transport: Transport, password: str | None) -> HttpResponse:
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
    chain = RedirectChain(challenge.url, OPERATION)
    while True:
        sent = headers if chain.on_origin_host else {}
        response = transport.send("GET", chain.url, sent, limit=TOKEN_ANSWER_MAX_BYTES, doing=OPERATION)
        if response.status not in REDIRECTS:
            break
        chain.follow(response.headers.get("Location", ""))
    # These say nothing of the credentials: the caller asks again.
    message = f"{OPERATION} failed: {challenge.host} answered {response.status}"
    if response.status == THROTTLED:
        raise ThrottledError(message, operation=OPERATION)
    if response.status in SERVER_ERRORS:
        raise UnavailableError(message, operation=OPERATION)
    return response


def _token(response: HttpResponse, registry: RegistryHost) -> str:
    try:
        data = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise refused(registry, "its token endpoint answered no JSON") from error
    token = data.get("token") or data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise refused(registry, "its token endpoint answered no token")
    return token
