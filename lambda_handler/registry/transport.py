"""HTTP with everything bounded: the time, the size of an answer, where it may lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import urllib3

from ..clock import Deadline
from ..errors import IntegrityError, UnavailableError

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""For each read from the socket; the deadline bounds their sum."""

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, its body read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Transport:
    """
    Sends requests, one attempt each: no retries, no redirects, no cookies, no proxies.

    Attributes:
        pool: Keeps connections from one request to the next.
        deadline: No request outlives it.
    """

    pool: urllib3.PoolManager
    deadline: Deadline

    def send(self, method: str, url: str, headers: Mapping[str, str], *, limit: int, doing: str) -> Reply:
        """
        Send a request without a body and read its answer.

        Args:
            method: ``GET`` or ``HEAD``.
            url: May carry nothing secret: it is not logged, but others may.
            headers: Sent to this address only.
            limit: The longest body to accept, in bytes.
            doing: For messages: ``GET manifest``.

        Raises:
            UnavailableError: No answer, or one that broke off.
            IntegrityError: The body is longer than *limit*.
            DeadlineError: There is no time left.
        """
        self.deadline.check(doing)
        try:
            response = self.pool.request(
                method,
                url,
                headers=dict(headers),
                timeout=self._timeout(),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                body = self._read(response, limit, doing)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # The text of urllib3's own errors holds addresses; its name says enough.
            message = f"{doing} failed: no complete answer ({type(error).__name__})"
            raise UnavailableError(message, operation=doing) from error
        return Reply(status=response.status, headers=response.headers, body=body)

    def _timeout(self) -> urllib3.Timeout:
        left = self.deadline.remaining
        return urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=min(READ_SECONDS, left))

    def _read(self, response: urllib3.BaseHTTPResponse, limit: int, doing: str) -> bytes:
        """Read the body in pieces, so that neither an endless nor a dripping one goes on for ever."""
        body = bytearray()
        while piece := response.read(_CHUNK_BYTES):
            body += piece
            if len(body) > limit:
                response.close()
                message = f"{doing} failed: the answer is longer than the {limit} bytes allowed"
                raise IntegrityError(message)
            self.deadline.check(doing)
        return bytes(body)
