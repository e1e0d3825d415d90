"""Replacements for the function's clients and connections."""

from __future__ import annotations

import copy
import functools
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3

from cdk_ecrpublic.sandbox.store.images import ImageId
from lambda_handler.entrypoint import Clients
from lambda_handler.oci import Repository
from lambda_handler.registry.auth import RegistryAuth
from lambda_handler.registry.logins import Login, Logins

from .aws_registry import depend_on
from .run import Call, Invocation
from .schedule import Fault
from .services import Client
from .world import HOST, URI, World

_MANIFEST = re.compile(rf"/v2/{re.escape(URI.partition('/')[2])}/manifests/(.+)")


class _LoggedIn(Logins):
    """The logins of a function that has a token: logging in makes no difference here, and would be three more steps."""

    @contextmanager
    def asking_ahead(self) -> Iterator[None]:
        """Ask nothing."""
        yield

    def ecr_public(self, repository: Repository) -> Login:
        """Return a login with a token."""
        return Login(repository, RegistryAuth(repository.host, lambda: None, current="token"))


class FakeClients(Clients):
    """The clients of one function: the real class with fake connections."""

    invocation: Invocation
    region: str
    client: type[Client] = Client

    def __init__(self) -> None:
        super().__init__()
        self.logins = _LoggedIn(self._call)

    def _make(self, service: str, region: str | None) -> Any:
        return self.client(self.invocation, service, region or self.region)


@functools.cache
def _template() -> FakeClients:
    """Return the same clients each time, because creating them takes longer than a hundred requests."""
    return FakeClients()


def clients_for(invocation: Invocation, *, like: Clients | None = None, client: type[Client] = Client) -> FakeClients:
    """
    Create the clients of a function.

    Args:
        like: A warm function whose cached state they share. Default: the function is cold.
        client: The replacement for botocore's clients.
    """
    made = copy.copy(like or _template())
    assert isinstance(made, FakeClients)
    for name, value in list(vars(made).items()):
        if isinstance(value, dict):
            setattr(made, name, copy.copy(value))
    made.invocation, made.client = invocation, client
    made.region = str(invocation.request.event["StackId"]).split(":")[3]
    made._clients = {}  # noqa: SLF001 - those of another function
    made.pool = _Pool(invocation)
    return made


@dataclass(frozen=True, slots=True)
class _Host:
    """Connections to one host of the fake world."""

    pool: _Pool
    url: str

    def urlopen(self, method: str, target: str, **options: Any) -> urllib3.HTTPResponse:
        """Send a request."""
        return self.pool.request(method, urljoin(self.url, target), **options)


class _Pool(urllib3.PoolManager):
    """Connections to the same fake world."""

    def __init__(self, invocation: Invocation) -> None:  # a real pool is not needed
        self._invocation = invocation
        self.pool_classes_by_scheme = {}

    def clear(self) -> None:
        """Do nothing."""

    def connection_from_url(self, url: str, pool_kwargs: Any = None) -> Any:  # noqa: ARG002
        """Return the connections to the host of *url*."""
        return _Host(self, url)

    def request(self, method: str, url: str, *_: Any, **options: Any) -> urllib3.HTTPResponse:
        parts = urlsplit(url)
        if parts.netloc == HOST and method in {"GET", "HEAD"} and (match := _MANIFEST.fullmatch(parts.path)):
            return self._manifest(method, match[1])
        if method == "PUT" and parts.netloc.startswith("cloudformation-custom-resource-response"):
            assert options["headers"] == {"Content-Type": ""}, "S3 would respond with SignatureDoesNotMatch"
            return self._answer(parts.path.strip("/"), options["body"])
        message = f"no host responds to {method} {url}"
        raise AssertionError(message)

    def _manifest(self, method: str, reference: str) -> urllib3.HTTPResponse:
        def send(world: World, call: Call) -> urllib3.HTTPResponse:
            key = "digest" if ":" in reference else "tag"
            depend_on(call, world, **{key: reference})
            found = world.store.find(ImageId(**{key: reference}), call.view)
            if found is None:
                call.outcome = "404"
                return _response(404)
            headers = {"Content-Type": found.media_type, "Docker-Content-Digest": str(found.digest)}
            return _response(200, b"" if method == "HEAD" else found.content, headers)

        return self._step(Call(self._invocation.name, f"{method} manifest", {"reference": reference}), send)

    def _answer(self, request: str, body: bytes) -> urllib3.HTTPResponse:
        def take(world: World, call: Call) -> urllib3.HTTPResponse:
            if call.fault is Fault.UNANSWERED:
                call.outcome = "403"
                return _response(403)
            world.answers.setdefault(request, []).append(body)
            call.writes.add(f"answer:{request}")
            return _response(200)

        status = "SUCCESS" if b'"SUCCESS"' in body else "FAILED"
        return self._step(Call(self._invocation.name, "PUT answer", {"status": status}), take)

    def _step(self, call: Call, send: Any) -> urllib3.HTTPResponse:
        def throttled() -> urllib3.HTTPResponse:
            return _response(503 if call.operation == "PUT answer" else 429)

        def lost() -> Exception:
            return urllib3.exceptions.ProtocolError("Connection aborted")

        answer: urllib3.HTTPResponse = self._invocation.step(call, send, throttled=throttled, lost=lost)
        return answer


def _response(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(io.BytesIO(body), headers=headers, status=status, preload_content=False)
