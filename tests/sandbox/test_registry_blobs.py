"""Layers in the registry API: uploads, downloads by redirect, ranges."""

from __future__ import annotations

import hashlib
import socket
from urllib.parse import urlsplit

import pytest
import urllib3

from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image

from .conftest import Api
from .test_registry_http import MISSING, Http, error

MIB = 1024 * 1024


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture
def http(sandbox: Sandbox, api: Api) -> Http:
    """A client with a token that may push."""
    client = Http(sandbox, api)
    client.login()
    return client


def start(http: Http, query: str = "") -> urllib3.BaseHTTPResponse:
    return http.send("POST", f"{http.repository}/blobs/uploads/{query}")


def upload(http: Http, *chunks: bytes, digest: str = "", last: bytes = b"") -> urllib3.BaseHTTPResponse:
    """Upload in chunks, the last one with PUT."""
    location = start(http).headers["Location"]
    for chunk in chunks:
        http.send("PATCH", location, chunk)
    return http.send("PUT", f"{location}?digest={digest or digest_of(b''.join(chunks) + last)}", last)


def download(http: Http, digest: str, **headers: str) -> urllib3.BaseHTTPResponse:
    """Download by following the redirect without the token."""
    location = http.get(f"blobs/{digest}").headers["Location"]
    return urllib3.request("GET", location, headers=headers, redirect=False)


def test_uploads_and_downloads(http: Http) -> None:
    answer = upload(http, b"layer")

    head = http.send("HEAD", f"{http.repository}/blobs/{digest_of(b'layer')}")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest_of(b"layer"))
    assert (head.status, head.headers["Content-Length"]) == (200, "5")
    assert download(http, digest_of(b"layer")).data == b"layer"


def test_uploads_everything_with_the_final_put(http: Http) -> None:
    assert upload(http, last=b"layer").status == 201
    assert download(http, digest_of(b"layer")).data == b"layer"


def test_uploads_in_chunks_of_5_mib(http: Http) -> None:
    content = bytes(range(256)) * 4 * 1024 * 11

    assert upload(http, content[: 5 * MIB], content[5 * MIB : 10 * MIB], last=content[10 * MIB :]).status == 201
    assert download(http, digest_of(content)).data == content


def test_an_upload_gets_an_absolute_url(http: Http) -> None:
    answer = start(http)

    assert answer.status == 202
    assert answer.headers["Location"].startswith(f"{http.sandbox.url}{http.repository}/blobs/uploads/")


def test_a_chunk_returns_201_and_a_range_that_stops_growing(http: Http) -> None:
    location = start(http).headers["Location"]

    answers = [http.send("PATCH", location, b"x" * size) for size in (6 * MIB, 6 * MIB)]

    assert [answer.status for answer in answers] == [201, 201]
    assert [answer.headers["Range"] for answer in answers] == [f"0-{6 * MIB - 1}", "0-10485759"]


def test_a_chunk_returns_202_if_configured(http: Http) -> None:
    http.sandbox.settings = Settings(patch_status=202)

    assert http.send("PATCH", start(http).headers["Location"], b"x").status == 202


def test_never_reports_the_progress_of_an_upload(http: Http) -> None:
    assert http.send("GET", start(http).headers["Location"]).status == 404


def test_ignores_a_mount(http: Http, other: Image) -> None:
    answer = start(http, f"?mount={next(iter(other.blobs))}&from=acme/agent")

    assert (answer.status, "Location" in answer.headers) == (202, True)


def test_refuses_a_mount_if_configured(http: Http) -> None:
    http.sandbox.settings = Settings(mount="error")

    assert start(http, f"?mount={MISSING}&from=x/y").status == 405


def test_uploading_an_existing_layer_succeeds(http: Http) -> None:
    assert [upload(http, b"layer").status for _ in range(2)] == [201, 201]


@pytest.mark.parametrize(
    ("chunks", "digest", "message"),
    [
        ((b"layer",), MISSING, "None of the provided layer digests match the calculated layer digest"),
        ((), digest_of(b""), "cannot be completed because it does not have any parts"),
        ((b"1", b"2"), digest_of(b"12"), "All layer parts except the last part should be at least 5MB"),
    ],
)
def test_refuses_to_complete_an_invalid_upload(
    http: Http, chunks: tuple[bytes, ...], digest: str, message: str
) -> None:
    answer = upload(http, *chunks, digest=digest)

    code, text = error(answer)
    assert (answer.status, code) == (400, "BLOB_UPLOAD_INVALID")
    assert message in text


