"""A hostile or broken registry, while blobs are uploaded to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from lambda_handler.clock import Deadline
from lambda_handler.errors import (
    AccessError,
    DeadlineError,
    IntegrityError,
    RejectedError,
    ThrottledError,
    UnavailableError,
    UploadLostError,
)
from lambda_handler.log import Log
from lambda_handler.oci import Descriptor, Digest, RegistryHost, Repository
from lambda_handler.registry import Transport, uploads
from lambda_handler.registry.auth import RegistryAuth
from lambda_handler.registry.uploads import Uploads
from lambda_handler.retry import Retry
from tests.support.clock import SteppingClock

LAYER = bytes(range(256)) * 16_384
"""4 MiB: more than the sockets between us hold."""

BLOB = Descriptor(media_type="x", digest=Digest.of(LAYER), size=len(LAYER))
UPLOAD = "/v2/a/b/blobs/uploads/1"
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Registry:
    """
    Takes uploads.

    Attributes:
        carrier: The method whose bodies it records.
        answers: By method, the response that it sends instead of the proper one.
        requests: Method, path and credentials of each request.
        received: The complete bodies.
    """

    carrier: str = "PATCH"
    host: str = ""
    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)


@contextmanager
def running(registry: Registry) -> Iterator[Registry]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            registry.requests.append((self.command, self.path, self.headers.get("Authorization")))
            unread = self.command in registry.answers
            size = int(self.headers.get("Content-Length", 0))
            if not unread and len(body := self.rfile.read(size)) == size and self.command == registry.carrier:
                registry.received.append(body)
            usual = (202 if self.command == "POST" else 201, {"Location": UPLOAD}, b"")
            status, headers, content = registry.answers.get(self.command, lambda: usual)()
            self.send_response(status)
            # Setting "Connection: close" also has http.server close it.
            close = {"Connection": "close"} if unread else {}
            for name, value in {"Content-Length": str(len(content)), **close, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_PUT = do_GET = answer  # noqa: N815 - so http.server calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    registry.host = f"127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["PUT", "PATCH"])
def carrier(request: pytest.FixtureRequest) -> str:
    """The request that carries the bytes: PUT, or PATCH after another blob was throttled or refused."""
    return str(request.param)


@pytest.fixture
def registry(carrier: str) -> Iterator[Registry]:
    with running(Registry(carrier)) as started:
        yield started


def uploads_to(registry: Registry, clock: SteppingClock, seconds: float = 100) -> Uploads:
    deadline, host = Deadline.after(seconds, clock), RegistryHost.parse(registry.host)
    auth = RegistryAuth(host, lambda: "user:s3cret", current="t0ken")
    return Uploads(
        Transport(urllib3.PoolManager(), deadline),
        auth,
        Repository(host, "a/b"),
        Retry(deadline, Log()),
        one_put_max=BLOB.size if registry.carrier == "PUT" else BLOB.size - 1,
    )


def pieces(content: bytes) -> Generator[bytes, None, None]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


def upload(registry: Registry, content: bytes = LAYER, seconds: float = 100) -> SteppingClock:
    clock = SteppingClock()
    uploads_to(registry, clock, seconds).upload(BLOB, lambda: pieces(content))
    return clock


def test_an_upload_takes_two_or_three_requests(registry: Registry, carrier: str) -> None:
    upload(registry)

    digest = str(BLOB.digest).replace(":", "%3A")
    assert registry.received == [LAYER]
    assert registry.requests == [
        ("POST", "/v2/a/b/blobs/uploads/", "Bearer t0ken"),
        *([("PATCH", UPLOAD, "Bearer t0ken")] if carrier == "PATCH" else []),
        ("PUT", f"{UPLOAD}?digest={digest}", "Bearer t0ken"),
    ]


@pytest.mark.parametrize("carrier", ["PUT"], indirect=True)
@pytest.mark.parametrize("status", [400, 405, 411, 413, 429, 501])
def test_uses_patch_if_a_registry_refuses_bytes_in_put(registry: Registry, status: int) -> None:
    def refuse_once() -> Answer:
        del registry.answers["PUT"]
        registry.carrier = "PATCH"
        return status, {}, b""

    registry.answers["PUT"] = refuse_once

    upload(registry)

    assert registry.received == [LAYER]
    assert [method for method, _, _ in registry.requests][-3:] == ["POST", "PATCH", "PUT"]


@pytest.mark.parametrize("carrier", ["PUT"], indirect=True)
@pytest.mark.parametrize(
    ("status", "large", "small"),
    [
        (429, ["POST", "PATCH", "PUT"], ["POST", "PUT"]),
        (405, ["POST", "PATCH", "PUT"], ["POST", "PATCH", "PUT"]),
    ],
    ids=["throttled", "refused"],
)
def test_does_not_send_the_next_blobs_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, status: int, large: list[str], small: list[str]
) -> None:
    """One that is throttled may be sent again if it is small."""
    monkeypatch.setattr(uploads, "RESENT_MAX_BYTES", BLOB.size - 1)
    started, usual = uploads_to(registry, SteppingClock()), (201, {"Location": UPLOAD}, b"")
    answers: Iterator[Answer] = iter([(status, {}, b"")])
    registry.answers["PUT"] = lambda: next(answers, usual)
    started.upload(BLOB, lambda: pieces(LAYER))
    seen = len(registry.requests)
    del registry.answers["PUT"]

    started.upload(BLOB, lambda: pieces(LAYER))
    other = Descriptor(media_type="x", digest=Digest.of(b"small"), size=5)
    started.upload(other, lambda: pieces(b"small"))

    assert [method for method, _, _ in registry.requests][seen:] == large + small


@pytest.mark.parametrize("location", ["http://example.com/upload", "https://{host}/upload", "//elsewhere/", "http://["])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_credentials_do_not_follow_an_upload_to_another_host(
    registry: Registry, carrier: str, method: str, location: str
) -> None:
    if (method, carrier) == ("PATCH", "PUT"):
        return  # it is not sent
    registry.answers[method] = lambda: (201, {"Location": location.format(host=registry.host)}, b"")

    with pytest.raises(
        (RejectedError, UploadLostError), match=r"redirected the upload to another host|incomplete response"
    ):
        upload(registry)

    assert "PUT" not in {method for method, _, _ in registry.requests}


def test_wrong_bytes_are_never_sent_completely(registry: Registry) -> None:
    with pytest.raises(IntegrityError):
        upload(registry, LAYER[:-1] + b"x")

    assert registry.received == []


@pytest.mark.parametrize(
    ("status", "error"), [(503, UnavailableError), (429, ThrottledError), (404, UploadLostError), (403, AccessError)]
)
def test_a_response_before_the_last_byte_ends_an_upload(
    registry: Registry, carrier: str, status: int, error: type[Exception]
) -> None:
    """The server closes the connection while we send; its response may be lost."""
    registry.answers[carrier] = lambda: (status, {}, b"")

    with pytest.raises((error, UploadLostError)):
        upload(registry)


def test_the_message_of_the_registry_is_reported_and_truncated(registry: Registry) -> None:
    said = b'{"errors": [{"code": "DENIED", "message": "not authorized to perform: ecr-public:X' + b"x" * 9000 + b'"}]}'
    registry.answers["POST"] = lambda: (403, {}, said)

    with pytest.raises(AccessError, match="returned 403: not authorized to perform: ecr-public:X") as failure:
        upload(registry)

    assert len(failure.value.message) < 600
    assert failure.value.hint is not None
    assert "ecr-public:InitiateLayerUpload" in failure.value.hint


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"errors": []}', b'{"errors": [{"message": 1}]}', b"\xff", b"[" * 50_000]
)
def test_a_response_without_a_message_is_handled(registry: Registry, body: bytes) -> None:
    registry.answers["PUT"] = lambda: (400, {}, body)

    with pytest.raises(AccessError, match=r"PUT upload failed: registry .* returned 400"):
        upload(registry)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [(202, IntegrityError, "longer than the allowed 65536 bytes"), (403, AccessError, "returned 403")],
)
def test_stops_reading_an_endless_response(registry: Registry, status: int, error: type[Exception], said: str) -> None:
    registry.answers["POST"] = lambda: (status, {}, b"x" * 70_000)

    with pytest.raises(error, match=said):
        upload(registry)


def test_an_upload_stops_at_the_deadline(registry: Registry, carrier: str) -> None:
    registry.answers[carrier] = lambda: (503, {}, b"")

    with pytest.raises((UnavailableError, DeadlineError)):
        upload(registry, seconds=2)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("carrier", ["PATCH"], indirect=True)
def test_a_timeout_between_two_attempts_says_why_the_first_one_failed(registry: Registry, method: str) -> None:
    """Other uploads may take the time that is left while this one waits."""
    registry.answers[method] = lambda: (429, {}, b"")
    clock = SteppingClock()
    clock.sleep = lambda _: clock.pass_by(100)  # type: ignore[assignment]

    with pytest.raises(DeadlineError, match=r"ran out of time before .*returned 429"):
        uploads_to(registry, clock).upload(BLOB, lambda: pieces(LAYER))
