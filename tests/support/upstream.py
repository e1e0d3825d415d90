"""A registry that a test makes behave as it likes, with real images in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.oci import Digest
from tests.support.web_server import WebServer, send, web_server

Behaviour = Callable[[BaseHTTPRequestHandler], bool]
"""Responds to a request, and says whether it did; otherwise the registry does."""


@dataclass
class UpstreamRegistry:
    """
    Serves images in any repository, to everybody.

    Attributes:
        behaviour: What comes before what a registry does.
    """

    server: WebServer
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    behaviour: Behaviour = lambda _: False

    @property
    def host(self) -> str:
        return self.server.host

    @property
    def url(self) -> str:
        return self.server.url

    def push(self, image: Image, *tags: str) -> Image:
        """Add an image with all that is below it."""
        for reference in (image.digest, *tags):
            self.manifests[reference] = (image.manifest, image.media_type)
        self.blobs |= image.blobs
        for child in image.children:
            self.push(child)
        return image

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.behaviour(request):
            return
        path, _, reference = request.path.partition("?")[0].rpartition("/")
        if request.path == "/v2/":
            send(request, 200, b"{}", "application/json")
        elif path.endswith("/manifests") and reference in self.manifests:
            content, kind = self.manifests[reference]
            send(request, 200, content, kind, Docker_Content_Digest=str(Digest.of(content)))
        elif path.endswith("/blobs") and reference in self.blobs:
            send(request, 200, self.blobs[reference], "application/octet-stream", Accept_Ranges="bytes")
        else:
            send(request, 404, b"{}", "application/json")


@contextmanager
def upstream_registry() -> Iterator[UpstreamRegistry]:
    """Run one on this machine."""
    with web_server() as server:
        registry = UpstreamRegistry(server)
        server.answer = registry.answer
        yield registry
