"""
Run Lambda functions as Lambda does: with their own runtime client, in a separate process.

This module emulates Lambda's runtime API and the response URL of CloudFormation.
"""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .processes import BenchmarkError, Cost, Measured

LAMBDA_MILLISECONDS = 900_000
STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Benchmark/5a7d8f10-0000-4000-8000-123456789abc"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:benchmark"


@dataclass(frozen=True, slots=True)
class Program:
    """
    A function's code.

    Attributes:
        command: The command of its runtime client.
        folder: The unpacked asset, its working folder.
        environment: Variables in addition to Lambda's own.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass
class _World:
    """The queues between the process and the benchmark; *asked* has the times when the function requested an event."""

    events: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)
    answers: queue.Queue[tuple[float, dict[str, Any]]] = field(default_factory=queue.Queue)
    asked: queue.Queue[float] = field(default_factory=queue.Queue)


class Function:
    """A running function."""

    def __init__(self, url: str, world: _World, process: Measured) -> None:
        self._url, self._world, self._process = url, world, process

    def deploy(self, properties: Mapping[str, object]) -> float:
        """
        Send a Create, and wait for the response.

        Returns:
            When the response arrived.

        Raises:
            BenchmarkError: The deployment failed, or there was no response.
        """
        request = str(uuid.uuid4())
        self._world.events.put(
            {
                "RequestType": "Create",
                "RequestId": request,
                "ResponseURL": f"{self._url}/answer/{request}",
                "StackId": STACK_ID,
                "LogicalResourceId": f"Image{request[:8]}",
                "ResourceType": "Custom::Benchmark",
                "ResourceProperties": {"ServiceToken": ARN, **properties},
            }
        )
        came, answer = self._answer()
        if answer["Status"] != "SUCCESS":
            message = f"{self._process.name} answered: {answer['Reason']}\n{self._process.printed()}"
            raise BenchmarkError(message)
        return came

    def _answer(self) -> tuple[float, dict[str, Any]]:
        while not self._process.has_ended():
            with suppress(queue.Empty):
                return self._world.answers.get(timeout=1)
        message = f"{self._process.name} ended without a response: {self._process.printed()}"
        raise BenchmarkError(message)

    def timed(self, properties: Mapping[str, object]) -> float:
        """Send a Create, and return how many seconds the response took."""
        started = time.perf_counter()
        return self.deploy(properties) - started

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def initialized(self) -> float:
        """Wait until the function requests its first event; return how many seconds its initialization took."""
        while not self._process.has_ended():
            with suppress(queue.Empty):
                return self._world.asked.get(timeout=1) - self._process.started
        message = f"{self._process.name} ended before its first request: {self._process.printed()}"
        raise BenchmarkError(message)

    def end(self) -> None:
        """End the process, which would wait forever, without measuring it."""
        self._process.kill()

    def stop(self, answered: float) -> Cost:
        """End the process, which would wait forever. Its time ends at *answered*, the result of ``deploy``."""
        return self._process.stop(answered - self._process.started)


@contextmanager
def running(program: Program, env: Mapping[str, str]) -> Iterator[Function]:
    """
    Run a function until the end of the block.

    Args:
        env: The variables that direct it to AWS and the registries.
    """
    world = _World()
    server = _Server(world)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    lambda_env = {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "LAMBDA_TASK_ROOT": str(program.folder),
        "_HANDLER": "bootstrap",
    }
    process = Measured(program.command, {**env, **program.environment, **lambda_env}, program.folder)
    try:
        yield Function(f"http://{address}", world, process)
    finally:
        process.kill()
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """Lambda's runtime API, and CloudFormation's response URL."""

    daemon_threads = True

    def __init__(self, world: _World) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world = world

    def handle_error(self, *_: object) -> None:
        """Ignore errors: a terminated process just closes its connection."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Headers and body are two small packets. The second would wait 40 ms for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Return the next event: ``/2018-06-01/runtime/invocation/next``."""
        self.server.world.asked.put(time.perf_counter())
        event = self.server.world.events.get()
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": event["RequestId"],
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + LAMBDA_MILLISECONDS),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
        }
        self._answer(200, json.dumps(event).encode(), headers)

    def do_PUT(self) -> None:
        """Receive the response to CloudFormation."""
        came = time.perf_counter()
        self.server.world.answers.put((came, json.loads(_body(self))))
        self._answer(200)

    def do_POST(self) -> None:
        """Receive the result of the function, or its error."""
        body = _body(self)
        if self.path.endswith("/error"):
            answer = {"Status": "FAILED", "Reason": body.decode(errors="replace")}
            self.server.world.answers.put((time.perf_counter(), answer))
        self._answer(202)

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """Read a body, which may be chunked: Go's client does that."""
    if "Content-Length" in request.headers:
        return request.rfile.read(int(request.headers["Content-Length"]))
    body = bytearray()
    while size := int(request.rfile.readline(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return bytes(body)
