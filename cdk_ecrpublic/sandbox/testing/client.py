"""A small container client, which pushes and pulls like other tools, with urllib3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import urllib3

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType, Repository

ACCEPT = ", ".join(ManifestMediaType)

OK, CREATED, ACCEPTED = 200, 201, 202
REDIRECTS = (302, 307)
UNAUTHORIZED, NOT_FOUND = 401, 404

WRONG_BYTES = "DIGEST_INVALID"
"""The error code if the registry sends content that does not match the digest."""

CHALLENGE = "finding where to authenticate"

_REALM = re.compile(r'realm="([^"]+)"')
_NEXT = re.compile(r'<([^>]+)>; *rel="next"')


class RegistryError(Exception):
    """
    The registry sent an unexpected response.

    Attributes:
        status: The HTTP status.
        code: The error code of the registry; empty if there is none.
    """

    def __init__(self, request: str, status: int, code: str = "") -> None:
        super().__init__(f"{request} failed: the registry answered {status} {code}".rstrip())
        self.status = status
        self.code = code


@dataclass(slots=True)
class RegistryClient:
    """
    A client of one repository.

    Attributes:
        login: ``user:password``; None means anonymous.
    """

    repository: Repository
    login: str | None
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))
    _authorization: Mapping[str, str] = field(default_factory=dict, repr=False)

    def put_blob(self, digest: str, content: bytes) -> None:
        """Upload a blob if it does not exist: one POST, one PATCH with all bytes, one PUT."""
        if self._request("HEAD", f"blobs/{digest}", allowed=(OK, NOT_FOUND)).status == OK:
            return
        started = self._request("POST", "blobs/uploads/", allowed=(ACCEPTED,))
        headers = {"Content-Type": "application/octet-stream"}
        sent = self._request("PATCH", started.headers["Location"], (CREATED, ACCEPTED), body=content, headers=headers)
        location = sent.headers["Location"]
        separator = "&" if "?" in location else "?"
        self._request("PUT", f"{location}{separator}digest={digest}", (CREATED,))

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> None:
        """Put a manifest by tag or digest."""
        headers = {"Content-Type": media_type}
        self._request("PUT", f"manifests/{reference}", (CREATED,), body=content, headers=headers)

    def get_manifest(self, reference: str) -> tuple[bytes, str]:
        """
        Read a manifest and its media type.

        Raises:
            RegistryError: It does not exist, or does not match the digest.
        """
        answer = self._request("GET", f"manifests/{reference}", headers={"Accept": ACCEPT})
        self._check(reference, answer)
        return answer.data, answer.headers["Content-Type"]

    def get_blob(self, digest: str) -> bytes:
        """
        Read a blob. The token is not sent along a redirect.

        Raises:
            RegistryError: It does not exist, or does not match the digest.
        """
        answer = self._request("GET", f"blobs/{digest}", allowed=(OK, *REDIRECTS))
        if answer.status in REDIRECTS:
            answer = self._pool.request("GET", urljoin(self._base, answer.headers["Location"]), redirect=False)
        self._check(digest, answer)
        return answer.data

    def digest_of(self, reference: str) -> str:
        """Return the digest that a tag points to."""
        answer = self._request("HEAD", f"manifests/{reference}", headers={"Accept": ACCEPT})
        return str(answer.headers["Docker-Content-Digest"])

    def tags(self) -> list[str]:
        """List the tags of all pages."""
        found: list[str] = []
        url = "tags/list"
        while url:
            answer = self._request("GET", url)
            found += answer.json()["tags"]
            following = _NEXT.search(answer.headers.get("Link", ""))
            url = following[1] if following else ""
        return found

    def referrers(self, digest: str) -> list[str]:
        """Return the digests of the referrers of an image."""
        answer = self._request("GET", f"referrers/{digest}")
        return [entry["digest"] for entry in answer.json()["manifests"]]

    @property
    def _base(self) -> str:
        return f"{self.repository.host.url}/v2/{self.repository.path}/"

    def _check(self, reference: str, answer: urllib3.BaseHTTPResponse) -> None:
        if answer.status != OK or (":" in reference and str(Digest.of(answer.data)) != reference):
            raise RegistryError(reference, answer.status, _code(answer) if answer.status != OK else WRONG_BYTES)

    def _request(
        self,
        method: str,
        path: str,
        allowed: tuple[int, ...] = (OK,),
        **options: Any,  # noqa: ANN401 - urllib3's
    ) -> urllib3.BaseHTTPResponse:
        answer = self._send(method, path, **options)
        if answer.status == UNAUTHORIZED:
            self._authorization = self._answer(answer.headers.get("WWW-Authenticate", ""))
            answer = self._send(method, path, **options)
        if answer.status not in allowed:
            request = f"{method} {path.partition('?')[0]}"
            raise RegistryError(request, answer.status, _code(answer))
        return answer

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        url = urljoin(self._base, path)
        given = {**(headers or {}), **self._authorization}
        return self._pool.request(method, url, body=body, headers=given, redirect=False)

    def _answer(self, challenge: str) -> Mapping[str, str]:
        """Return the login, or a token from the endpoint in the challenge."""
        login = urllib3.make_headers(basic_auth=self.login) if self.login else {}
        if challenge.startswith("Basic "):
            return login
        realm = _REALM.search(challenge)
        if realm is None:
            raise RegistryError(CHALLENGE, UNAUTHORIZED)
        answer = self._pool.request("GET", realm[1], headers=login)
        if answer.status != OK:
            raise RegistryError(realm[1], answer.status, _code(answer))
        return {"Authorization": f"Bearer {answer.json()['token']}"}


def _code(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(answer.json()["errors"][0]["code"])
    except (ValueError, LookupError, TypeError):
        return ""
