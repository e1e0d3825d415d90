"""A hostile or broken registry: every read is bounded, and credentials go to no other host."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from lambda_handler.clock import Clock, Deadline, SystemClock
from lambda_handler.errors import (
    AccessError,
    DeadlineError,
    IntegrityError,
    InvalidManifestError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from lambda_handler.oci import Digest, RegistryHost, Repository
from lambda_handler.registry import RegistryClient, Transport
from lambda_handler.registry.auth import RegistryAuth
from tests.support.clock import SteppingClock
from tests.support.memory import image_of

DIGEST = Digest.of(b"layer")
IMAGE = image_of(b"config").content
INDEX = "application/vnd.oci.image.index.v1+json"
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """Answers every path with a function, and records the requests."""

    host: str
    answer: Answer
    authorizations: list[str | None] = field(default_factory=list)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two servers on this machine; the first is the registry."""
    started = [start() for _ in range(2)]
    yield [server for server, _ in started]
    for _, http in started:
        http.shutdown()
        http.server_close()


def start() -> tuple[Server, ThreadingHTTPServer]:
    server = Server("", lambda request: send(request, 404))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.authorizations.append(self.headers.get("Authorization"))
            server.answer(self)

        do_HEAD = do_GET  # noqa: N815 - so http.server calls it

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.host = f"127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, args=[0.01], daemon=True).start()
    return server, http


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", media_type: str = "text/plain", **headers: str
) -> None:
    request.send_response(status)
    request.send_header("Content-Type", media_type)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def client(server: Server, clock: Clock | None = None) -> tuple[RegistryClient, Repository]:
    host = RegistryHost.parse(server.host)
    transport = Transport(urllib3.PoolManager(), Deadline.after(20, clock or SystemClock()))
    return RegistryClient(transport, RegistryAuth(host, lambda: "user:s3cret", current="t0ken")), Repository(
        host, "a/b"
    )


def download(server: Server) -> bytes:
    registry, repository = client(server)
    return b"".join(registry.open_blob(repository, DIGEST, 0))


@pytest.mark.parametrize("head", [200, 404, 405])
def test_a_token_that_expires_between_two_layers_is_renewed(servers: list[Server], head: int) -> None:
    """The registry sends layers itself. A layer of 5 MiB is not mistaken for a challenge."""
    layer = bytes(5 * 1024 * 1024)

    def answer(request: BaseHTTPRequestHandler) -> None:
        challenge = f'Bearer realm="http://{servers[0].host}/token"'
        if request.path == "/token":
            send(request, 200, b'{"token": "fresh"}')
        elif request.command == "HEAD" and head != 200:
            send(request, head)
        elif request.headers.get("Authorization") != "Bearer fresh":
            send(request, 401, WWW_Authenticate=challenge)
        else:
            send(request, 200, b"" if request.command == "HEAD" else layer, Content_Length=str(len(layer)))

    servers[0].answer = answer

    assert download(servers[0]) == layer


def test_follows_a_redirect_without_credentials(servers: list[Server]) -> None:
    registry, storage = servers
    registry.answer = lambda request: send(request, 307, Location=f"http://{storage.host}/signed")
    storage.answer = lambda request: send(request, 200, b"layer")

    assert download(registry) == b"layer"
    assert registry.authorizations == ["Bearer t0ken"]
    assert storage.authorizations == [None]


def test_a_redirect_back_to_the_registry_gets_no_credentials_either(servers: list[Server]) -> None:
    registry = servers[0]
    registry.answer = lambda request: (
        send(request, 200, b"layer") if request.path == "/open" else send(request, 302, Location="/open")
    )

    assert download(registry) == b"layer"
    assert registry.authorizations == ["Bearer t0ken", None]


def test_limits_the_number_of_redirects(servers: list[Server]) -> None:
    servers[0].answer = lambda request: send(request, 302, Location=request.path)

    with pytest.raises(UnavailableError, match="more than 5 redirects"):
        download(servers[0])


@pytest.mark.parametrize(
    "location",
    ["http://example.com/blob", "ftp://example.com/blob", "file:///etc/passwd", "https://user@example.com/", "http://"],
)
def test_refuses_a_redirect_to_an_unsafe_url(servers: list[Server], location: str) -> None:
    servers[0].answer = lambda request: send(request, 302, Location=location)

    with pytest.raises((AccessError, UnavailableError), match="redirect"):
        download(servers[0])


