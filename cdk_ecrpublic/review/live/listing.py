"""Requests to a registry that only a review sends: list the tags, check a blob or repository."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..._assets.lambda_handler.errors import UnavailableError
from ..._assets.lambda_handler.oci import MANIFEST_MAX_BYTES, Digest, Repository
from ..._assets.lambda_handler.registry import RegistryClient
from ..._assets.lambda_handler.registry.lists import next_page
from ..._assets.lambda_handler.registry.transport import HttpResponse

TAG_PAGES_MAX = 200
"""Each page has up to 1,000 tags. ECR Public's quota is 10,000 images for a repository."""

_OK, _BAD_REQUEST, _NOT_FOUND = 200, 400, 404


class ListingClient(RegistryClient):
    """A registry client with these requests."""

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """
        Whether a blob exists, without reading it.

        Raises:
            AccessError, ThrottledError, UnavailableError: The request failed.
        """
        response = self._asked("HEAD", f"{repository.url}/blobs/{digest}", "blob")
        if response.status == _NOT_FOUND:
            return False
        if response.status >= _BAD_REQUEST:
            error = self.error("HEAD blob", response.status, response.body)
            raise error
        # The registry may redirect to its storage.
        return True

    def exists(self, repository: Repository) -> bool:
        """
        Whether a repository exists, with or without tags.

        This needs GET: a missing manifest and a missing repository differ only
        in the body of the response.

        Raises:
            AccessError, ThrottledError, UnavailableError: The request failed.
        """
        response = self._asked("GET", f"{repository.url}/tags/list?n=1", "tags")
        if response.status in {_OK, _NOT_FOUND}:
            return response.status == _OK
        error = self.error("GET tags", response.status, response.body)
        raise error

    def tags(self, repository: Repository) -> list[str]:
        """
        Return all tags, in the registry's order.

        Raises:
            NotFoundError: The repository does not exist.
            UnavailableError: The list is invalid, has too many pages, or continues on another host.
            AccessError, ThrottledError: The request failed.
        """
        url = f"{repository.url}/tags/list?n=1000"
        found: list[str] = []
        for _ in range(TAG_PAGES_MAX):
            response = self._asked("GET", url, "tags")
            if response.status != _OK:
                error = self.error("GET tags", response.status, response.body)
                raise error
            found.extend(_tags(response.body))
            if not (following := next_page(response, url)):
                return found
            url = following
        message = f"{repository} lists its tags on more than {TAG_PAGES_MAX} pages"
        raise UnavailableError(message, operation="GET tags")

    def _asked(self, method: str, url: str, what: str) -> HttpResponse:
        """Send a request for something other than a manifest. Messages call it *what*."""

        def send(header: Mapping[str, str]) -> HttpResponse:
            return self.transport.send(method, url, header, limit=MANIFEST_MAX_BYTES, doing=f"{method} {what}")

        return self.auth.request(self.transport, send)


def _tags(body: bytes) -> list[str]:
    try:
        tags = json.loads(body)["tags"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = "the registry's list of tags is not valid"
        raise UnavailableError(message, operation="GET tags") from error
    return [str(tag) for tag in tags or ()]
