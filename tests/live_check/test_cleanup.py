"""A run leaves nothing behind, even after errors and signals. After a kill, ``--sweep`` finishes the clean-up."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from cdk_ecrpublic.live_check import endpoint
from cdk_ecrpublic.live_check.budget import usual
from cdk_ecrpublic.live_check.case import Case
from cdk_ecrpublic.live_check.cleanup import clean_up, sweep
from cdk_ecrpublic.live_check.errors import LiveCheckError
from cdk_ecrpublic.live_check.guard import PREFIX
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.live_check.target import Target
from cdk_ecrpublic.sandbox import Fault, Sandbox
from tests.architecture.source import CHECKOUT
from tests.live_check.conftest import BY_NAME, USUAL

SURPRISE = "surprise"
LATER = timedelta(hours=2)


def names(sandbox: Sandbox) -> list[str]:
    found = sandbox.client("ecr-public").describe_repositories(maxResults=1000)["repositories"]
    return [repository["repositoryName"] for repository in found]


@pytest.mark.parametrize("error", [LookupError, TypeError, LiveCheckError])
def test_a_case_that_fails_leaves_nothing_and_the_next_one_runs(sandbox: Sandbox, error: type[Exception]) -> None:
    def fail(target: Target) -> None:
        target.repository()
        target.repository("other")
        raise error(SURPRISE)

    cases = [Case(name="failing", ask=fail), BY_NAME["put-again"]]
    recordings, _ = run_cases(cases, endpoint.sandbox(sandbox), usual())

    assert [recording.stopped for recording in recordings] == [f"{error.__name__}: {SURPRISE}", ""]
    assert names(sandbox) == []


def test_a_case_with_a_defect_leaves_nothing(sandbox: Sandbox) -> None:
    def fail(target: Target) -> None:
        target.repository()
        raise AssertionError

    with pytest.raises(AssertionError):
        run_cases([Case(name="failing", ask=fail)], endpoint.sandbox(sandbox), usual())

    assert names(sandbox) == []


def test_a_repository_that_cannot_be_deleted_at_once_is_deleted_at_the_end(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="DeleteRepository", code="ServerException", times=1))

    run_cases([BY_NAME["put-again"]], endpoint.sandbox(sandbox), usual())

    assert names(sandbox) == []


def test_a_repository_that_cannot_be_deleted_is_reported(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="DeleteRepository", code="ServerException", times=None))

    with pytest.raises(LiveCheckError, match=rf"not deleted: {PREFIX}/\w+/put-again; run again with --sweep"):
        run_cases([BY_NAME["put-again"]], endpoint.sandbox(sandbox), usual())


def test_a_lost_response_to_a_creation_leaves_nothing(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="CreateRepository", drop="after"))

    (recording,), _ = run_cases([BY_NAME["put-again"]], endpoint.sandbox(sandbox), usual())

    assert recording.stopped
    assert names(sandbox) == []


def test_a_sweep_removes_expired_runs_only(sandbox: Sandbox) -> None:
    client = sandbox.client("ecr-public")
    sandbox.faults.add(Fault(operation="DeleteRepository", code="ServerException", times=2))
    client.create_repository(repositoryName="acme/agent")
    client.create_repository(repositoryName=f"{PREFIX}/production")
    client.create_repository(repositoryName=f"{PREFIX}/0123456789/without-a-tag")
    with pytest.raises(LiveCheckError):
        run_cases([BY_NAME["put-again"]], endpoint.sandbox(sandbox), usual())
    (left,) = [name for name in names(sandbox) if name.endswith("put-again")]

    assert sweep(endpoint.sandbox(sandbox))[0] == []
    deleted, kept = sweep(endpoint.sandbox(sandbox), now=datetime.now(UTC) + LATER)

    assert (deleted, kept) == ([left], [f"{PREFIX}/0123456789/without-a-tag"])
    assert sorted(names(sandbox)) == [
        "acme/agent",
        f"{PREFIX}/0123456789/without-a-tag",
        f"{PREFIX}/production",
    ]


def test_a_sweep_continues_after_a_repository_that_it_cannot_delete(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="DeleteRepository", code="ServerException", times=4))
    for case in ("put-again", "put-wrong-digest"):
        with pytest.raises(LiveCheckError):
            run_cases([BY_NAME[case]], endpoint.sandbox(sandbox), usual())
    assert len(names(sandbox)) == 2
    sandbox.faults.add(Fault(operation="DeleteRepository", code="ServerException", times=1))

    with pytest.raises(LiveCheckError):
        sweep(endpoint.sandbox(sandbox), now=datetime.now(UTC) + LATER)

    assert len(names(sandbox)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_end_the_clean_up(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    sandbox.faults.add(Fault(operation="DeleteRepository", code="ServerException", times=1))

    def interrupted(session: Session) -> None:
        os.kill(os.getpid(), number)
        clean_up(session)

    monkeypatch.setattr("cdk_ecrpublic.live_check.run.clean_up", interrupted)

    run_cases([BY_NAME["put-again"]], endpoint.sandbox(sandbox), usual())

    assert names(sandbox) == []


_RUNS = """
import os, sys
from cdk_ecrpublic.live_check.budget import usual
from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.endpoint import ONE_ATTEMPT, Endpoint
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.sandbox.server import make_client
url, host, account = sys.argv[1:]
side = Endpoint(
    name="sandbox", account=account, scheme="http", hosts=(host, "localhost"),
    client=lambda service, region: make_client(service, url, account, region_name=region, config=ONE_ATTEMPT),
)
for _ in sys.stdin:
    if not (run := os.fork()):
        run_cases([case for case in CASES if case.group == "registry"], side, usual())
        os._exit(0)
    print(run, flush=True)
    _, status = os.waitpid(run, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
"""A process that runs the cases for each line that it reads, each time in a process of its own."""


@dataclass(frozen=True, slots=True)
class Runs:
    sandbox: Sandbox
    process: subprocess.Popen[str]

    def interrupt(self, number: signal.Signals, requests: int) -> int:
        """Start a run, send it a signal after some requests, and return its exit status."""
        self.sandbox.requests.clear()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        run = int(self.process.stdout.readline())
        while len(self.sandbox.requests.all()) < requests:
            time.sleep(0.01)
        os.kill(run, number)
        return int(self.process.stdout.readline())


@pytest.fixture
def runs(sandbox: Sandbox) -> Iterator[Runs]:
    arguments = [sys.executable, "-c", _RUNS, sandbox.url, sandbox.registry_host, sandbox.account]
    with subprocess.Popen(arguments, cwd=CHECKOUT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Runs(sandbox, process)
        process.communicate()


def test_a_sweep_after_ten_kills_at_random_points_leaves_nothing(sandbox: Sandbox, runs: Runs) -> None:
    chance = random.Random(23)  # noqa: S311 - the points only have to differ

    ends = [runs.interrupt(signal.SIGKILL, chance.randint(1, 120)) for _ in range(10)]

    assert ends == [-signal.SIGKILL] * 10
    assert names(sandbox) != []
    sweep(endpoint.sandbox(sandbox), now=datetime.now(UTC) + LATER)
    assert names(sandbox) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_a_signal_ends_leaves_nothing(sandbox: Sandbox, runs: Runs, number: signal.Signals) -> None:
    assert runs.interrupt(number, 30) == 128 + number

    assert names(sandbox) == []


def test_names_of_cases_fit_into_names_of_repositories() -> None:
    longest = max(len(case.name) for case in USUAL)

    assert len(f"{PREFIX}/{'0' * 10}/") + longest + len("-missing") <= 205