def test_a_server_that_ignores_the_range_duplicates_no_bytes(servers: list[Server]) -> None:
    servers[0].answer = lambda request: send(request, 200, b"layer")
    registry, repository = client(servers[0])

    assert b"".join(registry.open_blob(repository, DIGEST, 3)) == b"er"


def test_a_body_that_ends_early_is_an_error(servers: list[Server]) -> None:
    servers[0].answer = lambda request: send(request, 200, b"lay", Content_Length="5")

    with pytest.raises(UnavailableError, match=f"from {servers[0].host} failed: incomplete response"):
        download(servers[0])


def test_a_slow_body_is_read_as_it_arrives_until_the_deadline(servers: list[Server]) -> None:
    came, clock = threading.Event(), SteppingClock()

    def drip(request: BaseHTTPRequestHandler) -> None:
        send(request, 200, b"l", Content_Length="5")
        assert came.wait(10), "the first byte was not passed on immediately"
        clock.sleep(1000)
        request.wfile.write(b"a")

    servers[0].answer = drip
    registry, repository = client(servers[0], clock=clock)
    pieces = registry.open_blob(repository, DIGEST, 0)

    assert next(pieces) == b"l"
    came.set()
    with pytest.raises(DeadlineError):
        list(pieces)


def test_stops_reading_an_endless_manifest(servers: list[Server]) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b" " * 65536)
        except OSError:
            request.close_connection = True

    servers[0].answer = endless
    registry, repository = client(servers[0])

    with pytest.raises(IntegrityError, match="longer than the allowed 4194304 bytes"):
        registry.read(repository, DIGEST)


def test_refuses_a_manifest_with_the_wrong_digest(servers: list[Server]) -> None:
    servers[0].answer = lambda request: send(request, 200, b"other")
    registry, repository = client(servers[0])

    with pytest.raises(IntegrityError, match="sent content with the digest"):
        registry.read(repository, DIGEST)


def test_credentials_are_not_sent_to_another_host(servers: list[Server]) -> None:
    registry, thief = servers
    challenge = f'Bearer realm="http://{thief.host}/token",service="x"'
    registry.answer = lambda request: send(request, 401, WWW_Authenticate=challenge)
    asked, repository = client(registry)

    with pytest.raises(AccessError, match="belongs to another site"):
        asked.read(repository, DIGEST)

    assert thief.authorizations == []


