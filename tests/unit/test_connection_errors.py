"""A failed connection is explained by its cause, and is retried only if that can help."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import RejectedError, RemoteError, UnavailableError
from lambda_handler.registry import Transport


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Print nothing about connections that the client drops."""


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[str]:
    """Run a server and yield its host."""
    server = Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def error(host: str) -> RemoteError:
    transport = Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock()))
    with pytest.raises(RemoteError) as found:
        transport.send("GET", f"https://{host}/v2/?secret", {}, limit=100, doing="GET manifest")
    assert f"GET manifest from {host} failed: " in found.value.message
    assert "secret" not in found.value.explain()
    return found.value


def test_explains_a_self_signed_certificate(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry.example"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    with serving(context) as host:
        found = error(host)

    assert isinstance(found, RejectedError)
    assert "its certificate is not trusted: self" in found.explain()


def test_explains_a_server_without_tls() -> None:
    with serving(None) as host:
        found = error(host)

    assert isinstance(found, RejectedError)
    assert "it does not use TLS. Hint: check the port" in found.explain()


def test_explains_a_host_that_does_not_exist() -> None:
    found = error("ghrc.invalid")

    assert isinstance(found, UnavailableError)
    assert "its host name cannot be resolved. Hint: check the host" in found.explain()


def test_explains_a_port_where_nothing_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = error(f"127.0.0.1:{bound.getsockname()[1]}")

    assert isinstance(found, UnavailableError)
    assert "it refuses connections" in found.explain()
