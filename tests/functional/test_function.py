"""The function itself, as Lambda calls it: warm, on the system's clock, with its log and its response."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import urllib3

from cdk_ecrpublic.sandbox import Fault
from lambda_handler import entrypoint
from lambda_handler.cfn import deliver
from lambda_handler.clock import Deadline
from lambda_handler.errors import DeliveryError
from lambda_handler.log import Log
from lambda_handler.retry import Retry
from tests.protocol.cloudformation import SIGNATURE, AnswerAddress, CloudFormation, answer_address
from tests.protocol.conftest import Context, Registry, declare
from tests.support.clock import SteppingClock
from tests.support.stack import Stack


class Today:
    """The clock of this machine."""

    def wall(self) -> float:
        return time.time()


def test_the_handler_serves_an_event_on_the_system_s_clock(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    cloudformation.clock = Today()
    event = cloudformation.event("Create", declare(image, "1"))
    entrypoint._clients.cache_clear()  # noqa: SLF001 - the clients of another sandbox may be kept

    entrypoint.handler(event, Context(900))

    assert cloudformation.answer_to(event).succeeded
    assert registry.tags() == {"1": image.digest}
    entrypoint._clients.cache_clear()  # noqa: SLF001


def test_every_line_of_the_log_is_json_with_its_context(
    stack: Stack, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1"))
    registry.sandbox.faults.add(Fault(operation="PutImage", code="ThrottlingException"))
    stack.deploy(declare(second, "1", "2"))
    stack.deploy({"RepositoryName": "acme/agent", "Source": {"Tag": "nothing"}})
    stack.destroy()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["level"] for line in lines} == {"INFO", "WARNING", "ERROR"}
    assert {line["requestType"] for line in lines} == {"Create", "Update", "Delete"}
    assert {line["awsRequestId"] for line in lines} == {"lambda-request"}
    assert any(line["message"] == f"plan for acme/agent: image {first.digest}; put 1 (new)" for line in lines)
    answered = [line["message"] for line in lines if line["message"].startswith("sent the response ")]
    assert answered == [
        f"sent the response {status}" for status in ("SUCCESS", "SUCCESS", "FAILED", "SUCCESS", "SUCCESS")
    ]


def test_no_secret_is_logged_in_a_whole_lifecycle(
    stack: Stack, registry: Registry, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(urllib3.PoolManager, "request", remembering(urllib3.PoolManager.request, sent))
    image = registry.push("first")
    answers = [stack.deploy(declare(image, "1"))]
    for fault in (Fault(operation="GetManifest", status=403), Fault(operation="PutImage", code="ServerException")):
        registry.sandbox.faults.add(fault)
        answers.append(stack.deploy(declare(registry.push(str(fault)), "1")))
    answers.append(stack.deploy(declare("sha256:" + "0" * 64, "1")))
    answers.append(stack.destroy())

    output = capfd.readouterr()
    told = output.out + output.err + repr(answers)
    secrets = {header.partition(" ")[2][:40] for header in sent} | {SIGNATURE, stack.cloudformation.address.url}
    assert len(secrets) > 3
    assert [secret for secret in secrets if secret in told] == []


def remembering(request: object, sent: list[str]) -> object:
    """Wrap urllib3's own request to record the credentials that are sent."""

    def wrapped(pool: urllib3.PoolManager, method: str, url: str, **options: object) -> object:
        headers = options.get("headers")
        if isinstance(headers, dict) and "Authorization" in headers:
            sent.append(headers["Authorization"])
        return request(pool, method, url, **options)  # type: ignore[operator]

    return wrapped


@pytest.fixture
def address() -> Iterator[AnswerAddress]:
    with answer_address() as running:
        yield running


def send(url: str, clock: SteppingClock, seconds: float = 60) -> None:
    retry = Retry(Deadline.after(seconds, clock), Log(stream=io.StringIO()))
    deliver(url, b"{}", urllib3.PoolManager(), retry)


def test_the_response_goes_to_the_presigned_url_byte_for_byte() -> None:

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        heads: list[bytes] = []
        threading.Thread(target=accept, args=[listener, heads], daemon=True).start()
        send(f"http://127.0.0.1:{listener.getsockname()[1]}/a%2Fb%20c?X=1%2B2&{SIGNATURE}", SteppingClock())

    assert heads[0].startswith(f"PUT /a%2Fb%20c?X=1%2B2&{SIGNATURE} HTTP/1.1\r\n".encode())
    assert b"\r\ncontent-type: \r\n" in heads[0].lower()


@pytest.mark.parametrize("status", [301, 400, 403, 404])
def test_a_refused_response_is_not_sent_again(address: AnswerAddress, status: int) -> None:
    address.failures += [status, 200]
    clock = SteppingClock()

    with pytest.raises(DeliveryError, match=f"refused the response with status {status}"):
        send(f"{address.url}/x", clock)

    assert (clock.slept, address.failures) == ([], [200])


def test_gives_up_in_time_on_a_response_url_that_always_fails(address: AnswerAddress) -> None:
    address.failures += [503] * 100
    clock = SteppingClock()

    with pytest.raises(DeliveryError, match="returned status 503"):
        send(f"{address.url}/x", clock)

    assert clock.time < 20


def test_a_dropped_connection_is_retried() -> None:
    heads: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=drop_then_accept, args=[listener, heads], daemon=True).start()
        send(f"http://127.0.0.1:{listener.getsockname()[1]}/x", SteppingClock())

    assert len(heads) == 1


def drop_then_accept(listener: socket.socket, heads: list[bytes]) -> None:
    listener.accept()[0].close()
    accept(listener, heads)


def accept(listener: socket.socket, heads: list[bytes]) -> None:
    """Accept one request, record its headers, and respond."""
    connection, _ = listener.accept()
    with closing(connection):
        heads.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
