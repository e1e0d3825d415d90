"""The benchmark of many concurrent images counts exactly the failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from benchmarks.scale_fleet import Fleet, fleet
from benchmarks.scale_invocations import LATENCY_SECONDS
from benchmarks.scale_lives import Run, live
from benchmarks.scale_quotas import PUBLISHED, Quotas
from benchmarks.scale_stacks import DESTROY, FORWARD, KEEP, UNTAG, Answers, Kind, Phase, Resource, Version, reason
from cdk_ecrpublic.sandbox import Fault

DEPLOYMENT = (Phase.DEPLOYMENT,)


QUIET = Console(quiet=True)


@pytest.fixture
def started() -> Iterator[Fleet]:
    with fleet() as started:
        yield started


def small(kind: Kind = KEEP, phases: tuple[Phase, ...] = tuple(Phase)) -> Run:
    return Run(kind=kind, images=3, tags=2, phases=phases)


def test_s1_s2_throttling_fails_no_deployment_and_no_rollback(started: Fleet) -> None:
    outcomes = live(replace(small(), quotas=Quotas(put_image=4)), started, QUIET)

    assert {phase: outcome.failures.total() for phase, outcome in outcomes.items()} == dict.fromkeys(Phase, 0)
    counts = [outcomes[phase].counts for phase in Phase]
    assert [each.asked["PutImage"] - each.throttled["PutImage"] for each in counts] == [6, 6, 6, 0]
    assert counts[0].throttled["PutImage"] > 0
    # Four at once, and then one each quarter of a second.
    assert outcomes[Phase.DEPLOYMENT].seconds >= 0.5
    # At least three requests and the response to CloudFormation.
    assert outcomes[Phase.UPDATE].seconds >= 4 * LATENCY_SECONDS


@pytest.mark.parametrize(
    "run",
    [
        small(DESTROY),
        replace(small(UNTAG, (Phase.UPDATE, Phase.ROLLBACK)), drops_tag=True),
        replace(small(KEEP, DEPLOYMENT), copies=True),
        replace(small(FORWARD), versions=True),
    ],
    ids=lambda run: run.name,
)
def test_nothing_fails_without_faults(started: Fleet, run: Run) -> None:
    outcomes = live(run, started, QUIET)

    assert {phase: dict(outcome.failures) for phase, outcome in outcomes.items()} == {phase: {} for phase in run.phases}


def test_a_failure_is_counted_and_repaired_before_the_next_phase(started: Fleet) -> None:
    started.registry.fail(Fault(operation="PutImage", code="ImageAlreadyExistsException"))
    started.registry.fail(Fault(operation="PutImage", code="InvalidParameterException", message="not 17.0", skip=1))

    outcomes = live(small(phases=(*DEPLOYMENT, Phase.UPDATE)), started, QUIET)

    refused, unconfirmed = sorted(outcomes[Phase.DEPLOYMENT].failures)
    assert unconfirmed.startswith("UNCONFIRMED: ")
    assert "InvalidParameterException: not …" in refused
    assert outcomes[Phase.DEPLOYMENT].failures.total() == 2
    assert not outcomes[Phase.UPDATE].failures


@pytest.mark.parametrize(
    ("received", "why"),
    [
        ([(399.0, '{"Status": "SUCCESS", "PhysicalResourceId": "id"}')], ""),
        ([(401.0, '{"Status": "SUCCESS", "PhysicalResourceId": "id"}')], "responded after more than 300 s"),
        ([(399.0, '{"Status": "FAILED", "Reason": "tag 17.0 of Image17"}')], "tag … of Image…"),
        ([], "no answer"),
    ],
    ids=["in time", "late", "failed", "lost"],
)
def test_only_a_success_in_time_is_not_a_failure(received: list[tuple[float, str]], why: str) -> None:
    version = Version({"Digest": "sha256:1"}, ["0.0"], "sha256:1")
    resource = Resource(number=0, kind=KEEP, seconds=300, versions=(version, version))
    event = resource.event(Phase.DEPLOYMENT, "http://127.0.0.1", 0.0)

    answers = Answers(100.0, {str(event["RequestId"]): received})

    assert answers.take(resource, Phase.DEPLOYMENT, event) == why


def test_a_request_is_signed_at_the_time_that_it_is_sent() -> None:
    version = Version({"Digest": "sha256:1"}, ["0.0"], "sha256:1")
    resource = Resource(number=0, kind=KEEP, seconds=300, versions=(version, version))
    sent = datetime(2026, 11, 28, 13, tzinfo=UTC).timestamp()

    event = resource.event(Phase.DESTROY, "http://x", sent)

    address, _, query = str(event["ResponseURL"]).partition("?")
    assert address == f"http://x/answers/{event['RequestId']}"
    assert "X-Amz-Date=20261128T130000Z" in query
    assert "X-Amz-Expires=7200" in query


def test_the_same_reason_has_the_same_text_for_every_image() -> None:
    one = reason("tag '17.0' could not be put; moved back: 17.0, 17.1; sha256:" + "0" * 64)
    other = reason("tag '230.4' could not be put; moved back: 230.1, 230.2, 230.3; sha256:" + "a" * 64)

    assert one == other == "tag '…' could not be put; moved back: …; <digest>"


@pytest.mark.parametrize(
    ("run", "phase", "seconds"),
    [
        (Run(kind=KEEP, images=200, tags=5), Phase.DEPLOYMENT, 100),
        (Run(kind=KEEP, images=200, tags=5), Phase.DESTROY, 0),
        (Run(kind=DESTROY, images=450, tags=1), Phase.UPDATE, 150),
        (Run(kind=DESTROY, images=450, tags=1), Phase.DESTROY, 90),
        (Run(kind=KEEP, images=200, tags=1, copies=True), Phase.DEPLOYMENT, 40),
        (Run(kind=UNTAG, images=200, tags=2, drops_tag=True), Phase.UPDATE, 200 / 3),
    ],
)
def test_the_slowest_quota_determines_the_minimum_time_of_a_phase(run: Run, phase: Phase, seconds: float) -> None:
    assert PUBLISHED.seconds(run.work(phase)) == pytest.approx(seconds)
