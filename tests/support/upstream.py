"""A registry with real images, whose behavior a test can change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.oci import Digest
from tests.support.web_server import WebServer, send, web_server

Behaviour = Callable[[BaseHTTPRequestHandler], bool]
"""Responds to a request, or returns False so that the registry responds."""


@dataclass
class UpstreamRegistry:
    """
    Serves images in any repository, without authentication.

    Attributes:
        behaviour: May respond instead of the registry.
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
        """Add an image with all its manifests and blobs."""
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
    """Run such a registry on this machine."""
    with web_server() as server:
        registry = UpstreamRegistry(server)
        server.answer = registry.answer
        yield registry
