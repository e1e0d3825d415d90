"""
Read manifests of a registry, exact to the byte.

ECR Public's API can write a manifest but not read one, so reading goes over
the registry's HTTP face.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from ..errors import (
    AccessError,
    IntegrityError,
    InvalidManifestError,
    NotFoundError,
    RemoteError,
    UnavailableError,
    shown,
)
from ..oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest, ManifestMediaType, Repository
from .auth import Tokens
from .blobs import PIECE_BYTES, follow
from .failures import SERVER_ERRORS, THROTTLED, UNAUTHENTICATED, failure
from .transport import Reply, Stream, Transport

_ACCEPT = ", ".join(ManifestMediaType)
"""All four: a registry may translate a manifest into a type that it thinks the client prefers."""

_OK = 200
_PARTIAL = 206
_NO_SUCH_LIST = 501
"""Of a list that a registry need not have: it says that it has none."""

_FAILURES = frozenset({401, 403, THROTTLED, *SERVER_ERRORS}) - {_NO_SUCH_LIST}

_NEXT_PAGE = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')

REFERRERS_PAGES_MAX = 50
"""An image has a few signatures and SBOMs; registries give hundreds of entries on a page."""

REFERRERS_MAX = 2_000
"""Of all pages together."""

_PARSING = threading.Lock()


@dataclass(frozen=True, slots=True)
class RegistryClient:
    """
    A client of one registry, for one invocation. Retrying is up to its caller.

    Attributes:
        tokens: Outlive the invocation; a warm function need not ask again.
    """

    transport: Transport
    tokens: Tokens

    def read(self, repository: Repository, digest: Digest, *, size: int | None = None) -> Manifest:
        """
        Read the manifest with this digest.

        Args:
            size: What lists it says so; no more is read. Default: nothing
                lists it, and at most 4 MiB are read.

        Returns:
            A manifest whose bytes have been checked against *digest*.

        Raises:
            NotFoundError: The registry does not have it.
            IntegrityError: It sent other bytes, more than 4 MiB, or another
                number of them than *size*.
            InvalidManifestError: The bytes are no manifest.
            AccessError, ThrottledError, UnavailableError: As they say.
        """
        limit = MANIFEST_MAX_BYTES if size is None else min(size, MANIFEST_MAX_BYTES)
        reply = self._request("GET", repository, str(digest), limit)
        if Digest.of(reply.body) != digest:
            message = f"{repository.host} sent other bytes for {digest}: they have the digest {Digest.of(reply.body)}"
            raise IntegrityError(message)
        if size not in {None, len(reply.body)}:
            message = f"{repository.host} sent {len(reply.body)} bytes"
            raise IntegrityError(message)
        return _parsed(reply)

    def read_tag(self, repository: Repository, tag: str) -> Manifest:
        """
        Read the manifest that *tag* stands for now.

        Raises:
            The same as ``read``.
        """
        return _parsed(self._request("GET", repository, tag))

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
            InvalidManifestError: The list is no index, or it has more than 2,000 entries.
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
                error = self._error("GET referrers", reply.status)
                raise error
            if reply.status != _OK or _media_type(reply) != ManifestMediaType.OCI_INDEX:
                return found
            found.extend(_parsed(reply).children)
            if len(found) > REFERRERS_MAX:
                message = (
                    f"registry {repository.host} lists more than {REFERRERS_MAX} manifests that refer to {subject}"
                )
                raise InvalidManifestError(message)
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
        if stream.status in UNAUTHENTICATED:
            stream.close()
            self._authenticated("HEAD", url)
            stream = self._open(url, headers)
        answer, stream = stream, follow(self.transport, stream, url, headers)
        if stream.status not in {_OK, _PARTIAL}:
            stream.close()
            error = self._error("GET blob", stream.status)
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

    def _request(self, method: str, repository: Repository, reference: str, limit: int = MANIFEST_MAX_BYTES) -> Reply:
        url = f"{repository.host.url}/v2/{repository.path}/manifests/{reference}"
        reply = self._authenticated(method, url, limit)
        if reply.status != _OK:
            error = self._error(f"{method} manifest", reply.status)
            raise error
        return reply

    def _authenticated(self, method: str, url: str, limit: int = MANIFEST_MAX_BYTES) -> Reply:
        def send(header: Mapping[str, str]) -> Reply:
            headers = {"Accept": _ACCEPT, **header}
            return self.transport.send(method, url, headers, limit=limit, doing=f"{method} manifest")

        return self.tokens.request(self.transport, send)

    def _error(self, operation: str, status: int) -> RemoteError:
        return failure(operation, self.tokens.registry, status, hint=self._hint())

    def _hint(self) -> str:
        if not self.tokens.role_needs:
            return "the registry does not let us read; check the credentials that are declared for it"
        return (
            f"allow {' and '.join(self.tokens.role_needs)} on the repository in the role of the handler's function, "
            "and in the repository's own policy where it is another account's"
        )


def _parsed(reply: Reply) -> Manifest:
    """Read the manifest of an answer, one at a time: what JSON becomes is many times as long."""
    with _PARSING:
        return Manifest.parse(reply.body, _media_type(reply))


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
