"""
Read manifests and blobs from a registry, byte for byte.

ECR Public's control-plane API can write a manifest but not read one, so
manifests are read through the registry API.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import (
    AccessError,
    IntegrityError,
    InvalidManifestError,
    NotFoundError,
    RejectedError,
    RemoteError,
    UnavailableError,
)
from ..oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest, ManifestMediaType, Repository
from .auth import AnonymousAuth, RegistryAuth
from .failures import THROTTLED, UNAUTHENTICATED, failure
from .lists import NO_SUCH_LIST, is_list, manifest_type, next_page
from .redirects import REDIRECTS, RedirectChain
from .transport import HttpResponse, StreamingResponse, Transport

_ACCEPT = ", ".join(ManifestMediaType)
"""All four types: otherwise a registry may convert a manifest to a type that the client accepts."""

_OK = 200
_PARTIAL = 206
_UNAUTHORIZED = 401

CHUNK_BYTES = 1024 * 1024
"""The largest chunk of a blob."""

_BLOB, _LIST = "GET blob", "GET referrers"

REFERRERS_PAGES_MAX = 50
"""An image has a few signatures and SBOMs; a page has hundreds of entries."""

REFERRERS_MAX = 2_000
"""The limit for all pages together."""

_SNIFFED_BYTES = 512

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?P<first>[0-9]{1,19})-[0-9]{1,19}/(?:[0-9]{1,19}|\*)\s*", re.IGNORECASE)

_PARSING = threading.Lock()
"""Held while a manifest is parsed: its objects take many times the memory of its JSON."""


@dataclass(slots=True, eq=False, repr=False)
class RegistryClient:
    """
    A client for one registry, for one invocation. The caller retries.

    Attributes:
        auth: Outlives the invocation, so that a warm function reuses tokens.
        anonymous: The authentication for hosts that the registry redirects to.
    """

    transport: Transport
    auth: RegistryAuth
    anonymous: AnonymousAuth = field(default_factory=AnonymousAuth)

    def read(self, repository: Repository, digest: Digest, *, size: int | None = None, listed_as: str = "") -> Manifest:
        """
        Read the manifest with this digest.

        Args:
            size: The size in the descriptor, which also limits how much is
                read. Default: unknown; at most 4 MiB are read.
            listed_as: The media type in the descriptor, used if the registry
                sends none. Default: the one in the manifest.

        Returns:
            A manifest whose bytes match *digest*.

        Raises:
            NotFoundError: The manifest does not exist.
            IntegrityError: The content has another digest or size, or more than 4 MiB.
            InvalidManifestError: The content is not a manifest.
            AccessError, ThrottledError, UnavailableError: The request failed.
        """
        limit = MANIFEST_MAX_BYTES if size is None else min(size, MANIFEST_MAX_BYTES)
        response = self._read(repository, str(digest), limit)
        if Digest.of(response.body) != digest:
            message = f"{repository.host} sent content with the digest {Digest.of(response.body)} for {digest}"
            raise IntegrityError(message)
        if size not in {None, len(response.body)}:
            message = f"{repository.host} sent {len(response.body)} bytes"
            raise IntegrityError(message)
        return _parsed(response, listed_as)

    def read_tag(self, repository: Repository, tag: str) -> Manifest:
        """
        Read the manifest that *tag* points to now.

        Raises:
            The same errors as ``read``.
        """
        return _parsed(self._read(repository, tag))

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        """
        Resolve a tag or digest to a digest; None if the image does not exist.

        Raises:
            InvalidDigestError: The response has no digest.
            AccessError, ThrottledError, UnavailableError: The request failed.
        """
        try:
            response = self._request("HEAD", repository, reference)
        except NotFoundError:
            return None
        return Digest.parse(response.headers.get("Docker-Content-Digest", ""))

    def has(self, repository: Repository, reference: str) -> bool:
        """
        Return whether a tag or digest exists, even if the registry sends no digest or one of another algorithm.

        Raises:
            AccessError, ThrottledError, UnavailableError: The request failed.
        """
        try:
            self._request("HEAD", repository, reference)
        except NotFoundError:
            return False
        except (RejectedError, AccessError, UnavailableError):
            # The registry may not support HEAD, fail at it, or redirect it to a URL that is signed for GET.
            with suppress(NotFoundError):
                self._request("GET", repository, reference)
                return True
            return False
        return True

    def referrers(self, repository: Repository, subject: Digest) -> list[Descriptor]:
        """
        Return the referrers of *subject*.

        Registries without a referrers API say so in different ways; the
        result is then empty, and the caller checks referrers tags. Anything
        that may be a list but cannot be read is an error, because ignoring it
        would lose signatures.

        Raises:
            InvalidManifestError: The list is not an index, has more than 2,000
                entries or 50 pages, or continues on another host.
            AccessError, ThrottledError, RejectedError: The request failed.

        References:
            OCI distribution-spec v1.1, "Listing Referrers".
        """
        url = f"{repository.url}/referrers/{subject}"
        found: list[Descriptor] = []
        for _ in range(REFERRERS_PAGES_MAX):
            chain, response = self._authenticated("GET", url, doing=_LIST)
            if response.status in NO_SUCH_LIST or (response.status == _OK and not is_list(response)):
                return found
            if response.status != _OK:
                error = self.error(chain.doing, response.status, response.body, by=chain.host)
                raise error
            found.extend(_listed(response))
            if len(found) > REFERRERS_MAX:
                message = f"registry {repository.host} lists more than {REFERRERS_MAX} referrers of {subject}"
                raise InvalidManifestError(message)
            if not (following := next_page(response, url)):
                return found
            url = following
        message = f"registry {repository.host} lists more than {REFERRERS_PAGES_MAX} pages of referrers of {subject}"
        raise InvalidManifestError(message)

    def open_blob(self, repository: Repository, digest: Digest, start: int, size: int | None = None) -> Iterator[bytes]:
        """
        Stream a blob from offset *start* on, in chunks of at most 1 MiB.

        The registry may lead elsewhere for the bytes; no credentials go
        there. One that ignores or refuses the range sends everything, and
        what the caller has already is dropped.

        Args:
            size: Of the whole blob, in bytes. Default: not known.

        Raises:
            NotFoundError: The registry does not have it.
            UnavailableError: The stream broke off; at any chunk.
            AccessError: Not allowed, or a redirect that must not be followed.
        """
        url = f"{repository.url}/blobs/{digest}"
        chain, stream = self._follow(url, _range_header(start, size))
        if start and (stream.status not in {_OK, _PARTIAL, THROTTLED} or stream.is_encoded(size, start)):
            # Registries refuse a range with many statuses. The range of an encoded content says nothing about the blob.
            stream.close()
            chain, stream = self._follow(url, {})
        if stream.status not in {_OK, _PARTIAL}:
            error = self.error(_BLOB, stream.status, stream.error_body(), by=chain.host)
            if chain.hops and isinstance(error, AccessError):
                # The registry granted access, but its storage did not: the presigned URL may have expired.
                raise UnavailableError(error.message, operation=error.operation, hint=error.hint)
            raise error
        is_part = stream.status == _PARTIAL and stream.length != size
        skip = _skipped(start, stream.headers.get("Content-Range", ""), _BLOB) if is_part else start
        chunks = stream.decoded(CHUNK_BYTES) if stream.is_encoded(size) else stream.chunks(CHUNK_BYTES)
        for chunk in chunks:
            # An empty chunk would look like progress, and reset the retries.
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def _follow(self, url: str, headers: Mapping[str, str]) -> tuple[RedirectChain, StreamingResponse]:
        """Open a blob and follow redirects, usually to storage that needs no credentials."""
        chain, auth, sent = RedirectChain(url, _BLOB), self.auth, self.auth.header()
        while True:
            stream = self._open(chain.url, {**headers, **sent})
            if stream.status == _UNAUTHORIZED or (not chain.hops and stream.status in UNAUTHENTICATED):
                stream.close()
                self._log_in(auth, chain.url)
                stream = self._open(chain.url, {**headers, **auth.header()})
            if stream.status not in REDIRECTS:
                return chain, stream
            stream.close()
            chain.follow(stream.headers.get("Location", ""))
            auth = self.auth if chain.on_origin_host else self.anonymous.for_url(chain.url)
            sent = {} if chain.on_origin_host else auth.header()

    def _open(self, url: str, headers: Mapping[str, str]) -> StreamingResponse:
        return self.transport.open("GET", url, headers, doing=_BLOB)

    def _log_in(self, auth: RegistryAuth, url: str) -> None:
        """Get a token for a blob without reading it. Not with HEAD, to which some registries respond differently."""

        def send(header: Mapping[str, str]) -> HttpResponse:
            stream = self._open(url, header)
            stream.close()
            return HttpResponse(status=stream.status, headers=stream.headers, body=b"")

        auth.request(self.transport, send)

    def _read(self, repository: Repository, reference: str, limit: int = MANIFEST_MAX_BYTES) -> HttpResponse:
        response = self._request("GET", repository, reference, limit)
        if response.body[:_SNIFFED_BYTES].lstrip().startswith(b"<"):
            message = f"registry {repository.host} returned a web page, not a manifest"
            hint = "check that this host is a registry, and whether it requires credentials"
            raise InvalidManifestError(message, hint=hint)
        return response

    def _request(
        self, method: str, repository: Repository, reference: str, limit: int = MANIFEST_MAX_BYTES
    ) -> HttpResponse:
        url = f"{repository.url}/manifests/{reference}"
        chain, response = self._authenticated(method, url, limit)
        if response.status != _OK:
            error = self.error(chain.doing, response.status, response.body, by=chain.host)
            raise error
        return response

    def _authenticated(
        self, method: str, url: str, limit: int = MANIFEST_MAX_BYTES, doing: str = ""
    ) -> tuple[RedirectChain, HttpResponse]:
        """Send a request and follow redirects; other hosts receive no credentials."""
        chain = RedirectChain(url, doing or f"{method} manifest")

        def send(header: Mapping[str, str]) -> HttpResponse:
            headers = {"Accept": _ACCEPT, **header}
            return self.transport.send(method, chain.url, headers, limit=limit, doing=chain.doing)

        while True:
            auth = self.auth if chain.on_origin_host else self.anonymous.for_url(chain.url)
            response = auth.request(self.transport, send)
            if response.status not in REDIRECTS:
                return chain, response
            chain.follow(response.headers.get("Location", ""))

    def error(self, doing: str, status: int, body: bytes, *, by: str = "") -> RemoteError:
        """
        Return the error for a failed request.

        Args:
            body: The body of the response, which may have a message.
            by: The host that responded. Default: the registry.
        """
        said, own = self.auth.said(body), urlsplit(self.auth.registry.url).netloc
        hint = self._hint(status, said)
        return failure(doing, self.auth.registry, status, hint=hint, said=said, by=by if by != own else "")

    def _hint(self, status: int, said: str) -> str | None:
        if status == THROTTLED:
            is_anonymous = not (self.auth.has_credentials or self.auth.role_needs)
            return "registries limit anonymous clients most: declare credentials for this one" if is_anonymous else None
        if self.auth.hint is not None:
            return self.auth.hint
        if not self.auth.role_needs:
            unless = "if the message of the registry names no other cause, " if said else ""
            return f"{unless}check the credentials that are declared for it"
        return (
            f"allow {' and '.join(self.auth.role_needs)} on the repository in the role of the handler function and, "
            "if the repository is in another account, in its policy"
        )


def _parsed(response: HttpResponse, listed_as: str = "") -> Manifest:
    """
    Parse the manifest in a response.

    Args:
        listed_as: The media type in the descriptor, used if the Content-Type
            of the response is not that of a manifest.
    """
    with _PARSING:
        return Manifest.parse(response.body, manifest_type(response) or listed_as)


def _listed(response: HttpResponse) -> tuple[Descriptor, ...]:
    """Parse a list of referrers, which may have a generic Content-Type."""
    with _PARSING:
        return Manifest.parse(response.body, ManifestMediaType.OCI_INDEX).children


def _range_header(start: int, size: int | None) -> dict[str, str]:
    """
    Return the header that requests a blob from offset *start*.

    If the size is known, the range has an end: some registries return 416 for
    an open range.
    """
    if not start:
        return {}
    return {"Range": f"bytes={start}-{size - 1 if size else ''}"}


def _skipped(start: int, content_range: str, doing: str) -> int:
    """
    Return how many bytes of a 206 response the caller has already.

    Raises:
        UnavailableError: The response starts after the requested offset.

    References:
        RFC 9110, 14.4.
    """
    match = _CONTENT_RANGE.fullmatch(content_range)
    first = int(match["first"]) if match else start
    if first > start:
        message = (
            f"{doing} failed: requested bytes from offset {start}, but the registry sent bytes from offset {first}"
        )
        raise UnavailableError(message, operation=doing)
    return start - first