@pytest.mark.parametrize("token", [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a\\nb"}', b"[" * 100_000])
def test_refuses_an_invalid_token(servers: list[Server], token: bytes) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token"):
            send(request, 200, token)
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="http://{servers[0].host}/token"')

    servers[0].answer = answer
    registry, repository = client(servers[0])

    with pytest.raises(AccessError, match=r"its token endpoint .* did not return a token"):
        registry.read(repository, DIGEST)


def listing(*subjects: bytes) -> bytes:
    entries = [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(Digest.of(each)), "size": len(each)}
        for each in subjects
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def referrers(server: Server) -> list[Digest]:
    registry, repository = client(server)
    return [entry.digest for entry in registry.referrers(repository, DIGEST)]


def test_reads_all_pages_of_a_list_of_referrers(servers: list[Server]) -> None:
    registry = servers[0]
    pages = {
        f"/v2/a/b/referrers/{DIGEST}": (listing(b"1"), {"Link": '</v2/a/b/referrers/more?n=2>; rel="next"'}),
        "/v2/a/b/referrers/more?n=2": (listing(b"2"), {}),
    }
    registry.answer = lambda request: send(request, 200, pages[request.path][0], INDEX, **pages[request.path][1])

    assert referrers(registry) == [Digest.of(b"1"), Digest.of(b"2")]


def test_gives_up_on_an_endless_list_of_referrers(servers: list[Server]) -> None:
    registry = servers[0]
    registry.answer = lambda request: send(request, 200, listing(b"1"), INDEX, Link="<?again>; rel=next")

    with pytest.raises(InvalidManifestError, match="lists more than 50 pages"):
        referrers(registry)


def test_a_link_in_a_list_of_referrers_cannot_send_credentials_elsewhere(servers: list[Server]) -> None:
    registry, elsewhere = servers
    link = f'<http://{elsewhere.host}/v2/a/b/referrers/x>; rel="next"'
    registry.answer = lambda request: send(request, 200, listing(b"1"), INDEX, Link=link)

    with pytest.raises(InvalidManifestError, match="continues on another host"):
        referrers(registry)

    assert elsewhere.authorizations == []


def test_an_html_page_is_not_a_list_of_referrers(servers: list[Server]) -> None:
    servers[0].answer = lambda request: send(request, 200, b"<html>", "text/html")

    assert referrers(servers[0]) == []


@pytest.mark.parametrize("size", [2, 4, 6, 5 * 1024 * 1024])
def test_t5_refuses_a_manifest_whose_size_differs_from_the_stated_size(servers: list[Server], size: int) -> None:
    content = b"01234"
    servers[0].answer = lambda request: send(request, 200, content)
    registry, repository = client(servers[0])

    with pytest.raises(IntegrityError, match=r"longer than the allowed \d bytes|sent 5 bytes"):
        registry.read(repository, Digest.of(content), size=size)


def test_t5_reads_no_more_of_a_manifest_than_its_stated_size(servers: list[Server]) -> None:
    sent = 0

    def endless(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(200)
        request.end_headers()
        with suppress(OSError):
            while True:
                sent += request.wfile.write(b" " * 65536)
        request.close_connection = True

    servers[0].answer = endless
    registry, repository = client(servers[0])

    with pytest.raises(IntegrityError, match="longer than the allowed 2 bytes"):
        registry.read(repository, DIGEST, size=2)

    # A few such chunks may be in transit between two sockets of one machine.
    assert sent < 16 * 1024 * 1024


def test_t5_an_error_response_may_be_longer_than_the_manifest(servers: list[Server]) -> None:
    """A registry first asks for a token, and the body of that response may have any length."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/token":
            send(request, 200, b'{"token": "fresh"}')
        elif request.headers.get("Authorization") != "Bearer fresh":
            challenge = f'Bearer realm="http://{servers[0].host}/token"'
            send(request, 401, b"x" * 1_000_000, WWW_Authenticate=challenge)
        else:
            send(request, 200, IMAGE, "application/vnd.oci.image.manifest.v1+json")

    servers[0].answer = answer
    registry, repository = client(servers[0])

    assert registry.read(repository, Digest.of(IMAGE), size=len(IMAGE)).content == IMAGE


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (429, ThrottledError), (503, UnavailableError)])
def test_an_endless_error_response_is_truncated_and_reported(
    servers: list[Server], status: int, error: type[Exception]
) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()
        with suppress(OSError):
            while True:
                request.wfile.write(b"x" * 65536)
        request.close_connection = True

    servers[0].answer = endless
    registry, repository = client(servers[0])

    with pytest.raises(error, match=f"returned {status}"):
        registry.read(repository, DIGEST)


def test_stops_reading_an_endless_manifest_of_a_tag(servers: list[Server]) -> None:
    servers[0].answer = lambda request: send(request, 200, b" " * (4 * 1024 * 1024 + 1))
    registry, repository = client(servers[0])

    with pytest.raises(IntegrityError, match="longer than the allowed 4194304 bytes"):
        registry.read_tag(repository, "1.4")


def test_refuses_an_endless_response_of_a_token_endpoint(servers: list[Server]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/token":
            send(request, 200, b'{"token": "' + b"x" * 1_000_000 + b'"}')
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="http://{servers[0].host}/token"')

    servers[0].answer = answer
    registry, repository = client(servers[0])

    with pytest.raises(IntegrityError, match="longer than the allowed 262144 bytes"):
        registry.read(repository, DIGEST)


def test_refuses_a_list_of_too_many_referrers(servers: list[Server]) -> None:
    page = listing(*[str(number).encode() for number in range(700)])
    servers[0].answer = lambda request: send(request, 200, page, INDEX, Link="<?again>; rel=next")

    with pytest.raises(InvalidManifestError, match="lists more than 2000 referrers of"):
        referrers(servers[0])
