"""Bearer token and basic authentication for container registries."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from ..errors import AccessError, ImageError, ThrottledError, UnavailableError
from ..oci import RegistryHost
from .challenge import OPERATION, Challenge, refused
from .failures import SERVER_ERRORS, THROTTLED, TRANSIENT, UNAUTHENTICATED, failure, message_in
from .redirects import REDIRECTS, RedirectChain, host_in
from .transport import HttpResponse, Transport

TOKEN_RESPONSE_MAX_BYTES = 256 * 1024
"""A token of ECR Public has a few KiB."""

Password = Callable[[], str | None]
"""Returns ``user:password`` for a registry; None for anonymous access."""

Send = Callable[[Mapping[str, str]], HttpResponse]
"""Sends a request with additional headers."""

_OK, _DENIED, _NOT_FOUND = 200, 401, 404
_NO_GET = frozenset({404, 405, 501})
"""Statuses of a token endpoint that accepts only the POST requests of OAuth 2."""

_CHECK = "check the reference, and whether the registry requires credentials"

_FORM = "application/x-www-form-urlencoded"
_CHALLENGE = "WWW-Authenticate"
_IN_REPOSITORY = re.compile(r"/v2/(?P<name>.+)/(?:manifests|blobs|referrers)/[^/]*")


@dataclass(slots=True, eq=False, repr=False)
class RegistryAuth:
    """
    The authentication for one registry, reused as long as it works.

    Tokens are secrets: they are in no ``repr``, log line or exception.

    Attributes:
        password: Returns the credentials that were declared for this registry.
        current: The credentials after ``Bearer`` or ``Basic``; empty for none.
        scope: The scope of a token, used if the challenge has none.
        has_credentials: Whether to try declared credentials after a 404: some
            registries hide private content from anonymous clients.
        endpoints: Other hosts that may receive the credentials.
        expected: The challenge that the registry is known to send, so that a
            token can be requested without waiting for it; empty if unknown.
        refusal: How the registry refused the declared credentials; empty if it did not.
        allow_anonymous: Whether to continue anonymously if the credentials
            cannot be obtained.
        role_needs: The IAM actions required for reading, if the function's
            role provides the credentials.
    """

    registry: RegistryHost
    password: Password
    current: str = field(default="", repr=False)
    scheme: str = "Bearer"
    scope: str = ""
    allow_anonymous: bool = False
    has_credentials: bool = False
    endpoints: frozenset[RegistryHost] = frozenset()
    expected: str = ""
    refusal: str = field(default="", init=False)
    role_needs: tuple[str, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def header(self) -> dict[str, str]:
        """Return the Authorization header, for this registry only."""
        return {"Authorization": f"{self.scheme} {self.current}"} if self.current else {}

    def said(self, body: bytes) -> str:
        """Return the message of the registry in a response, unless it repeats the credentials that it was sent."""
        login = base64.b64decode(self.current).decode() if self.scheme == "Basic" else ""
        return message_in(body, (self.current, login.partition(":")[2]))

    def request(self, transport: Transport, send: Send, *, writes: bool = False) -> HttpResponse:
        """
        Send a request; if it is not authorized, get a token and send it again.

        The token is requested with credentials if there are any, then
        anonymously. Concurrent threads share one token request.

        Args:
            send: Sends the request.
            writes: Whether the request writes, which requires credentials.

        Raises:
            The same errors as ``renew``.
        """
        if self.expected and not self.current:
            self._log_in_early(transport, writes=writes)
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

    def _log_in_early(self, transport: Transport, *, writes: bool) -> None:
        with self._lock:
            if self.current:
                return
            challenge = Challenge.parse(self.expected, self.registry)
            # If that is not the challenge of this registry, the registry will send its own.
            with suppress(AccessError):
                self.renew(challenge, transport, anonymous=False, writes=writes)

    def _is_refused(self, response: HttpResponse, used: Mapping[str, str]) -> bool:
        """Whether a new token may help. Some registries return 404 for private content to anonymous clients."""
        hidden = response.status == _NOT_FOUND and self.has_credentials and not used
        return hidden or response.status in UNAUTHENTICATED

    def _renewed(self, transport: Transport, send: Send, response: HttpResponse, *, writes: bool) -> HttpResponse:
        if _CHALLENGE not in response.headers and response.status in UNAUTHENTICATED:
            # ECR Public sends a challenge only to a request without a token, not to one with an invalid token.
            response = send({})
        header = response.headers.get(_CHALLENGE)
        is_general = header is None and (response.status in {_DENIED, _NOT_FOUND} or self.has_credentials)
        if is_general:
            header = self._request_challenge(transport)
        if header is None:
            return response
        challenge = Challenge.parse(header, self.registry, self.scope, is_general=is_general)
        self.refusal = (
            f"the registry returned {response.status} for them" if self.current and self.has_credentials else ""
        )
        with_credentials = self.renew(challenge, transport, anonymous=False, writes=writes)
        response = send(self.header())
        if response.status in UNAUTHENTICATED and with_credentials and challenge.realm and not writes:
            # Invalid credentials prevent even reading public images. (Basic authentication has no anonymous access.)
            self.refusal = f"the registry returned {response.status} for a token that was issued for them"
            self.renew(challenge, transport, anonymous=True)
            response = send(self.header())
        return response

    def _request_challenge(self, transport: Transport) -> str | None:
        """
        Request ``/v2/``, where every registry must send its challenge. Not repeated if there is none.

        Raises:
            ThrottledError, UnavailableError: The registry is not available, which says nothing about its challenge.
        """
        doing = "GET /v2/"
        chain = RedirectChain(f"{self.registry.url}/v2/", doing)
        while (response := _get(chain, transport, {})).status in REDIRECTS and chain.on_origin_host:
            chain.follow(response.headers.get("Location", ""))
        # The challenge of another host is not for this registry.
        header = response.headers.get(_CHALLENGE) if chain.on_origin_host else None
        if header is None and response.status in {THROTTLED, *TRANSIENT}:
            error = failure(doing, self.registry, response.status, said=message_in(response.body))
            raise error
        self.has_credentials = self.has_credentials and header is not None
        return header

    def renew(self, challenge: Challenge, transport: Transport, *, anonymous: bool, writes: bool = False) -> bool:
        """
        Get a new token.

        Args:
            writes: Whether credentials are required, so that failing to
                obtain them is an error.

        Returns:
            Whether the token was issued for credentials. If there are none,
            or they are refused, it is anonymous, which is enough for public
            images.

        Raises:
            AccessError: Not even an anonymous token was issued.
            ThrottledError, UnavailableError: The token endpoint is not available.
        """
        password = None if anonymous else self._password(writes=writes)
        if not challenge.realm:
            return self._use_basic(password)
        if password is not None:
            self._check_trusted(challenge)
            response = _ask(challenge, transport, password)
            if response.status == _OK:
                self._use_bearer(challenge, response)
                return True
            self.refusal = f"the token endpoint {challenge.host} returned {_told(response, password)} for them"
        response = _ask(challenge, transport, None)
        if response.status != _OK:
            why = f"its token endpoint {challenge.host} returned {_told(response, None)}"
            hint = self.hint or (_CHECK if response.status in UNAUTHENTICATED else None)
            raise refused(self.registry, why, hint=hint)
        self._use_bearer(challenge, response)
        return False

    @property
    def hint(self) -> str | None:
        """What to do if the registry refused the credentials of a secret; None if it did not."""
        return f"check the credentials in the secret: {self.refusal}" if self.has_credentials and self.refusal else None

    def _check_trusted(self, challenge: Challenge) -> None:
        if not challenge.may_have_credentials_of(self.registry, self.endpoints):
            why = f"its token endpoint {challenge.host!r} belongs to another site"
            hint = (
                f'if this token endpoint is trusted, add "tokenEndpoint": "{challenge.host}" to the secret'
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
            raise refused(self.registry, "it requires a user name and password, but none are declared")
        self.scheme, self.current = "Basic", _basic(password)
        return True

    def _use_bearer(self, challenge: Challenge, response: HttpResponse) -> None:
        token = _token(response)
        if token is None:
            raise refused(self.registry, f"its token endpoint {challenge.host} did not return a token in JSON")
        self.scheme, self.current = "Bearer", token


def _ask(challenge: Challenge, transport: Transport, password: str | None) -> HttpResponse:
    """Request a token with GET, as Docker does; with POST, as OAuth 2 does, if the endpoint accepts nothing else."""
    chain = RedirectChain(challenge.url, OPERATION)
    basic = {} if password is None else {"Authorization": f"Basic {_basic(password)}"}
    while (response := _get(chain, transport, basic)).status in REDIRECTS:
        chain.follow(response.headers.get("Location", ""))
    if response.status in _NO_GET:
        url = chain.url if chain.hops else challenge.realm
        response = _post(url, transport, challenge.form(password if chain.on_origin_host else None))
    # These statuses say nothing about the credentials, so the caller retries.
    message = f"{OPERATION} failed: {challenge.host} returned {_told(response, password)}"
    if response.status == THROTTLED:
        raise ThrottledError(message, operation=OPERATION)
    if response.status in SERVER_ERRORS:
        raise UnavailableError(message, operation=OPERATION)
    return response


def _get(chain: RedirectChain, transport: Transport, headers: Mapping[str, str]) -> HttpResponse:
    sent = headers if chain.on_origin_host else {}
    return transport.send("GET", chain.url, sent, limit=TOKEN_RESPONSE_MAX_BYTES, doing=chain.doing)


def _told(response: HttpResponse, password: str | None) -> str:
    """Return the status and the message of a token endpoint."""
    said = message_in(response.body, () if password is None else (password.partition(":")[2], _basic(password)))
    return f"{response.status}: {said}" if said else str(response.status)


def _basic(password: str) -> str:
    """Return ``user:password`` as basic authentication sends it."""
    return base64.b64encode(password.encode()).decode()


def _post(url: str, transport: Transport, fields: Mapping[str, str]) -> HttpResponse:
    """Send a form, without following a redirect: that would send the password to another host."""
    form = urlencode(fields).encode()
    headers = {"Content-Type": _FORM, "Content-Length": str(len(form))}
    return transport.send("POST", url, headers, limit=TOKEN_RESPONSE_MAX_BYTES, doing=OPERATION, body=[form])


def _token(response: HttpResponse) -> str | None:
    try:
        data = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    token = data.get("token") or data.get("access_token") if isinstance(data, dict) else None
    return token if token and isinstance(token, str) and token.isascii() and token.isprintable() else None


@dataclass(slots=True, eq=False, repr=False)
class AnonymousAuth:
    """The anonymous tokens of hosts that a registry redirects to, for one invocation."""

    auths: dict[tuple[str, str], RegistryAuth] = field(default_factory=dict, repr=False)

    def for_url(self, url: str) -> RegistryAuth:
        """Return the anonymous authentication for a URL; its token has the scope of that repository."""
        parts = urlsplit(url)
        match = _IN_REPOSITORY.fullmatch(parts.path)
        scope = f"repository:{match['name']}:pull" if match else ""
        host = host_in(url)
        return self.auths.setdefault((parts.netloc, scope), RegistryAuth(host, lambda: None, scope=scope))
