"""The case about events of CloudTrail: two runs agree, differences are detected, and no data of others is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cdk_ecrpublic.live_check import endpoint
from cdk_ecrpublic.live_check.budget import for_slow
from cdk_ecrpublic.live_check.compare import Verdict, compare
from cdk_ecrpublic.live_check.events import WAIT_SECONDS
from cdk_ecrpublic.live_check.recording import Recording
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import build_image, push_image
from tests.live_check.conftest import BY_NAME

CASES = [BY_NAME["look-up-events"]]
FOREIGN = "acme/agent"


@pytest.fixture(scope="module")
def aws() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        process.client("ecr-public").create_repository(repositoryName=FOREIGN)
        push_image(process, FOREIGN, build_image({"a": b"b"}), tags=["1"])
        yield process


@pytest.fixture(scope="module")
def recorded(aws: SandboxProcess) -> tuple[Recording, Session]:
    (recording,), session = run_cases(CASES, endpoint.sandbox(aws), for_slow())
    return recording, session


def test_all_events_are_found_and_agree_with_those_of_another_run(
    aws: SandboxProcess, recorded: tuple[Recording, Session]
) -> None:
    again, _ = run_cases(CASES, endpoint.sandbox(aws), for_slow())

    (difference,) = compare([recorded[0]], again)
    assert (difference.verdict, difference.steps) == (Verdict.SAME, ())
    assert [step.request for step in recorded[0].steps][-5:] == [
        "the event of BatchDeleteImage",
        "the event of PutImage a",
        "the event of PutImage a ImageAlreadyExistsException",
        "the event of PutImage b ImageDigestDoesNotMatchException",
        "the event of PutImage c",
    ]


def test_no_data_of_others_or_of_the_caller_is_kept(recorded: tuple[Recording, Session]) -> None:
    recording, session = recorded
    kept = json.dumps(recording.as_data()) + session.transport.trace.redacted(str(session.transport.trace.entries))

    assert "PutImage" in kept
    for secret in (FOREIGN, "Boto3", "'127.0.0.1'", '"127.0.0.1"', ":root", session.endpoint.account):
        assert secret not in kept


@dataclass(frozen=True, slots=True)
class Altered:
    """A client of CloudTrail that returns other events."""

    client: Any
    change: Callable[[dict[str, Any]], dict[str, Any]]

    def lookup_events(self, **parameters: Any) -> Any:
        answer = self.client.lookup_events(**parameters)
        return {**answer, "Events": [self._changed(event) for event in answer["Events"]]}

    def _changed(self, event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "CloudTrailEvent": json.dumps(self.change(json.loads(event["CloudTrailEvent"])))}


@pytest.mark.parametrize(
    "change",
    [
        lambda record: {**record, "requestParameters": {**record["requestParameters"], "imageManifest": "hidden"}},
        lambda record: {**record, "resources": None},
        lambda record: {**record, "sharedEventID": "x"},
        lambda record: {name: value for name, value in record.items() if name != "errorCode"},
    ],
    ids=["request", "resources", "field", "error"],
)
def test_a_different_event_is_detected(
    aws: SandboxProcess, recorded: tuple[Recording, Session], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    side = endpoint.sandbox(aws)

    def client(service: str, region: str) -> Any:
        real = side.client(service, region)
        return Altered(real, change) if service == "cloudtrail" else real

    altered, _ = run_cases(CASES, replace(side, client=client), for_slow())

    (difference,) = compare([recorded[0]], altered)
    assert difference.verdict is Verdict.BEHAVIOR


def test_waits_for_missing_events_only_for_a_limited_time(
    aws: SandboxProcess, recorded: tuple[Recording, Session]
) -> None:
    waits: list[float] = []
    side = endpoint.sandbox(aws)

    def client(service: str, region: str) -> Any:
        return (
            Altered(side.client(service, region), _foreign) if service == "cloudtrail" else side.client(service, region)
        )

    (recording,), _ = run_cases(CASES, replace(side, client=client, wait=waits.append), for_slow())

    assert sum(waits) == WAIT_SECONDS
    assert recording.stopped == ""
    (difference,) = compare([recorded[0]], [recording])
    assert difference.verdict is Verdict.BEHAVIOR


def _foreign(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "requestParameters": {"repositoryName": FOREIGN}}
