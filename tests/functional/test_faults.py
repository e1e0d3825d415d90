"""Faults of the service, and deadlines: the function recovers or reports them, and moves all tags or none."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest

from cdk_ecrpublic.sandbox import Fault, Settings
from lambda_handler.clock import SystemClock
from lambda_handler.entrypoint import CLOCK_SKEW_SECONDS, RESPONSE_RESERVE_SECONDS, UNDO_RESERVE_SECONDS
from lambda_handler.retry import ATTEMPTS
from tests.protocol.cloudformation import Answer, CloudFormation, answer_address
from tests.protocol.conftest import Lambda, Registry, declare
from tests.support.clock import SteppingClock
from tests.support.stack import Stack

WORK_SECONDS = 300 - CLOCK_SKEW_SECONDS - RESPONSE_RESERVE_SECONDS - UNDO_RESERVE_SECONDS
"""Of the time that CloudFormation's simulator gives to a request."""


@pytest.mark.parametrize("style", [400, 403])
def test_an_expired_token_is_renewed_once(stack: Stack, registry: Registry, style: int) -> None:
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1"))
    registry.sandbox.requests.clear()
    registry.sandbox.faults.add(Fault(operation="GetManifest", status=style))

    assert stack.deploy(declare(second, "1")).succeeded

    assert registry.sandbox.requests.count("Token") == 1


def test_waits_for_an_image_that_is_not_yet_visible_over_http(
    stack: Stack, function: Lambda, registry: Registry
) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="GetManifest", status=404, times=8))

    assert stack.deploy(declare(image, "1")).succeeded
    assert 10 <= function.clock.time <= 60


def test_reports_an_image_that_never_becomes_visible(stack: Stack, function: Lambda, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="GetManifest", status=404, times=None))

    answer = stack.deploy(declare(image, "1"))

    assert answer.reason == (
        "NOT_YET_VISIBLE: the registry API does not return the manifest "
        f"{image.digest} of repository 'acme/agent' (yet)"
    )
    assert 60 <= function.clock.time < 70


def test_retries_a_denied_write_for_a_minute_and_then_reports_it(
    stack: Stack, function: Lambda, registry: Registry
) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="PutImage", code="AccessDeniedException", times=None))

    answer = stack.deploy(declare(image, "1"))

    assert answer.reason.startswith("ACCESS_DENIED: ecr-public:PutImage failed: AccessDeniedException")
    assert answer.reason.endswith("Hint: allow ecr-public:PutImage in the role of the handler function")
    assert 60 <= function.clock.time < 70
    assert registry.tags() == {}


@pytest.mark.parametrize("fault", [{"code": "ThrottlingException"}, {"code": "ServerException"}, {"drop": "before"}])
@pytest.mark.parametrize("operation", ["DescribeRepositories", "DescribeImages", "PutImage"])
def test_reports_a_permanent_fault_in_bounded_time(
    stack: Stack, function: Lambda, registry: Registry, operation: str, fault: dict[str, str]
) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation=operation, face="api", times=None, **fault))  # type: ignore[arg-type]

    answer = stack.deploy(declare(image, "1"))

    assert answer.reason.startswith(("THROTTLED: ", "UNAVAILABLE: "))
    assert f"ecr-public:{operation}" in answer.reason
    if "THROTTLED" in answer.reason:
        # Throttled calls are retried until only the time for the undo and the response is left.
        assert WORK_SECONDS - 1 < function.clock.time < WORK_SECONDS
    else:
        assert function.clock.time < 20
    registry.sandbox.faults.clear()
    assert registry.tags() == {}


def test_recognizes_a_put_whose_response_was_lost(stack: Stack, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="PutImage", drop="after", times=3))

    assert stack.deploy(declare(image, "1", "2")).succeeded
    assert registry.tags() == {"1": image.digest, "2": image.digest}


def test_moves_back_a_tag_whose_put_took_effect_without_a_response(stack: Stack, registry: Registry) -> None:
    """Every response to the second put is lost, so this tag may have moved and must be moved back as well."""
    first, second = registry.push("first"), registry.push("second")
    stack.deploy(declare(first, "1", "latest"))
    before = registry.tags()
    registry.sandbox.faults.add(Fault(operation="PutImage", reference="latest", drop="after", times=6))

    answer = stack.cloudformation.update(
        stack.physical_id, declare(second, "1", "latest"), declare(first, "1", "latest")
    )

    assert not answer.succeeded
    assert registry.tags() == before


@pytest.mark.parametrize(("code", "times"), [("LimitExceededException", 2), ("ServerException", 6)])
def test_moves_back_a_tag_whose_put_took_effect_although_later_ones_are_refused(
    stack: Stack, registry: Registry, code: str, times: int
) -> None:
    """The first put takes effect, its response is lost, and the next are refused. No rollback follows a Create."""
    registry.push("old", "latest")
    image, before = registry.push("new"), registry.tags()
    registry.sandbox.faults.add(Fault(operation="PutImage", drop="after"))
    registry.sandbox.faults.add(Fault(operation="PutImage", code=code, times=times))

    answer = stack.cloudformation.create(declare(image, "latest"))

    assert not answer.succeeded
    assert registry.tags() == before


@dataclass
class TickingClock(SteppingClock):
    """A clock that advances by a second with each call, so that a deadline can fall between any two steps."""

    def now(self) -> float:
        self.time += 1.0
        return self.time


