"""
Read manifests of a registry, exact to the byte.

ECR Public's API can write a manifest but not read one, so reading goes over
the registry's HTTP face.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from ..errors import (
    AccessError,
    IntegrityError,
    NotFoundError,
    RejectedError,
    RemoteError,
    ThrottledError,
    UnavailableError,
    shown,
)
from ..oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest, ManifestMediaType, Repository
from .auth import Challenge, Tokens
from .blobs import PIECE_BYTES, follow
from .transport import Reply, Stream, Transport

_ACCEPT = ", ".join(ManifestMediaType)
"""All four: a registry may translate a manifest into a type that it thinks the client prefers."""

_OK = 200
_PARTIAL = 206
_NOT_FOUND = 404
_UNAUTHENTICATED = frozenset({400, 401, 403})
"""ECR Public answers 400 to a token that it does not know (with no challenge), and 403 to one that has expired."""

_THROTTLED = 429
_SERVER_ERRORS = range(500, 600)
_FAILURES = frozenset({401, 403, _THROTTLED, *_SERVER_ERRORS}) - {501}
"""Of a request for a list that a registry need not have; 501 says that it has none."""

_NEXT_PAGE = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')

REFERRERS_PAGES_MAX = 50
"""An image has a few signatures and SBOMs; registries give hundreds of entries on a page."""


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
        reply = self._request("GET", repository, str(digest))
        if Digest.of(reply.body) != digest:
            message = f"{repository.host} sent other bytes for {digest}: they have the digest {Digest.of(reply.body)}"
            raise IntegrityError(message)
        return Manifest.parse(reply.body, _media_type(reply))

    def read_tag(self, repository: Repository, tag: str) -> Manifest:
        """
        Read the manifest that *tag* stands for now.

        Raises:
            The same as ``read``.
        """
        reply = self._request("GET", repository, tag)
        return Manifest.parse(reply.body, _media_type(reply))

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        """
        Return the digest that a tag (or a digest) stands for; None when there is no such image.

        Raises:
            InvalidDigestError: The registry's answer holds none.
            AccessError, ThrottledError, UnavailableError: As they say.
        """
        try:
            reply = self._request("HEAD", repository, reference)
        except NotFoundError:
            return None
        return Digest.parse(reply.headers.get("Docker-Content-Digest", ""))

    def has(self, repository: Repository, reference: str) -> bool:
        """
        Return whether there is an image under a tag or digest.

        Raises:
            AccessError, ThrottledError, UnavailableError: As they say.
        """
        try:
            self._request("HEAD", repository, reference)
        except NotFoundError:
            return False
        return True

    def referrers(self, repository: Repository, subject: Digest) -> list[Descriptor]:
        """
        Return the manifests that the registry lists as referring to *subject*.

        A registry without such a list answers in many ways, none of which is
        an index: then there are none, and tags have to be looked at.

        Raises:
            InvalidManifestError: The list is no index.
            UnavailableError: It has more than 50 pages, or leads elsewhere.
            AccessError, ThrottledError: As they say.

        Source:
            OCI distribution-spec v1.1, "Listing Referrers".
        """
        url = f"{repository.host.url}/v2/{repository.path}/referrers/{subject}"
        found: list[Descriptor] = []
        for _ in range(REFERRERS_PAGES_MAX):
            reply = self._authenticated("GET", url)
            if reply.status in _FAILURES:
                error = self._error("GET", "referrers", reply.status)
                raise error
            if reply.status != _OK or _media_type(reply) != ManifestMediaType.OCI_INDEX:
                return found
            found.extend(Manifest.parse(reply.body, _media_type(reply)).children)
            if not (following := next_page(reply, url)):
                return found
            url = following
        message = f"registry {repository.host} lists what refers to {subject} on more than {REFERRERS_PAGES_MAX} pages"
        raise UnavailableError(message, operation="GET referrers")

    def open_blob(self, repository: Repository, digest: Digest, start: int) -> Iterator[bytes]:
        """
        Stream a blob from offset *start* on, in pieces of at most 1 MiB.

        The registry may lead elsewhere for the bytes; no credentials go
        there. One that ignores the range sends everything, and what the
        caller has already is dropped.

        Raises:
            NotFoundError: The registry does not have it.
            UnavailableError: The stream broke off; at any piece.
            AccessError: Not allowed, or a redirect that must not be followed.
        """
        url = f"{repository.host.url}/v2/{repository.path}/blobs/{digest}"
        headers = {"Range": f"bytes={start}-"} if start else {}
        stream = self._open(url, headers)
        if stream.status in _UNAUTHENTICATED:
            self._authenticate("GET", url, stream.refused())
            stream = self._open(url, headers)
        answer, stream = stream, follow(self.transport, stream, url, headers)
        if stream.status not in {_OK, _PARTIAL}:
            stream.close()
            error = self._error("GET", "blob", stream.status)
            if stream is not answer and isinstance(error, AccessError):
                # The registry let us in; a signed address of its storage is good for minutes only.
                raise UnavailableError(error.message, operation=error.operation, hint=error.hint)
            raise error
        skip = start if stream.status == _OK else 0
        for piece in stream.pieces(PIECE_BYTES):
            yield piece[skip:]
            skip = max(0, skip - len(piece))

    def _open(self, url: str, headers: Mapping[str, str]) -> Stream:
        return self.transport.open("GET", url, {**headers, **self.tokens.header()}, doing="GET blob")

    def _request(self, method: str, repository: Repository, reference: str) -> Reply:
        reply = self._authenticated(method, f"{repository.host.url}/v2/{repository.path}/manifests/{reference}")
        if reply.status != _OK:
            raise self._error(method, "manifest", reply.status)
        return reply

    def _authenticated(self, method: str, url: str) -> Reply:
        reply = self._send(method, url)
        return self._authenticate(method, url, reply) if reply.status in _UNAUTHENTICATED else reply

    def _authenticate(self, method: str, url: str, reply: Reply) -> Reply:
        """Get a token and ask again: with credentials where there are some, then without."""
        if "WWW-Authenticate" not in reply.headers:
            # A token that is no good draws no challenge; no token at all does.
            self.tokens.current = ""
            reply = self._send(method, url)
        if "WWW-Authenticate" not in reply.headers:
            return reply
        challenge = Challenge.parse(reply.headers["WWW-Authenticate"], self.tokens.registry)
        with_credentials = self.tokens.renew(challenge, self.transport, anonymous=False)
        reply = self._send(method, url)
        if reply.status in _UNAUTHENTICATED and with_credentials and challenge.realm:
            # Stale credentials break even the reading of public images. (Basic authentication has no anonymous users.)
            self.tokens.renew(challenge, self.transport, anonymous=True)
            reply = self._send(method, url)
        return reply

    def _send(self, method: str, url: str) -> Reply:
        headers = {"Accept": _ACCEPT, **self.tokens.header()}
        return self.transport.send(method, url, headers, limit=MANIFEST_MAX_BYTES, doing=f"{method} manifest")

    def _error(self, method: str, what: str, status: int) -> RemoteError:
        denied = status in _UNAUTHENTICATED
        kind: type[RemoteError] = RejectedError
        if status == _NOT_FOUND:
            kind = NotFoundError
        elif denied:
            kind = AccessError
        elif status == _THROTTLED:
            kind = ThrottledError
        elif status in _SERVER_ERRORS:
            kind = UnavailableError
        operation = f"{method} {what}"
        hint = self._hint() if denied else None
        message = f"{operation} failed: registry {self.tokens.registry} answered {status}"
        return kind(message, operation=operation, hint=hint)

    def _hint(self) -> str:
        if not self.tokens.role_needs:
            return "the registry does not let us read; check the credentials that are declared for it"
        return (
            f"allow {' and '.join(self.tokens.role_needs)} on the repository in the role of the handler's function, "
            "and in the repository's own policy where it is another account's"
        )


def _media_type(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip()


def next_page(reply: Reply, url: str) -> str:
    """
    Return where a list goes on; empty: it ends here.

    Raises:
        UnavailableError: On another registry, to which our credentials must not go.
    """
    match = _NEXT_PAGE.search(reply.headers.get("Link", ""))
    if match is None:
        return ""
    with suppress(ValueError):  # a bracket that is not closed, say
        target: str = urljoin(url, match[1])
        if urlsplit(target)[:2] == urlsplit(url)[:2]:
            return target
    message = f"a list leads from {urlsplit(url).netloc} to {shown(match[1])}"
    raise UnavailableError(message, operation="GET referrers")
