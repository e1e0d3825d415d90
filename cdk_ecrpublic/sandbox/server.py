"""Runs a sandbox in a thread of this process, on a real socket."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Self, cast

import urllib3
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config, Sockets
from hypercorn.utils import wrap_app

from . import environment
from .faults import Faults
from .front.connections import Listener
from .front.gateway import Behind, Gateway
from .journal import Journal
from .settings import DEFAULT_ACCOUNT, Settings
from .store.registries import Store
from .world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STOP_SECONDS = 5.0
START_SECONDS = 30.0
GRACE_SECONDS = 0.2
"""The time that requests in progress get when the server stops."""

KEEP_ALIVE_SECONDS = 15.0
"""
An idle connection is closed after this time.

hypercorn keeps the descriptor of a connection that the client has closed for as
long, and a process may have as few as 1,024 descriptors.
"""

_log = logging.getLogger("cdk_ecrpublic.sandbox")


class SandboxError(Exception):
    """The sandbox cannot run; the message says why and what to do."""


class Server:
    """
    An ASGI application on a listening socket, served by a separate thread.

    Raises:
        SandboxError: The server did not start.
    """

    def __init__(self, app: Gateway, listener: Listener) -> None:
        self._app = app
        self._listener = listener
        self._connections = listener.connections
        self._url = f"http://127.0.0.1:{listener.port}/_sandbox/health"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="cdk-ecrpublic-sandbox", daemon=True)

    def start(self) -> None:
        """Start the server, and return when it responds."""
        self._thread.start()
        with urllib3.PoolManager(retries=False, timeout=START_SECONDS) as pool:
            try:
                pool.request("GET", self._url, headers={"Connection": "close"})
            except urllib3.exceptions.HTTPError as error:
                self.stop()
                message = f"the sandbox did not respond within {START_SECONDS:.0f} seconds; its log says why"
                raise SandboxError(message) from error

    def stop(self) -> None:
        """Stop the server, and return when the port is free."""
        # The loop is closed if it has already stopped.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)
        self._connections.close_all()
        self._thread.join(STOP_SECONDS)
        self._listener.close()

    def _end(self) -> None:
        self._stop.set()
        self._app.cancel()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._listener.close()
            self._loop.close()

    async def _serve(self) -> None:
        config = Config()
        config.graceful_timeout = GRACE_SECONDS
        config.keep_alive_timeout = KEEP_ALIVE_SECONDS
        config.errorlog = _log
        # Two descriptions of one protocol: hypercorn's messages are typed, Starlette's are not.
        app = wrap_app(cast("Any", self._app), config.wsgi_max_body_size, "asgi")
        await worker_serve(app, config, sockets=Sockets([], [self._listener], []), shutdown_trigger=self._stop.wait)


class Sandbox:
    """
    An emulator of ECR Public on a loopback port, in a thread of this process.

    Use it as a context manager:

    ```python
    with Sandbox() as sandbox:
        sandbox.client("ecr-public").create_repository(repositoryName="acme/agent")
    ```

    Args:
        port: The port, or 0 for any free port; or an existing listener.
        settings: How the sandbox behaves. Default: ``Settings()``.
        account: The account of the credentials in ``environment``: 12 digits.
        behind: Creates the application that serves all other services. For the
            rest of AWS use ``SandboxProcess``.

    Raises:
        SandboxError: The port is in use.
    """

    def __init__(
        self,
        port: int | Listener = 0,
        *,
        ministack: bool = False,
        settings: Settings | None = None,
        account: str = DEFAULT_ACCOUNT,
        behind: Callable[[World], Behind] | None = None,
    ) -> None:
        if ministack:
            message = (
                "ministack reads its environment when it is imported, so it needs a separate process; "
                "use SandboxProcess instead of Sandbox(ministack=True)"
            )
            raise SandboxError(message)
        self._port = port
        self._account = account
        self._settings = settings or Settings()
        self._behind = behind
        self._world: World | None = None
        self._server: Server | None = None

    def __enter__(self) -> Self:
        listener = self._port if isinstance(self._port, Listener) else listen(self._port)
        self._world = World(
            port=listener.port, account=self._account, settings=self._settings, connections=listener.connections
        )
        with ExitStack() as unless_started:
            unless_started.callback(self._world.store.close)
            unless_started.callback(listener.close)
            behind = self._behind(self._world) if self._behind else None
            self._server = Server(Gateway(self._world, behind), listener)
            self._server.start()
            unless_started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._server:
                self._server.stop()
        finally:
            self.world.store.close()

    @property
    def world(self) -> World:
        """The parts of the sandbox."""
        if self._world is None:
            message = "the sandbox has not been started; use it in a with statement"
            raise SandboxError(message)
        return self._world

    @property
    def url(self) -> str:
        """The URL for ``AWS_ENDPOINT_URL``: ``http://127.0.0.1:53111``."""
        return self.world.url

    @property
    def registry_host(self) -> str:
        """The registry host in image references: ``127.0.0.1:53111``."""
        return self.world.registry_host

    @property
    def account(self) -> str:
        """The default account."""
        return self.world.account

    @property
    def store(self) -> Store:
        """The registries and their content."""
        return self.world.store

    @property
    def faults(self) -> Faults:
        """The injected faults."""
        return self.world.faults

    @property
    def requests(self) -> Journal:
        """The recorded requests."""
        return self.world.requests

    @property
    def settings(self) -> Settings:
        """How the sandbox behaves. Assign another ``Settings`` to change it."""
        return self.world.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.world.settings = settings

    def reset(self) -> None:
        """Empty the store, clear faults and requests, and restore the initial settings."""
        self.world.reset()
        self.world.settings = self._settings

    def environment(self) -> dict[str, str]:
        """Return the environment of this process, changed to use the sandbox instead of AWS."""
        return environment.inside(self.url, self.account, os.environ)

    def client(self, service: str, **options: Any) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        """Return a boto3 client for a service of the sandbox."""
        return make_client(service, self.url, self.account, **options)


def listen(port: int) -> Listener:
    """
    Listen on a port.

    Raises:
        SandboxError: The port cannot be used.
    """
    try:
        return Listener(port)
    except OSError as error:
        message = f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); choose another, or 0 for any"
        raise SandboxError(message) from error


def make_client(service: str, url: str, account: str, *, config: Any = None, **options: Any) -> Any:  # noqa: ANN401
    """
    Return a boto3 client with *config* and *options* of ``boto3.client``.

    Without options, the same client is returned each time, because each client
    keeps its own connections, and their number is limited.
    """
    if config is None and not options:
        return _plain_client(service, url, account)
    return _make_client(service, url, account, config, options)


@cache
def _plain_client(service: str, url: str, account: str) -> Any:  # noqa: ANN401
    return _make_client(service, url, account, None, {})


def _make_client(service: str, url: str, account: str, config: Any, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    from botocore.config import Config  # noqa: PLC0415 - the server does not need it

    # A proxy cannot reach the loopback interface of this machine.
    settings: Any = Config(proxies={}).merge(config or Config())
    credentials = {"aws_access_key_id": account, "aws_secret_access_key": "sandbox"}
    given: dict[str, Any] = {"endpoint_url": url, "region_name": environment.REGION, **credentials, **options}
    return _session().client(service, config=settings, **given)


@cache
def _session() -> Any:  # noqa: ANN401 - boto3's sessions are as dynamic as its clients
    """Return the session of all clients, which caches the service models and ignores the user's profiles."""
    import boto3  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415

    nowhere = (None, None, os.devnull, None)
    names: Any = {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    return boto3.session.Session(botocore_session=botocore.session.Session(session_vars=names))
