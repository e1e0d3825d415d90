"""Limits of request bodies, and the responses to clients that exceed them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cdk_ecrpublic.sandbox import Settings
from cdk_ecrpublic.sandbox.front import bodies
from cdk_ecrpublic.sandbox.settings import MIB

from .conftest import REPOSITORY, make_api
from .test_registry_http import Http
from .wire import Answer, Served, raw, read, serve

SETTINGS = "/_sandbox/settings"
PIECE = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
"""A chunk of 64 KiB."""

SIGNED = "Authorization: AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/ecr-public/aws4_request"

LIMITS = [
    ("PUT", SETTINGS, "", bodies.CONTROL_BYTES),
    ("POST", "/", SIGNED, bodies.API_BYTES),
    ("PUT", "/v2/a/b/manifests/1", "", bodies.REGISTRY_BYTES),
    ("GET", "/token/", "", bodies.REGISTRY_BYTES),
    ("PATCH", "/v2/a/b/blobs/uploads/1", "", bodies.LAYER_BYTES),
    ("POST", "/2015-03-31/functions", "", bodies.CALL_BYTES),
    ("PUT", "/bucket/key", "", bodies.OBJECT_BYTES),
    ("PATCH", "/v2/", "Authorization: Basic x", bodies.OBJECT_BYTES),
]
IDS = ["controls", "the api", "manifests", "tokens", "layers", "calls", "objects", "private ecr"]


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with serve() as served:
        yield served


@pytest.fixture
def served(running: Served) -> Served:
    running.sandbox.reset()
    running.others.reached.clear()
    running.others.received = 0
    return running


def head(served: Served, method: str, path: str, *lines: str) -> bytes:
    given = [f"{method} {path} HTTP/1.1", f"Host: {served.sandbox.registry_host}", *filter(None, lines), "", ""]
    return "\r\n".join(given).encode()


def declared(served: Served, method: str, path: str, line: str, size: int) -> Answer:
    """Send headers with the length of the body, and wait for a response."""
    with raw(served.port, head(served, method, path, line, f"Content-Length: {size}")) as connection:
        return read(connection)


def chunked(served: Served, method: str, path: str, line: str, size: int) -> Answer:
    """Send spaces in chunks of 64 KiB, without announcing a length."""
    with raw(served.port, head(served, method, path, line, "Transfer-Encoding: chunked")) as connection:
        for _ in range(size // 0x10000):
            connection.sendall(PIECE)
        rest = size % 0x10000
        connection.sendall(b"%x\r\n%s\r\n" % (rest, b" " * rest) if rest else b"")
        connection.sendall(b"0\r\n\r\n")
        return read(connection)


@pytest.mark.parametrize(("method", "path", "line", "limit"), LIMITS, ids=IDS)
def test_refuses_a_body_that_declares_too_large_a_size(
    served: Served, method: str, path: str, line: str, limit: int
) -> None:
    answer = declared(served, method, path, line, limit + 1)

    assert (answer.status, served.others.reached) == (413, [])
    assert answer.text == (
        f"The sandbox refuses this request: its body is too large; the limit of {path!r} is {limit // MIB} MiB, "
        f"so that no request fills the memory of this machine. Send smaller parts.\n"
    )


@pytest.mark.parametrize("size", [bodies.CONTROL_BYTES, bodies.CONTROL_BYTES - 1])
def test_accepts_a_body_up_to_the_limit(served: Served, size: int) -> None:
    settings = json.dumps({"alias": "acme"}).encode()
    sent = head(served, "PUT", SETTINGS, f"Content-Length: {size}") + settings.ljust(size)

    with raw(served.port, sent) as connection:
        assert read(connection).status == 200

    assert served.sandbox.settings == Settings(alias="acme")


@pytest.mark.parametrize(("method", "path", "line", "limit"), LIMITS[:2], ids=IDS[:2])
def test_counts_the_bytes_of_a_body_without_a_length(
    served: Served, method: str, path: str, line: str, limit: int
) -> None:
    """Spaces are not valid JSON, so below the limit the application refuses them."""
    assert chunked(served, method, path, line, limit + 1).status == 413
    assert chunked(served, method, path, line, limit).status == 400


def test_forwards_a_body_that_another_service_may_accept(served: Served) -> None:
    answer = chunked(served, "PUT", "/bucket/key", "", 3 * MIB)

    assert (answer.status, served.others.received) == (200, 3 * MIB)


def test_stops_other_services_from_reading_beyond_the_limit(served: Served) -> None:
    answer = chunked(served, "POST", "/functions", "", bodies.CALL_BYTES + 1)

    assert answer.status == 413
    assert served.others.received <= bodies.CALL_BYTES


def test_a_refused_upload_leaves_no_trace(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real limit is 10 GB: the test sets a smaller one."""
    monkeypatch.setattr(bodies, "LAYER_BYTES", MIB)
    api = make_api(served.sandbox)
    api.create_repository(repositoryName=REPOSITORY)
    http = Http(served.sandbox, api)
    http.login()
    location = http.send("POST", f"{http.repository}/blobs/uploads/").headers["Location"]
    path = location.removeprefix(served.sandbox.url)

    answer = chunked(served, "PATCH", path, f"Authorization: Bearer {http.token}", MIB + 1)

    assert answer.status == 413
    assert http.send("PATCH", location, b"layer").headers["Range"] == "0-4"
    (upload,) = served.sandbox.store.registry_of(served.sandbox.account).repositories[REPOSITORY].uploads.values()
    assert (upload.size, upload.path.read_bytes()) == (5, b"layer")


def test_disconnects_a_client_that_never_stops_sending(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LINGER_SECONDS", 0.1)
    unfinished = head(served, "PUT", SETTINGS, "Content-Length: 99999999999") + b" " * 100

    with raw(served.port, unfinished) as connection:
        assert read(connection).status == 413
        assert connection.recv(1) == b""
