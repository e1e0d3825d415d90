"""A proxy in front of a sandbox's S3, which can break connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from cdk_ecrpublic.sandbox import SandboxProcess

BUCKET = "archives"
_PASSED_ON = ("Content-Length", "Content-Range", "Content-Type", "ETag")


@dataclass
class Bucket:
    """
    A bucket behind the proxy, and the faults of the proxy.

    Attributes:
        url: The value for ``AWS_ENDPOINT_URL_S3``.
        ranges: The ``Range`` of each GetObject.
        cuts: After how many bytes the body of each of the next responses breaks off.
        denies: Whether every GetObject is denied.
        before_get: Is called at each GetObject with its number, starting at 1.
    """

    url: str
    client: Any
    ranges: list[str] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    before_get: Callable[[int], None] = lambda _: None
    denies: bool = False

    def mend(self) -> None:
        """Remove all faults."""
        self.ranges.clear()
        self.cuts.clear()
        self.before_get, self.denies = lambda _: None, False

    def put(self, key: str, content: bytes) -> dict[str, object]:
        """Store an object, and return its source property."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return {"Archive": {"Bucket": BUCKET, "Key": key}}

    def answer(self, request: BaseHTTPRequestHandler, upstream: str) -> None:
        """Forward a GET, and return the response, or the part before the cut."""
        self.ranges.append(request.headers["Range"])
        self.before_get(len(self.ranges))
        if self.denies:
            _deny(request)
            return
        names = ("Authorization", "Range", "If-Match")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        found = urllib3.request("GET", upstream + request.path, headers=headers, retries=False, decode_content=False)
        request.send_response(found.status)
        for name in (name for name in _PASSED_ON if name in found.headers):
            request.send_header(name, found.headers[name])
        request.end_headers()
        # Opening an object reads one byte. Cuts apply only to later reads.
        limit = self.cuts.pop(0) if self.cuts and len(found.data) > 1 else len(found.data)
        request.wfile.write(found.data[:limit])
        request.close_connection = limit < len(found.data)


def _deny(request: BaseHTTPRequestHandler) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    request.send_response(403)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def serve_bucket(aws: SandboxProcess) -> Iterator[Bucket]:
    """Run the proxy in front of a bucket of *aws*."""

    class Line(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            bucket.answer(self, aws.url)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Line) as server:
        server.daemon_threads = True
        client = aws.client("s3")
        client.create_bucket(Bucket=BUCKET)
        bucket = Bucket(f"http://127.0.0.1:{server.server_port}", client)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield bucket
        server.shutdown()
