"""A sandbox in a separate process: ECR Public, and ministack for the rest of AWS."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

import urllib3

from . import environment
from .faults import Fault
from .journal import Request
from .scans import ImageScan
from .server import SandboxError, make_client
from .settings import Settings

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 10.0

_MAIN = "import sys; sys.path.insert(0, {root!r}); from cdk_ecrpublic.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Remote:
    """The controls of a sandbox in another process."""

    url: str

    def request(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - parsed JSON
        """
        Send a request to ``/_sandbox/``.

        Raises:
            ValueError: The sandbox refused the request.
        """
        response = urllib3.request(method, f"{self.url}/_sandbox/{path}", json=body, retries=False)
        answer = response.json()
        if response.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
            raise ValueError(answer["error"])
        return answer


@dataclass(frozen=True, slots=True)
class RemoteFaults:
    """Like ``Sandbox.faults``, from another process."""

    remote: Remote

    def add(self, *faults: Fault) -> None:
        """Append faults."""
        self.remote.request("POST", "faults", [asdict(fault) for fault in faults])

    def clear(self) -> None:
        """Clear the list."""
        self.remote.request("DELETE", "faults")

    def all(self) -> list[Fault]:
        """Return all faults in order, including those that have occurred."""
        return [Fault.from_json(item) for item in self.remote.request("GET", "faults")]


@dataclass(frozen=True, slots=True)
class RemoteScans:
    """The scans of images in private ECR, in another process."""

    remote: Remote

    def add(self, *scans: ImageScan) -> None:
        """Append scans. Of those that match an image, the last one counts."""
        self.remote.request("POST", "scans", [asdict(scan) for scan in scans])

    def clear(self) -> None:
        """Remove all scans."""
        self.remote.request("DELETE", "scans")

    def all(self) -> list[ImageScan]:
        """Return all scans in order."""
        return [ImageScan.from_json(item) for item in self.remote.request("GET", "scans")]


@dataclass(frozen=True, slots=True)
class RemoteJournal:
    """Like ``Sandbox.requests``, from another process."""

    remote: Remote

    def all(self, *operations: str) -> list[Request]:
        """Return all requests, or only those for the given operations."""
        found = [Request.from_json(item) for item in self.remote.request("GET", "requests")]
        return [request for request in found if not operations or request.operation in operations]

    def count(self, *operations: str) -> int:
        """Count the requests, as in ``all``."""
        return len(self.all(*operations))

    def clear(self) -> None:
        """Clear the list."""
        self.remote.request("DELETE", "requests")


class SandboxProcess:
    """
    An emulator of ECR Public and the rest of AWS, in a separate process.

    Use it as a context manager, like ``Sandbox``. It stops when this process
    ends, even if this process is killed.

    Args:
        port: The port, or 0 for any free port.
        log_file: The file for the log. Default: no log.
        options: Further arguments for ``cdk-ecrpublic sandbox``.

    Raises:
        SandboxError: The sandbox did not start.
    """

    def __init__(self, port: int = 0, *, log_file: Path | None = None, options: Sequence[str] = ()) -> None:
        logging = ["--log-file", str(log_file)] if log_file else []
        self._arguments = ["sandbox", "--json", "--until-stdin-closes", "--port", str(port), *logging, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._answer: Mapping[str, Any] = {}
        # A file, because a pipe that is not read could fill up and block the process.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process

    def __enter__(self) -> Self:
        command = [sys.executable, "-c", _MAIN.format(root=str(ROOT)), *self._arguments]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        with ExitStack() as unless_ready:
            unless_ready.callback(self.__exit__)
            self._answer = self._first_line(self._process)
            unless_ready.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        for stream in (process.stdin, process.stdout, self._errors):
            if stream:
                stream.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def url(self) -> str:
        """The URL for ``AWS_ENDPOINT_URL``."""
        return str(self._answer["url"])

    @property
    def registry_host(self) -> str:
        """The registry host in image references."""
        return str(self._answer["registryHost"])

    @property
    def account(self) -> str:
        """The default account."""
        return str(self._answer["account"])

    @property
    def faults(self) -> RemoteFaults:
        """The injected faults."""
        return RemoteFaults(Remote(self.url))

    @property
    def scans(self) -> RemoteScans:
        """The scans of images in private ECR."""
        return RemoteScans(Remote(self.url))

    @property
    def requests(self) -> RemoteJournal:
        """The recorded requests."""
        return RemoteJournal(Remote(self.url))

    @property
    def settings(self) -> Settings:
        """How the sandbox behaves. Assign another ``Settings`` to change it."""
        return Settings.from_json(Remote(self.url).request("GET", "settings"))

    @settings.setter
    def settings(self, settings: Settings) -> None:
        Remote(self.url).request("PUT", "settings", asdict(settings))

    def reset(self) -> None:
        """Empty ECR Public, and clear faults and requests. The rest of AWS stays as it is."""
        Remote(self.url).request("POST", "reset")

    def environment(self) -> dict[str, str]:
        """Return the environment of this process, changed to use the sandbox instead of AWS."""
        return environment.inside(self.url, self.account, os.environ)

    def client(self, service: str, **options: Any) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        """Return a boto3 client for any service of the sandbox."""
        return make_client(service, self.url, self.account, **options)

    def _first_line(self, process: subprocess.Popen[bytes]) -> Mapping[str, Any]:
        """Wait for the line with which the process reports that it is ready."""
        output = process.stdout
        line = output.readline() if output is not None and _is_ready(output) else b""
        if not line:
            process.kill()
            process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip()
            message = f"the sandbox did not start: {said or f'no response within {START_SECONDS:.0f} seconds'}"
            raise SandboxError(message)
        answer: Mapping[str, Any] = json.loads(line)
        return answer


def _is_ready(output: IO[bytes]) -> bool:
    # Not select.select, which does not support descriptors above 1023; a long test run may have more.
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        return bool(selector.select(START_SECONDS))
