"""Endless response headers: no thread waits for them or is left behind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import urllib3

from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import DeadlineError, UnavailableError
from lambda_handler.registry import Transport

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def endless(first: bytes, then: bytes, pause: float = 0.0) -> Iterator[str]:
    """Send *first*, and then *then* repeatedly until the client closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(first)
                    while then:
                        connection.sendall(then)
                        time.sleep(pause)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    thread.join(5)
    assert not thread.is_alive(), "the connection was left open"


def get(url: str, seconds: float = 20) -> bytes:
    transport = Transport(urllib3.PoolManager(), Deadline.after(seconds, SystemClock()))
    return transport.send("GET", url, {}, limit=1000, doing="GET manifest").body


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"),
        (b"HTTP/1.1 102 Processing\r\n", b"X-Header: x\r\n"),
        (HEAD, b"X-Header: x\r\n"),
        (HEAD, b"x" * 1000),
        (b"HTTP/1.1 ", b"2" * 1000),
        (CHUNKED + b"0\r\n", b"X-Trailer: x\r\n"),
        (CHUNKED, b"0" * 1000),
        (CHUNKED + b"1;", b"x" * 1000),
    ],
)
def test_stops_reading_endless_headers(first: bytes, then: bytes) -> None:
    with (
        endless(first, then) as url,
        pytest.raises(UnavailableError, match=r"incomplete response|differs from its Content-Length"),
    ):
        get(url)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (HEAD, b"x"),
        (HEAD + b"A: ", b"\r\nB: "),
        (CHUNKED, b"0"),
        (CHUNKED + b"0\r\n", b"x"),
    ],
)
def test_stops_reading_slow_headers_at_the_deadline(first: bytes, then: bytes) -> None:
    began = time.monotonic()

    with endless(first, then, pause=0.05) as url, pytest.raises((DeadlineError, UnavailableError)):
        get(url, seconds=1)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 199 Whatever\r\nContent-Length: 100\r\n\r\n",
    ],
)
def test_skips_an_interim_response(interim: bytes) -> None:
    with endless(interim + HEAD + b"Content-Length: 2\r\n\r\nok", b"") as url:
        assert get(url) == b"ok"


def test_closes_a_connection_that_switches_protocols() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    with endless(switching + HEAD, b"x") as url, pytest.raises(UnavailableError, match="incomplete response"):
        get(url)


def test_an_interim_response_does_not_shift_responses_to_later_requests() -> None:
    """Both requests use one connection, and each gets its own response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for body in (b"one", b"two"):
                    connection.recv(65536)
                    connection.sendall(
                        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD + b"Content-Length: 3\r\n\r\n" + body
                    )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        transport = Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock()))
        bodies = [transport.send("GET", url, {}, limit=1000, doing="GET manifest").body for _ in range(2)]
        transport.pool.clear()
        thread.join(5)

    assert bodies == [b"one", b"two"]


@pytest.mark.parametrize("body", [CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nX-T: 1\r\n\r\n", HEAD + b"\r\nok"])
def test_reads_bodies_with_every_framing(body: bytes) -> None:
    with endless(body, b"") as url:
        assert get(url) == b"ok"


def test_a_body_that_ends_early_is_an_error() -> None:
    with (
        endless(HEAD + b"Content-Length: 5\r\n\r\nok", b"") as url,
        pytest.raises(UnavailableError, match=r"incomplete response|differs from its Content-Length"),
    ):
        get(url)
