"""
Read manifests of a registry, exact to the byte.

ECR Public's API can write a manifest but not read one, so reading goes over
the registry's HTTP face.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import (
    AccessError,
    IntegrityError,
    NotFoundError,
    RejectedError,
    RemoteError,
    ThrottledError,
    UnavailableError,
)
from ..oci import MANIFEST_MAX_BYTES, Digest, Manifest, ManifestMediaType, Repository
from .auth import Challenge, Tokens
from .transport import Reply, Transport

_ACCEPT = ", ".join(ManifestMediaType)
"""All four: a registry may translate a manifest into a type that it thinks the client prefers."""

_OPERATION = "GET manifest"
_OK = 200
_NOT_FOUND = 404
_UNAUTHENTICATED = frozenset({400, 401, 403})
"""ECR Public answers 400 to a token that it does not know (with no challenge), and 403 to one that has expired."""

_THROTTLED = 429
_SERVER_ERRORS = range(500, 600)


@dataclass(frozen=True, slots=True)
class RegistryClient:
    """
    A client of one registry, for one invocation. Retrying is up to its caller.

    Attributes:
        tokens: Outlive the invocation; a warm function need not ask again.
    """

    transport: Transport
    tokens: Tokens

    def read(self, repository: Repository, digest: Digest) -> Manifest:
        """
        Read the manifest with this digest.

        Returns:
            A manifest whose bytes have been checked against *digest*.

        Raises:
            NotFoundError: The registry does not have it.
            IntegrityError: It sent other bytes, or more than 4 MiB.
            InvalidManifestError: The bytes are no manifest.
            AccessError, ThrottledError, UnavailableError: As they say.
        """
        url = f"{repository.host.url}/v2/{repository.path}/manifests/{digest}"
        reply = self._get(url)
        media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        if Digest.of(reply.body) != digest:
            message = f"{repository.host} sent other bytes for {digest}: they have the digest {Digest.of(reply.body)}"
            raise IntegrityError(message)
        return Manifest.parse(reply.body, media_type)

    def _get(self, url: str) -> Reply:
        reply = self._send(url)
        if reply.status in _UNAUTHENTICATED:
            reply = self._authenticate(url, reply)
        return self._accept(reply)

    def _authenticate(self, url: str, reply: Reply) -> Reply:
        """Get a token and ask again: with credentials where there are some, then without."""
        if "WWW-Authenticate" not in reply.headers:
            # A token that is no good draws no challenge; no token at all does.
            self.tokens.current = ""
            reply = self._send(url)
        if "WWW-Authenticate" not in reply.headers:
            return reply
        challenge = Challenge.parse(reply.headers["WWW-Authenticate"], self.tokens.registry)
        with_credentials = self.tokens.renew(challenge, self.transport, anonymous=False)
        reply = self._send(url)
        if reply.status in _UNAUTHENTICATED and with_credentials:
            # Stale credentials break even the reading of public images.
            self.tokens.renew(challenge, self.transport, anonymous=True)
            reply = self._send(url)
        return reply

    def _send(self, url: str) -> Reply:
        headers = {"Accept": _ACCEPT}
        if self.tokens.current:
            headers["Authorization"] = f"Bearer {self.tokens.current}"
        return self.transport.get(url, headers, limit=MANIFEST_MAX_BYTES, doing=_OPERATION)

    def _accept(self, reply: Reply) -> Reply:
        if reply.status == _OK:
            return reply
        raise self._error(reply.status)

    def _error(self, status: int) -> RemoteError:
        kind: type[RemoteError] = RejectedError
        if status == _NOT_FOUND:
            kind = NotFoundError
        elif status in _UNAUTHENTICATED:
            kind = AccessError
        elif status == _THROTTLED:
            kind = ThrottledError
        elif status in _SERVER_ERRORS:
            kind = UnavailableError
        return kind(f"{_OPERATION} failed: registry {self.tokens.registry} answered {status}", operation=_OPERATION)