def test_refuses_a_chunk_out_of_order(http: Http) -> None:
    location = start(http).headers["Location"]
    http.send("PATCH", location, b"12345", Content_Range="0-4")

    answer = http.send("PATCH", location, b"12345", Content_Range="0-4")

    assert answer.status == 416
    assert error(answer) == ("BLOB_UPLOAD_INVALID", "First byte of the layer part is 0 instead of 5")


def test_refuses_a_finished_upload(http: Http) -> None:
    location = start(http).headers["Location"]
    http.send("PUT", f"{location}?digest={digest_of(b'x')}", b"x")

    assert error(http.send("PATCH", location, b"x"))[0] == "BLOB_UPLOAD_UNKNOWN"


def test_refuses_to_upload_without_a_password(http: Http) -> None:
    http.login("")

    assert start(http).status == 403


def test_refuses_to_upload_into_a_repository_that_does_not_exist(http: Http) -> None:
    answer = http.send("POST", f"{http.repository}-no/blobs/uploads/")

    assert (answer.status, error(answer)[0]) == (404, "NAME_UNKNOWN")


def test_an_interrupted_chunk_leaves_no_trace(http: Http) -> None:
    location = start(http).headers["Location"]
    parts = urlsplit(location)
    with socket.create_connection((str(parts.hostname), parts.port or 0)) as connection:
        head = ["PATCH", f"Host: {parts.netloc}\r\nAuthorization: Bearer {http.token}\r\nContent-Length: 99\r\n\r\n"]
        connection.sendall(f" {parts.path} HTTP/1.1\r\n".join(head).encode() + b"half")

    while http.sandbox.requests.count("UploadChunk") == 0:
        pass
    http.send("PATCH", location, b"whole")

    assert http.send("PUT", f"{location}?digest={digest_of(b'whole')}").status == 201


def test_layers_are_on_another_host(http: Http) -> None:
    upload(http, b"layer")

    answer = http.get(f"blobs/{digest_of(b'layer')}")

    assert answer.status == 307
    assert urlsplit(answer.headers["Location"]).hostname == "localhost"
    assert urlsplit(http.sandbox.url).hostname == "127.0.0.1"


def test_the_other_host_refuses_every_token(http: Http) -> None:
    upload(http, b"layer")

    answer = download(http, digest_of(b"layer"), Authorization=f"Bearer {http.token}")

    assert answer.status == 400
    assert "Only one auth mechanism allowed" in answer.data.decode()


def test_the_other_host_refuses_unsigned_urls(http: Http) -> None:
    upload(http, b"layer")

    forged = f"http://localhost:{http.sandbox.world.port}/_blob/{digest_of(b'layer')}/forged"
    assert http.send("GET", forged, Authorization="").status == 400
    http.token = ""
    assert http.send("GET", forged).status == 403


@pytest.mark.parametrize(
    ("given", "content", "told"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_sends_a_range_of_a_layer(http: Http, given: str, content: bytes, told: str) -> None:
    upload(http, b"0123456789")

    answer = download(http, digest_of(b"0123456789"), Range=given)

    assert (answer.status, answer.data, answer.headers["Content-Range"]) == (206, content, told)


@pytest.mark.parametrize("given", ["bytes=10-", "bytes=5-2"])
def test_refuses_a_range_outside_the_layer(http: Http, given: str) -> None:
    upload(http, b"0123456789")

    answer = download(http, digest_of(b"0123456789"), Range=given)

    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10")


@pytest.mark.parametrize("digest", [MISSING, "sha256:short"])
def test_refuses_a_missing_layer(http: Http, digest: str) -> None:
    assert http.get(f"blobs/{digest}").status == 404
    assert http.send("HEAD", f"{http.repository}/blobs/{digest}").status == 404


def test_throttles_uploads_at_the_configured_rates(http: Http) -> None:
    first, second = (start(http).headers["Location"] for _ in range(2))
    http.sandbox.settings = Settings(initiate_layer_uploads_per_second=0.01, complete_layer_uploads_per_second=0.01)

    began = [start(http).status for _ in range(2)]
    closed = [http.send("PUT", f"{place}?digest={digest_of(b'x')}", b"x").status for place in (first, second)]

    assert (began, closed) == ([202, 429], [201, 429])


def test_a_throttled_upload_can_be_completed_later(http: Http) -> None:
    first, second = (start(http).headers["Location"] for _ in range(2))
    http.sandbox.settings = Settings(complete_layer_uploads_per_second=0.01)
    http.send("PUT", f"{first}?digest={digest_of(b'x')}", b"x")
    throttled = http.send("PUT", f"{second}?digest={digest_of(b'y')}", b"y")

    http.sandbox.settings = Settings()
    closed = http.send("PUT", f"{second}?digest={digest_of(b'y')}", b"y")

    assert (throttled.status, closed.status) == (429, 201)
