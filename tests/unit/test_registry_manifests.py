"""Manifests with wrong or missing headers: media type, encoding and others."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator

import pytest

from lambda_handler.errors import ImageError, IntegrityError, InvalidManifestError, RejectedError, UnavailableError
from lambda_handler.oci import Digest
from tests.support.web_server import WebServer, send, web_server
from tests.unit.test_registry_redirects import DIGEST, IMAGE, INDEX, LAYER, TYPE, client, download, listing, referrers


@pytest.fixture
def servers() -> Iterator[list[WebServer]]:
    """A list of one server on this machine."""
    with web_server() as server:
        yield [server]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "",
        "text/html",
        "application/x-json",
        "application/jose+json",
        "application/vnd.docker.raw-stream",
        "APPLICATION/VND.OCI.IMAGE.MANIFEST.V1+JSON",
    ],
)
def test_a_manifest_with_a_media_type_needs_no_content_type(servers: list[WebServer], kind: str) -> None:
    servers[0].answer = lambda request: send(request, 200, IMAGE, kind)
    asked, repository = client(servers[0])

    assert asked.read_tag(repository, "1").content == IMAGE


@pytest.mark.parametrize(
    "kind",
    [
        INDEX,
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.config.v1+json",
    ],
)
def test_refuses_a_content_type_that_contradicts_the_manifest(servers: list[WebServer], kind: str) -> None:
    servers[0].answer = lambda request: send(request, 200, IMAGE, kind)
    asked, repository = client(servers[0])

    with pytest.raises(InvalidManifestError, match="was given with it"):
        asked.read_tag(repository, "1")


def test_a_manifest_without_a_media_type_takes_that_of_its_descriptor(servers: list[WebServer]) -> None:
    content = json.dumps({key: value for key, value in json.loads(IMAGE).items() if key != "mediaType"}).encode()
    servers[0].answer = lambda request: send(request, 200, content, "application/octet-stream")
    asked, repository = client(servers[0])

    assert asked.read(repository, Digest.of(content), listed_as=TYPE).media_type == TYPE
    with pytest.raises(ImageError, match="has no mediaType"):
        asked.read(repository, Digest.of(content))


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>", b"\n  <html>", b'<?xml version="1.0"?>'])
@pytest.mark.parametrize("path", ["/login", ""])
def test_distinguishes_a_web_page_from_a_manifest(servers: list[WebServer], body: bytes, path: str) -> None:
    """A host may not be a registry, or may redirect anonymous clients to a login page."""
    servers[0].answer = lambda request: (
        send(request, 302, Location=path) if path and request.path != path else send(request, 200, body, "text/html")
    )
    asked, repository = client(servers[0])

    reads: tuple[Callable[[], object], ...] = (
        lambda: asked.read_tag(repository, "1"),
        lambda: asked.read(repository, DIGEST),
    )
    for read in reads:
        with pytest.raises(InvalidManifestError, match=f"registry {servers[0].host} returned a web page") as failure:
            read()
        assert failure.value.hint == "check that this host is a registry, and whether it requires credentials"


@pytest.mark.parametrize("kind", ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"])
def test_the_error_names_docker_schema_1(servers: list[WebServer], kind: str) -> None:
    body = b'{"schemaVersion": 1, "name": "a/b", "tag": "1", "architecture": "amd64", "fsLayers": [], "history": []}'
    servers[0].answer = lambda request: send(request, 200, body, kind)
    asked, repository = client(servers[0])

    with pytest.raises(InvalidManifestError, match="has schema 1 of Docker, which ECR Public does not store"):
        asked.read_tag(repository, "1")


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "x-gzip"])
def test_decompresses_a_manifest_that_is_stored_compressed(servers: list[WebServer], encoding: str) -> None:
    pages = {"manifests": IMAGE, "referrers": listing(b"1")}
    servers[0].answer = lambda request: send(
        request, 200, gzip.compress(pages[request.path.split("/")[4]]), "application/json", Content_Encoding=encoding
    )
    asked, repository = client(servers[0])

    assert asked.read(repository, Digest.of(IMAGE), size=len(IMAGE)).content == IMAGE
    assert referrers(servers[0]) == [Digest.of(b"1")]


def test_decompresses_content_that_is_shorter_than_its_compressed_form(servers: list[WebServer]) -> None:
    servers[0].answer = lambda request: send(request, 200, gzip.compress(b"{}"), Content_Encoding="gzip")
    asked, repository = client(servers[0])

    with pytest.raises(InvalidManifestError, match="has no mediaType"):
        asked.read(repository, Digest.of(b"{}"), size=2)


def test_does_not_decompress_a_layer(servers: list[WebServer]) -> None:
    """Storage often sends that header for a layer that is itself a gzip file."""
    servers[0].answer = lambda request: send(request, 200, LAYER, Content_Encoding="gzip")

    assert download(servers[0]) == LAYER


@pytest.mark.parametrize(
    ("body", "encoding", "error", "said"),
    [
        (b"x", "br", RejectedError, "has the encoding 'br', which was not requested"),
        (b"x", "gzip, gzip", RejectedError, "has the encoding 'gzip, gzip'"),
        (b"x", "gzip", UnavailableError, "is not a complete gzip file"),
        (gzip.compress(IMAGE)[:-9], "gzip", UnavailableError, "is not a complete gzip file"),
        (gzip.compress(bytes(5 * 2**20)), "gzip", IntegrityError, "longer than the allowed 4194304 bytes"),
    ],
)
def test_refuses_other_encodings(
    servers: list[WebServer], body: bytes, encoding: str, error: type[Exception], said: str
) -> None:
    servers[0].answer = lambda request: send(request, 200, body, TYPE, Content_Encoding=encoding)
    asked, repository = client(servers[0])

    with pytest.raises(error, match=said):
        asked.read_tag(repository, "1")
