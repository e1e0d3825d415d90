"""Servers that behave unusually, but that container tools can read."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image
from tests.support.upstream import UpstreamRegistry, upstream_registry
from tests.support.web_server import send

from .conftest import Publisher
from .test_referrers import artifact

INDEX = "application/vnd.oci.image.index.v1+json"
BIG = build_image({"noise": random.Random(1).randbytes(300_000)})  # noqa: S311 - not a secret
Request = BaseHTTPRequestHandler


@pytest.fixture
def upstream(publisher: Publisher) -> Iterator[UpstreamRegistry]:
    del publisher
    with upstream_registry() as registry:
        registry.push(BIG, "1")
        yield registry


def publish(publisher: Publisher, upstream: UpstreamRegistry, **properties: object) -> Image:
    publisher.publish({"Image": {"Reference": f"{upstream.host}/team/app:1"}}, "1", **properties)
    return publisher.pull("1")


@pytest.mark.parametrize("status", [405, 501, 500])
def test_reads_from_a_server_without_head(publisher: Publisher, upstream: UpstreamRegistry, status: int) -> None:
    def behave(request: Request) -> bool:
        if request.command == "HEAD":
            send(request, status)
        return request.command == "HEAD"

    upstream.behaviour = behave

    assert publish(publisher, upstream, IncludeReferrers="true") == BIG


@pytest.mark.parametrize("position", [0, 1], ids=["config", "layer"])
def test_decodes_a_blob_with_an_unrequested_encoding(
    publisher: Publisher, upstream: UpstreamRegistry, position: int
) -> None:
    manifest = json.loads(BIG.manifest)
    wanted = [manifest["config"], *manifest["layers"]][position]["digest"]
    ranges = []

    def behave(request: Request) -> bool:
        if not request.path.endswith(wanted):
            return False
        ranges.append(request.headers.get("Range"))
        content = gzip.compress(BIG.blobs[wanted])
        if len(ranges) == 1 and position:
            # The connection breaks within the layer.
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n"
            request.wfile.write(head.encode() + content[:150_000])
            request.close_connection = True
            return True
        if ranges[-1]:
            part = content[int(ranges[-1].partition("=")[2].partition("-")[0]) :]
            send(request, 206, part, "application/octet-stream", Content_Encoding="gzip")
        else:
            send(request, 200, content, "application/octet-stream", Content_Encoding="gzip")
        return True

    upstream.behaviour = behave

    assert publish(publisher, upstream) == BIG


def test_ignores_an_encoding_header_that_describes_the_layer_itself(
    publisher: Publisher, upstream: UpstreamRegistry
) -> None:
    def behave(request: Request) -> bool:
        digest = request.path.rpartition("/")[2]
        if "/blobs/" in request.path:
            send(request, 200, BIG.blobs[digest], "application/octet-stream", Content_Encoding="gzip")
        return "/blobs/" in request.path

    upstream.behaviour = behave

    assert publish(publisher, upstream) == BIG


@pytest.mark.parametrize("status", [206, 400, 403, 404, 406, 412, 416, 500, 501, 503])
def test_handles_a_resumed_download_that_starts_again(
    publisher: Publisher, upstream: UpstreamRegistry, status: int
) -> None:
    digest = max(BIG.blobs, key=lambda each: len(BIG.blobs[each]))
    content, sent = BIG.blobs[digest], []

    def behave(request: Request) -> bool:
        if not request.path.endswith(digest):
            return False
        if request.headers.get("Range"):
            # Status 206 with the whole content, and without a Content-Range.
            send(request, status, content if status == 206 else b"")
            return True
        sent.append(digest)
        if len(sent) > 1:
            return False
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content[:150_000])
        request.close_connection = True
        return True

    upstream.behaviour = behave

    assert publish(publisher, upstream) == BIG


@pytest.mark.parametrize("stray", [artifact("signature", b"9"), build_image({"etc/x": b"other"})])
def test_ignores_an_entry_of_the_referrers_api_without_a_subject(
    publisher: Publisher, upstream: UpstreamRegistry, stray: Image
) -> None:
    upstream.push(stray)
    entry = {"mediaType": stray.media_type, "digest": stray.digest, "size": len(stray.manifest)}

    def behave(request: Request) -> bool:
        entries = [entry] if BIG.digest in request.path else []
        listed = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        if "/referrers/" in request.path:
            send(request, 200, listed, INDEX)
        return "/referrers/" in request.path

    upstream.behaviour = behave
    publish(publisher, upstream, IncludeReferrers="true")

    assert digests(publisher) == {BIG.digest}


def test_ignores_referrer_tags_of_a_registry_that_resolves_every_tag(
    publisher: Publisher, upstream: UpstreamRegistry
) -> None:
    other = upstream.push(build_image({"etc/x": b"other"}))

    def behave(request: Request) -> bool:
        if "/manifests/sha256-" in request.path:
            send(request, 200, other.manifest, other.media_type)
        return "/manifests/sha256-" in request.path

    upstream.behaviour = behave
    publish(publisher, upstream, IncludeReferrers="true")

    assert digests(publisher) == {BIG.digest}


def digests(publisher: Publisher) -> set[str]:
    images = publisher.sandbox.client("ecr-public").describe_images(repositoryName="acme/agent")["imageDetails"]
    return {image["imageDigest"] for image in images}
