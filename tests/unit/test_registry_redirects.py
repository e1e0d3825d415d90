"""Registries that redirect requests for manifests, lists and blobs, over real sockets."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler

import pytest
import urllib3

from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import (
    AccessError,
    InvalidManifestError,
    RemoteError,
    UnavailableError,
)
from lambda_handler.log import Log
from lambda_handler.oci import Descriptor, Digest, RegistryHost, Repository
from lambda_handler.registry import RegistryClient, Transport
from lambda_handler.registry.auth import RegistryAuth
from lambda_handler.registry.redirects import host_in, target
from lambda_handler.registry.remote import RegistryRepository
from lambda_handler.retry import ATTEMPTS, Retry
from tests.support.clock import SteppingClock
from tests.support.memory import image_of
from tests.support.web_server import WebServer, send, web_server

IMAGE = image_of(b"config").content
TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = bytes(range(256)) * 4
DIGEST = Digest.of(LAYER)


@pytest.fixture
def servers() -> Iterator[list[WebServer]]:
    """Two servers on this machine; the first is the registry."""
    with ExitStack() as stack:
        yield [stack.enter_context(web_server()) for _ in range(2)]


def client(server: WebServer, current: str = "t0ken") -> tuple[RegistryClient, Repository]:
    host = RegistryHost.parse(server.host)
    transport = Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock()))
    auth = RegistryAuth(host, lambda: "me:s3cret", current=current)
    return RegistryClient(transport, auth), Repository(host, "a/b")


def download(server: WebServer, start: int = 0, size: int | None = len(LAYER)) -> bytes:
    registry, repository = client(server)
    return b"".join(registry.open_blob(repository, DIGEST, start, size))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_a_redirect_of_a_manifest(servers: list[WebServer], status: int) -> None:
    registry, other = servers
    registry.answer = lambda request: send(request, status, Location=f"{other.url}/v2/x/y/manifests/1")
    other.answer = lambda request: send(request, 200, IMAGE, TYPE)
    asked, repository = client(registry)

    assert asked.read_tag(repository, "1").content == IMAGE
    assert asked.has(repository, "1")
    assert registry.authorizations == ["Bearer t0ken"] * 2
    assert other.authorizations == [None] * 2


def test_keeps_credentials_if_the_host_does_not_change(servers: list[WebServer]) -> None:
    registry = servers[0]
    registry.answer = lambda request: (
        send(request, 200, IMAGE, TYPE)
        if request.path == "/v2/new/manifests/1"
        else send(request, 307, Location="../../../new/manifests/1")
    )
    asked, repository = client(registry)

    assert asked.read_tag(repository, "1").content == IMAGE
    assert registry.authorizations == ["Bearer t0ken"] * 2


def test_never_sends_credentials_again_after_the_host_has_changed(servers: list[WebServer]) -> None:
    registry, other = servers
    registry.answer = lambda request: (
        send(request, 200, IMAGE, TYPE) if request.path == "/back" else send(request, 302, Location=f"{other.url}/on")
    )
    other.answer = lambda request: send(request, 302, Location=f"{registry.url}/back")
    asked, repository = client(registry)

    asked.read_tag(repository, "1")

    assert registry.authorizations == ["Bearer t0ken", None]
    assert other.authorizations == [None]


def asks_for_a_token(server: WebServer, contents: Mapping[str, bytes]) -> object:
    def answer(request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        if path == "/token":
            send(request, 200, b'{"token": "visitor"}')
        elif request.headers.get("Authorization") != "Bearer visitor":
            send(request, 401, WWW_Authenticate=f'Bearer realm="{server.url}/token",service="s"')
        else:
            send(request, 200, contents[path], TYPE)

    return answer


def test_the_other_host_may_require_its_own_anonymous_token(servers: list[WebServer]) -> None:
    """A custom domain in front of a registry: the other host serves everything, and accepts no credentials."""
    registry, other = servers
    contents = {"/v2/x/y/manifests/1": IMAGE, f"/v2/x/y/blobs/{DIGEST}": LAYER}
    other.answer = asks_for_a_token(other, contents)  # type: ignore[assignment]
    registry.answer = lambda request: send(request, 302, Location=other.url + request.path.replace("/a/b/", "/x/y/"))
    asked, repository = client(registry)

    assert asked.read_tag(repository, "1").content == IMAGE
    assert b"".join(asked.open_blob(repository, DIGEST, 0, len(LAYER))) == LAYER
    assert [path for path in other.paths if "token" in path] == ["/token?service=s&scope=repository%3Ax%2Fy%3Apull"]
    assert {"Bearer t0ken", "Basic bWU6czNjcmV0"} & {*other.authorizations} == set()


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/x",
        "ftp://example.com/x",
        "https://127.0.0.1.:1/",
        "https://me@example.com/",
        "//[",
        "http://",
    ],
)
def test_refuses_a_redirect_of_a_manifest_to_an_unsafe_url(servers: list[WebServer], location: str) -> None:
    servers[0].answer = lambda request: send(request, 302, Location=location)
    asked, repository = client(servers[0])

    with pytest.raises((AccessError, UnavailableError)):
        asked.read_tag(repository, "1")


@pytest.mark.parametrize(
    "location",
    [
        "https://my_bucket.s3.amazonaws.com/k?X-Amz-Signature=a",
        "https://my_bucket.storage.googleapis.com:443/k",
        "https://blobs.example.com./k",
        "https://blobs.example.com.:443/k",
    ],
)
def test_follows_redirects_to_hosts_of_storage(location: str) -> None:
    assert target("https://registry.example.com/v2/a/blobs/sha256:1", location, "GET blob") == location


@pytest.mark.parametrize("host", ["localhost.", "127.0.0.1.:80", "LOCALHOST", "[::1]"])
def test_follows_no_redirect_to_this_machine(host: str) -> None:
    with pytest.raises((AccessError, UnavailableError)):
        target("https://registry.example.com/v2/a/blobs/sha256:1", f"https://{host}/x", "GET blob")


def test_limits_the_number_of_redirects_of_a_manifest(servers: list[WebServer]) -> None:
    servers[0].answer = lambda request: send(request, 302, Location=request.path)
    asked, repository = client(servers[0])

    with pytest.raises(UnavailableError, match="more than 5 redirects"):
        asked.read_tag(repository, "1")

    assert len(servers[0].asked) == 6


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
def test_a_redirect_without_a_location_fails_immediately(servers: list[WebServer], headers: dict[str, str]) -> None:
    servers[0].answer = lambda request: send(request, 302, b"", "text/plain", **headers)
    asked, repository = client(servers[0])

    with pytest.raises(UnavailableError, match=f"{servers[0].host} sent a redirect without a valid location"):
        asked.read_tag(repository, "1")

    assert len(servers[0].asked) == 1


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("http://registry.example.com/x%2fy?a=b", "https://registry.example.com/x%2fy?a=b"),
        ("HTTP://Registry.example.com/x", "https://Registry.example.com/x"),
        ("http://other.example.com/x", None),
        ("http://registry.example.com:80/x", None),
    ],
)
def test_uses_https_although_a_registry_behind_a_proxy_says_http(location: str, found: str | None) -> None:
    url = "https://registry.example.com/v2/a/blobs/x"
    if found is not None:
        assert target(url, location, "GET blob") == found
        return
    with pytest.raises(AccessError, match="redirects to plain http"):
        target(url, location, "GET blob")


@pytest.mark.parametrize("relative", [True, False])
def test_percent_encodes_a_location_in_utf_8(servers: list[WebServer], relative: bool) -> None:  # noqa: FBT001 - a table
    registry = servers[0]
    location = f"{'' if relative else registry.url}/é?sig=ü".encode().decode("latin-1")
    registry.answer = lambda request: (
        send(request, 302, Location=location) if "/v2/" in request.path else send(request, 200, IMAGE, TYPE)
    )
    asked, repository = client(registry)

    assert asked.read_tag(repository, "1").content == IMAGE
    assert registry.paths[-1] == "/%C3%A9?sig=%C3%BC"


@pytest.mark.parametrize(
    "signed",
    [
        "/bucket/a%2fb?X-Sig=ab%2bcd%3d&k=a+b",
        "/a/../b/./c?x=%7e~",
        "/a//b?u=http://x/y",
        "/a?q='[]|{}^`\"",
        "/%E2%82%ac?%zz",
        "/a?",
        "?a=b",
    ],
)
def test_keeps_a_signed_url_byte_for_byte(servers: list[WebServer], signed: str) -> None:
    registry, storage = servers
    registry.answer = lambda request: send(request, 307, Location=storage.url + signed)
    storage.answer = lambda request: send(request, 200, LAYER)

    assert download(registry) == LAYER
    assert storage.paths == [signed if signed.startswith("/") else f"/{signed}"]


def test_percent_encodes_invalid_characters_of_a_location(servers: list[WebServer]) -> None:
    registry, storage = servers
    registry.answer = lambda request: send(request, 307, Location=f"{storage.url}/a b")
    storage.answer = lambda request: send(request, 200, LAYER)

    assert download(registry) == LAYER
    assert storage.paths == ["/a%20b"]


def test_resumes_a_download_with_a_closed_range(servers: list[WebServer]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers["Range"] == "bytes=1000-1023":
            send(request, 206, LAYER[1000:], Content_Range="bytes 1000-1023/1024")
        else:
            send(request, 416)

    servers[0].answer = answer

    assert download(servers[0], 1000) == LAYER[1000:]


@pytest.mark.parametrize("status", [400, 405, 416, 501])
def test_restarts_a_download_if_the_range_is_refused(servers: list[WebServer], status: int) -> None:
    servers[0].answer = lambda request: (
        send(request, status) if "Range" in request.headers else send(request, 200, LAYER)
    )

    assert download(servers[0], 1000) == LAYER[1000:]


@pytest.mark.parametrize(
    ("content_range", "first"), [("bytes 900-1023/1024", 900), ("bytes 0-1023/*", 0), ("", 1000), ("x", 1000)]
)
def test_drops_bytes_before_the_requested_range(servers: list[WebServer], content_range: str, first: int) -> None:
    servers[0].answer = lambda request: send(request, 206, LAYER[first:], Content_Range=content_range)

    assert download(servers[0], 1000) == LAYER[1000:]


def test_refuses_a_part_that_begins_after_the_requested_range(servers: list[WebServer]) -> None:
    servers[0].answer = lambda request: send(request, 206, LAYER[1010:], Content_Range="bytes 1010-1023/1024")

    with pytest.raises(
        UnavailableError, match="requested bytes from offset 1000, but the registry sent bytes from offset 1010"
    ):
        download(servers[0], 1000)


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_gives_up_on_a_blob_that_is_always_too_short(servers: list[WebServer], length: int) -> None:
    """Bytes that are dropped after resuming do not count as progress."""
    servers[0].answer = lambda request: send(request, 200, LAYER[:length])
    asked, repository = client(servers[0])
    retry = Retry(Deadline.after(600, SteppingClock()), Log())
    blob = Descriptor(media_type="application/octet-stream", digest=DIGEST, size=len(LAYER))

    with pytest.raises(UnavailableError, match=f"ended after {length} of {len(LAYER)} bytes"):
        list(RegistryRepository(asked, repository, retry).blob(blob))

    assert len(servers[0].asked) == ATTEMPTS


def listing(*subjects: bytes) -> bytes:
    entries = [{"mediaType": TYPE, "digest": str(Digest.of(each)), "size": len(each)} for each in subjects]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def referrers(server: WebServer) -> list[Digest]:
    registry, repository = client(server)
    return [entry.digest for entry in registry.referrers(repository, DIGEST)]


@pytest.mark.parametrize(
    "kind",
    [
        INDEX,
        INDEX.upper(),
        f"{INDEX}; charset=utf-8",
        "application/json",
        "application/json; charset=utf-8",
        "application/vnd.oci.image.index.v2+json",
        "application/octet-stream",
        "text/plain",
        "",
    ],
)
def test_accepts_a_list_with_any_content_type(servers: list[WebServer], kind: str) -> None:
    servers[0].answer = lambda request: send(request, 200, listing(b"1"), kind)

    assert referrers(servers[0]) == [Digest.of(b"1")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>", "text/html"), (listing(b"1"), "text/html; charset=utf-8"), (b"no", "text/plain"), (b"", "")],
)
def test_a_web_page_counts_as_no_referrers(servers: list[WebServer], body: bytes, kind: str) -> None:
    servers[0].answer = lambda request: send(request, 200, body, kind)

    assert referrers(servers[0]) == []


@pytest.mark.parametrize("body", [b'{"errors": []}', b"{}", b"[]", b"", b"<html>", IMAGE])
def test_json_that_is_not_a_list_is_an_error(servers: list[WebServer], body: bytes) -> None:
    servers[0].answer = lambda request: send(request, 200, body, "application/json")

    with pytest.raises(InvalidManifestError):
        referrers(servers[0])


def test_follows_a_redirect_of_a_list_and_ignores_a_web_page_there(servers: list[WebServer]) -> None:
    registry, other = servers
    registry.answer = lambda request: send(request, 302, Location=f"{other.url}/list")
    other.answer = lambda request: send(request, 200, listing(b"1"), INDEX)
    assert referrers(registry) == [Digest.of(b"1")]

    other.answer = lambda request: send(request, 200, b"<html>", "text/html")
    assert referrers(registry) == []


@pytest.mark.parametrize("status", [204, 400, 404, 405, 406, 410, 501])
def test_recognizes_the_ways_to_say_that_there_is_no_list(servers: list[WebServer], status: int) -> None:
    servers[0].answer = lambda request: send(request, status)

    assert referrers(servers[0]) == []


@pytest.mark.parametrize("status", [402, 403, 408, 409, 424, 425, 429, 451, 500, 503, 504])
def test_any_other_response_is_an_error_so_that_no_signature_is_lost(servers: list[WebServer], status: int) -> None:
    servers[0].answer = lambda request: send(request, status)

    with pytest.raises(RemoteError, match=f"returned {status}"):
        referrers(servers[0])


@pytest.mark.parametrize(
    "link",
    [
        "</v2/a/b/referrers/more>; rel=next",
        '</v2/a/b/referrers/more>; title="a, b"; REL="Next"',
        '</x>; rel="prev", </v2/a/b/referrers/more>; rel="last next"',
        "<more>;rel = next",
        '<{url}/v2/a/b/referrers/more>; rel="next"',
    ],
)
def test_follows_any_form_of_link_to_the_next_page(servers: list[WebServer], link: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.endswith("/more"):
            send(request, 200, listing(b"2"), INDEX)
        else:
            send(request, 200, listing(b"1"), INDEX, Link=link.format(url=servers[0].url))

    servers[0].answer = answer

    assert referrers(servers[0]) == [Digest.of(b"1"), Digest.of(b"2")]


@pytest.mark.parametrize("link", ["/v2/a/b/referrers/more; rel=next", "<more; rel=next", "more"])
def test_an_unreadable_link_is_an_error(servers: list[WebServer], link: str) -> None:
    servers[0].answer = lambda request: send(request, 200, listing(b"1"), INDEX, Link=link)

    with pytest.raises(InvalidManifestError, match="has an invalid Link header"):
        referrers(servers[0])


def test_uses_get_if_a_registry_does_not_support_head(servers: list[WebServer]) -> None:
    servers[0].answer = lambda request: (
        send(request, 405)
        if request.command == "HEAD"
        else send(request, *((200, IMAGE, TYPE) if request.path.endswith("/1") else (404,)))
    )
    asked, repository = client(servers[0])

    assert asked.has(repository, "1")
    assert not asked.has(repository, "2")


def test_uses_get_if_head_is_redirected_to_a_url_signed_for_get(servers: list[WebServer]) -> None:
    """GitLab's virtual registries do that (moby/moby#50065)."""
    registry, storage = servers
    registry.answer = lambda request: send(request, 307, Location=f"{storage.url}/signed")
    storage.answer = lambda request: (
        send(request, 403) if request.command == "HEAD" else send(request, 200, IMAGE, TYPE)
    )
    asked, repository = client(registry)

    assert asked.has(repository, "1")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://my_bucket.example.com/k", "my_bucket.example.com"),
        ("https://Blobs.example.com.:444/k", "blobs.example.com:444"),
        ("https://[::1]:5000/k", "[::1]:5000"),
    ],
)
def test_the_host_of_a_url_is_not_another_host(url: str, host: str) -> None:
    assert str(host_in(url)) == host


def test_what_follows_an_encoded_blob_is_not_kept(servers: list[WebServer]) -> None:
    content = gzip.compress(LAYER) + bytes(64 * 1024 * 1024)
    servers[0].answer = lambda request: send(request, 200, content, Content_Encoding="gzip")
    asked, repository = client(servers[0])

    tracemalloc.start()
    received = b"".join(asked.open_blob(repository, DIGEST, 0, len(LAYER)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert received == LAYER
    assert peak < 16 * 1024 * 1024