@pytest.mark.parametrize("seconds", range(1, 60))
def test_a_deadline_at_any_point_leaves_all_tags_moved_or_none(registry: Registry, seconds: int) -> None:
    """No rollback follows a failed Create."""
    registry.push("old", "1", "2", "3")
    image = registry.push("new")
    before, after = registry.tags(), dict.fromkeys("123", image.digest)
    with answer_address() as address, closing(Lambda(clock=TickingClock())) as function:
        cloudformation = CloudFormation(function, address, RESPONSE_RESERVE_SECONDS + seconds)
        answer = cloudformation.create(declare(image, "1", "2", "3"))

    assert registry.tags() == (after if answer.succeeded else before), answer.reason


@pytest.mark.parametrize("seconds", [10, 14, 16, 20, 21])
def test_a_stack_with_a_short_service_timeout_can_always_be_deleted(
    stack: Stack, registry: Registry, seconds: int
) -> None:
    image = registry.push("first")
    stack.deploy(declare(image, "1"))

    assert stack.cloudformation.delete(stack.physical_id, declare(image, "1", ServiceTimeout=seconds)).succeeded


def test_tags_go_back_even_if_the_repository_can_no_longer_be_described(stack: Stack, registry: Registry) -> None:
    """What an undo needs was read before."""
    first, second = registry.push("first"), registry.push("second")
    old, new = declare(first, "1", "2"), declare(second, "1", "2")
    stack.deploy(old)
    before = registry.tags()
    registry.sandbox.faults.add(
        Fault(operation="PutImage", reference="2", code="ServerException", times=6),
        Fault(operation="DescribeRepositories", skip=1, code="ServerException", times=None),
    )

    answer = stack.cloudformation.update(stack.physical_id, new, old)
    registry.sandbox.faults.clear()

    assert answer.reason.startswith("RELEASE_FAILED: tag '2' could not be put")
    assert registry.tags() == before


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("endpoint", ["refused", "unknown"])
def test_an_unreachable_api_is_retried_and_reported(
    stack: Stack, function: Lambda, registry: Registry, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    address = f"http://127.0.0.1:{closed_port()}" if endpoint == "refused" else "http://nowhere.invalid"
    image = registry.push("first")
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR_PUBLIC", address)

    answer = stack.deploy(declare(image, "1"))

    failed = f"UNAVAILABLE: ecr-public:DescribeRepositories failed: cannot connect to {address}"
    assert answer.reason.startswith(failed)
    assert len(function.clock.slept) == ATTEMPTS - 1


@pytest.mark.parametrize("host", ["refused", "unknown"])
def test_an_unreachable_registry_is_retried_and_reported(stack: Stack, function: Lambda, host: str) -> None:
    name = f"127.0.0.1:{closed_port()}" if host == "refused" else "nowhere.invalid"
    source = {"Image": {"Reference": f"{name}/acme/agent:1"}}

    answer = stack.deploy({"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": source})

    cause = "it refuses connections" if host == "refused" else "its host name cannot be resolved"
    assert answer.reason.startswith(f"UNAVAILABLE: GET manifest from {name} failed: {cause}")
    assert len(function.clock.slept) == ATTEMPTS - 1


@pytest.mark.parametrize("seconds", [0.3, 3], ids=["a chunk now and then", "no chunk in time"])
def test_a_slow_body_ends_at_the_deadline(registry: Registry, seconds: float) -> None:
    """A chunk now and then is progress, but CloudFormation does not wait forever."""
    image = registry.push("first")
    with answer_address() as address, closing(Lambda(clock=SystemClock())) as function:  # type: ignore[arg-type]
        # A warm function requests the manifest at once; a cold one may take a second to create its clients.
        assert CloudFormation(function, address).create(declare(image, "1")).succeeded
        registry.sandbox.faults.add(Fault(operation="GetManifest", drip_seconds=seconds, times=None))
        started = time.monotonic()
        answer = CloudFormation(function, address, RESPONSE_RESERVE_SECONDS + UNDO_RESERVE_SECONDS + 1).create(
            declare(image, "2")
        )

    assert answer.reason.startswith("DEADLINE: ran out of time before GET manifest")
    assert time.monotonic() - started < 4
    assert registry.tags() == {"1": image.digest}


def test_several_concurrent_functions_succeed_within_the_quota_of_puts(registry: Registry) -> None:
    """The quota is ten puts per second and account. Throttled requests succeed a moment later."""
    images = [registry.push(str(number)) for number in range(3)]
    registry.sandbox.settings = Settings(put_images_per_second=10)

    def release(number: int) -> Answer:
        tags = [f"{number}.{minor}" for minor in range(8)]
        with answer_address() as address, closing(Lambda(clock=SystemClock())) as function:  # type: ignore[arg-type]
            return CloudFormation(function, address).create(declare(images[number], *tags), f"Release{number}")

    with ThreadPoolExecutor() as functions:
        answers = list(functions.map(release, range(3)))

    assert [answer.reason for answer in answers if not answer.succeeded] == []
    assert len(registry.tags()) == 24
    assert any(call.error == "ThrottlingException" for call in registry.sandbox.requests.all("PutImage"))


@pytest.mark.parametrize("times", [30, 40])
def test_s1_minutes_of_throttling_fail_no_deployment(
    stack: Stack, function: Lambda, registry: Registry, times: int
) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="PutImage", code="ThrottlingException", times=times))

    assert stack.deploy(declare(image, "1")).succeeded
    assert function.clock.time > 60
