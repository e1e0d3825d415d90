"""Run registries of other projects on this machine: without credentials, with a password, or with a token service."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl

import urllib3

from tests.support.web_server import WebServer, send, web_server

USER, PASSWORD = "agent", "smith-s3cret"
ISSUER, SERVICE = "tests", "registry"

_CERTIFICATE = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests")
_CONFIG = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}/data
http:
  addr: {host}
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """
    A registry, and its authentication.

    Attributes:
        program: Its command: ``docker-registry`` is version 2 of
            distribution, ``registry`` is version 3.
        guard: What it requires: nothing, a ``password``, a ``token``, or a
            token that clients request with a ``form``.
    """

    program: str
    guard: str = ""

    def __str__(self) -> str:
        return f"{self.program}{self.guard and f', {self.guard}'}"

    @property
    def missing(self) -> list[str]:
        """The programs that are not installed."""
        guards = {"password": ["htpasswd"], "token": ["openssl"], "form": ["openssl"]}
        return [name for name in (self.program, *guards.get(self.guard, ())) if shutil.which(name) is None]


@dataclass(frozen=True, kw_only=True)
class Running:
    """
    A running registry.

    Attributes:
        secret: The content of a secret for it: credentials, and their hosts.
    """

    host: str
    secret: str = ""


@contextmanager
def running(kind: Kind, folder: Path, fill: Callable[[str], None]) -> Iterator[Running]:
    """
    Run a registry. *fill* pushes to its host before authentication is enabled.

    Args:
        folder: The folder for its data.
    """
    with _open(kind, folder, "") as host:
        fill(host)
        if not kind.guard:
            yield Running(host=host)
            return
    login = {"username": USER, "password": PASSWORD}
    if kind.guard == "password":
        with _open(kind, folder, _htpasswd(folder)) as host:
            yield Running(host=host, secret=json.dumps({**login, "registry": host}))
        return
    with web_server() as tokens:
        service = TokenService(folder, tokens, takes_get=kind.guard == "token")
        config = service.config(f"{tokens.url}/token")
        with _open(kind, folder, config) as host:
            yield Running(host=host, secret=json.dumps({**login, "registry": host, "tokenEndpoint": tokens.host}))


@contextmanager
def _open(kind: Kind, folder: Path, auth: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    if kind.program == "crane":
        command = ["crane", "registry", "serve", "--address", host]
    else:
        (folder / "config.yml").write_text(_CONFIG.format(folder=folder, host=host) + auth)
        command = [kind.program, "serve", str(folder / "config.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(host)
            yield host
        finally:
            process.terminate()


def wait_for(host: str) -> None:
    """Wait until a registry responds, for ten seconds at most."""
    for _ in range(200):
        try:
            urllib3.request("GET", f"http://{host}/v2/", retries=False)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
        else:
            return
    message = f"nothing responds on {host}"
    raise TimeoutError(message)


def _htpasswd(folder: Path) -> str:
    users = subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], check=True, capture_output=True, text=True).stdout
    (folder / "users").write_text(users.strip() + "\n")
    return f"auth:\n  htpasswd:\n    realm: here\n    path: {folder}/users\n"


class TokenService:
    """
    Issues tokens for a registry of distribution, signed with its own certificate.

    References:
        Distribution, "Docker Registry v2 Bearer token specification", and
        "authentication using OAuth2".
    """

    def __init__(self, folder: Path, server: WebServer, *, takes_get: bool) -> None:
        self._key, self._certificate = folder / "key.pem", folder / "certificate.pem"
        self._server, self._takes_get = server, takes_get
        server.answer = self.answer
        subprocess.run(
            [*_CERTIFICATE, "-keyout", str(self._key), "-out", str(self._certificate)],
            check=True,
            capture_output=True,
        )

    def config(self, realm: str) -> str:
        """Return the registry's configuration for this service."""
        told = {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self._certificate)}
        return "auth:\n  token:\n" + "".join(f"    {name}: {value}\n" for name, value in told.items())

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Return a token if the password is right."""
        if request.command == "POST":
            asked = dict(parse_qsl(self._server.asked[-1].form))
            login = f"{asked.get('username')}:{asked.get('password')}"
        elif self._takes_get:
            asked = dict(parse_qsl(request.path.partition("?")[2]))
            login = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        else:
            send(request, 405)
            return
        if login != f"{USER}:{PASSWORD}" or asked.get("service") != SERVICE:
            send(request, 401)
            return
        name = "access_token" if request.command == "POST" else "token"
        send(request, 200, json.dumps({name: self._token(asked.get("scope", ""))}).encode(), "application/json")

    def _token(self, scope: str) -> str:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        now = int(time.time())
        der = "".join(self._certificate.read_text().splitlines()[1:-1])
        head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        access = [{"type": kind, "name": name, "actions": actions.split(",")}] if scope else []
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": str(now), "iat": now, "access": access}
        claims |= {"nbf": now - 10, "exp": now + 300}
        signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._key)],
            input=signed.encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{signed}.{_encoded(signature)}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
