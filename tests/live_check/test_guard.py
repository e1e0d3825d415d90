"""Nothing is sent that touches what the run did not create, or that exceeds the budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from cdk_ecrpublic.live_check import endpoint
from cdk_ecrpublic.live_check.budget import Budget, usual
from cdk_ecrpublic.live_check.case import Case
from cdk_ecrpublic.live_check.errors import BudgetError, NotOwnError
from cdk_ecrpublic.live_check.guard import PREFIX, Guard
from cdk_ecrpublic.live_check.run import run_cases
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.live_check.target import Target
from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import build_image, push_image, resolve_tags
from tests.live_check.conftest import BY_NAME

FOREIGN = "acme/agent"


@pytest.fixture
def session(sandbox: Sandbox) -> Session:
    sandbox.client("ecr-public").create_repository(repositoryName=FOREIGN)
    session = Session.begin(endpoint.sandbox(sandbox), usual())
    session.create_repository("own")
    sandbox.requests.clear()
    return session


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("PutImage", {"repositoryName": FOREIGN, "imageManifest": "{}"}),
        ("DeleteRepository", {"repositoryName": FOREIGN, "force": True}),
        ("DeleteRepository", {"repositoryName": f"{PREFIX}/another-run/case", "force": True}),
        ("DescribeImages", {"repositoryName": FOREIGN}),
        ("DescribeRepositories", {"repositoryNames": [FOREIGN]}),
        ("PutRegistryCatalogData", {"displayName": "x"}),
        ("TagResource", {"resourceArn": f"arn:aws:ecr-public::123456789012:repository/{FOREIGN}", "tags": []}),
        ("UnknownOperation", {}),
    ],
)
def test_a_call_about_something_that_the_run_did_not_create_is_not_sent(
    session: Session, sandbox: Sandbox, operation: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(NotOwnError, match="was not sent"):
        session.transport.api(operation, parameters)

    assert sandbox.requests.all() == []


def test_a_call_for_another_account_is_not_sent(session: Session, sandbox: Sandbox) -> None:
    own = session.repositories[0]

    with pytest.raises(NotOwnError, match="not that of the account"):
        session.transport.api("DescribeImages", {"repositoryName": own, "registryId": "222222222222"})
    with pytest.raises(NotOwnError):
        session.transport.raw_api("SpencerFrontendService.DescribeImages", {"repositoryName": FOREIGN})
    assert sandbox.requests.all() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v2/{alias}/acme/agent/manifests/a"),
        ("GET", "/v2/{alias}/acme/agent/manifests/a"),
        ("POST", "/v2/another/{prefix}own/blobs/uploads/"),
        ("POST", "/v2/{alias}/acme/blobs/uploads/?mount=x&from={prefix}"),
        ("DELETE", "/v2/"),
        ("POST", "/token/"),
        ("GET", "/"),
        ("GET", "/v2/{alias}/{prefix}../../acme/agent/manifests/a"),
        ("GET", "/v2/{alias}/{prefix}%2e%2e/acme/agent/manifests/a"),
    ],
)
def test_a_request_about_something_that_the_run_did_not_create_is_not_sent(
    session: Session, sandbox: Sandbox, method: str, path: str
) -> None:
    filled = path.format(alias=session.guard.alias, prefix=session.guard.prefix)

    with pytest.raises(NotOwnError, match="was not sent"):
        session.transport.http(method, f"{sandbox.url}{filled}", {})

    assert sandbox.requests.all() == []


def test_a_login_is_not_sent_to_another_host(session: Session) -> None:
    with pytest.raises(NotOwnError):
        session.transport.http("GET", "http://127.0.0.1:1/v2/", {"Authorization": "Bearer x"})
    with pytest.raises(NotOwnError):
        session.transport.http("PUT", "http://127.0.0.1:1/v2/", {})


def test_a_login_is_not_sent_in_clear_text() -> None:
    guard = Guard(account="123456789012", run="0123456789", hosts=("public.ecr.aws",), alias="q1a8w6c8")
    path = f"/v2/q1a8w6c8/{guard.prefix}case/manifests/1"

    guard.check_http("GET", f"https://public.ecr.aws{path}", has_login=True)
    with pytest.raises(NotOwnError):
        guard.check_http("GET", f"http://public.ecr.aws{path}", has_login=True)


def test_repositories_of_others_are_never_touched(sandbox: Sandbox) -> None:
    image = build_image({"a": b"b"})
    sandbox.client("ecr-public").create_repository(repositoryName=FOREIGN)
    push_image(sandbox, FOREIGN, image, tags=["1"])
    sandbox.requests.clear()

    run_cases([BY_NAME["put-again"], BY_NAME["remove-tags"]], endpoint.sandbox(sandbox), usual())

    touched = {request.repository for request in sandbox.requests.all() if request.repository}
    assert touched
    assert all(name.startswith(f"{PREFIX}/") for name in touched)
    assert resolve_tags(sandbox, FOREIGN) == {"1": image.digest}


@pytest.mark.parametrize(
    ("limit", "unit"), [({"requests": 5}, "requests"), ({"payload": 100}, "bytes"), ({"seconds": -1.0}, "seconds")]
)
def test_a_run_stops_when_its_budget_is_spent_and_cleans_up(sandbox: Sandbox, limit: dict[str, Any], unit: str) -> None:
    budget = Budget(**{"requests": 1000, "payload": 10**9, "seconds": 600.0, **limit})

    (recording,), _ = run_cases([BY_NAME["put-back-and-forth"]], endpoint.sandbox(sandbox), budget)

    assert f"{unit} is spent" in recording.stopped
    assert budget.spent_requests <= 5
    assert sandbox.client("ecr-public").describe_repositories()["repositories"] == []


def test_a_case_cannot_reach_another_repository(sandbox: Sandbox) -> None:
    def stray(target: Target) -> None:
        """Does a case that names another repository reach it?"""
        target.api("DeleteRepository", repositoryName=FOREIGN, force=True)

    sandbox.client("ecr-public").create_repository(repositoryName=FOREIGN)

    (recording,), _ = run_cases([Case(name="stray", ask=stray)], endpoint.sandbox(sandbox), usual())

    assert recording.stopped.startswith("NotOwnError")
    assert len(sandbox.client("ecr-public").describe_repositories()["repositories"]) == 1


def test_the_budget_counts_both_directions() -> None:
    budget = Budget(requests=2, payload=10, seconds=60)

    budget.spend(4)
    budget.receive(7)

    with pytest.raises(BudgetError, match="10 bytes"):
        budget.spend(0)


def test_a_wait_that_would_end_too_late_does_not_begin(sandbox: Sandbox) -> None:
    waits: list[float] = []
    real_time = replace(endpoint.sandbox(sandbox), wait=waits.append, has_virtual_time=False)
    session = Session.begin(real_time, Budget(requests=10, payload=1000, seconds=60))

    session.transport.wait(30)
    with pytest.raises(BudgetError, match="the budget of 60 seconds does not allow to wait 90 more"):
        session.transport.wait(90)

    assert waits == [30]


def test_each_attempt_to_reach_another_service_counts_as_a_request(sandbox: Sandbox) -> None:
    waits: list[float] = []

    def client(service: str, region: str) -> Any:
        return sandbox.client(
            service, region_name=region, endpoint_url="http://127.0.0.1:1", config=endpoint.config_for(service)
        )

    side = replace(endpoint.sandbox(sandbox), wait=waits.append, client=client)
    session = Session.begin(side, usual())

    with pytest.raises(EndpointConnectionError):
        session.transport.other("cloudformation", "DescribeStacks", StackName=f"{session.guard.stack}x")

    assert session.transport.budget.spent_requests == 5
    assert waits == [1, 2, 4, 8]
