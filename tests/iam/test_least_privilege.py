"""The rendered role suffices for every kind of source, and each of its actions is missed when it is taken out."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from cdk_ecrpublic.sandbox.journal import Request

from .cases import ANONYMOUS, CASES, DENIED, DENIED_OVER_HTTP, LOG, LOGGED, Case, Without
from .conftest import Aws, Deployment
from .rendering import granted

WITHOUT_RESOURCES = ("ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken", "ecr:GetAuthorizationToken")
"""Logins: AWS offers no resource but ``*``."""

EACH = [pytest.param(case, id=name) for name, case in CASES.items()]
EACH_ACTION = [
    pytest.param(case, action, without, id=f"{name}-{action}")
    for name, case in CASES.items()
    for action, without in {**case.actions, **LOG}.items()
]


@pytest.mark.parametrize("case", EACH)
def test_the_rendered_role_suffices(case: Case, aws: Aws, deploy: Deployment) -> None:
    answer = deploy(case.render(aws))

    assert answer.succeeded, answer.reason
    assert {request.error for request in aws.sandbox.requests.all()}.isdisjoint({"AccessDeniedException"})


@pytest.mark.parametrize("case", EACH)
def test_no_action_is_rendered_that_is_not_tried_below(case: Case, aws: Aws) -> None:
    assert set(case.render(aws).actions) == {*case.actions, *LOG}


@pytest.mark.parametrize(("case", "action", "without"), EACH_ACTION)
def test_without_an_action(
    case: Case, action: str, without: Without, aws: Aws, deploy: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = deploy(case.render(aws), without=action)

    denied = f"ACCESS_DENIED: {action} failed: AccessDenied"
    if without is DENIED:
        assert answer.reason.startswith(denied)
        assert f"Hint: allow {action} in the role of the handler's function" in answer.reason
    elif without is DENIED_OVER_HTTP:
        assert answer.reason.startswith("ACCESS_DENIED: GET ")
        assert action in answer.reason.partition("Hint: allow ")[2]
    else:
        assert answer.succeeded, answer.reason
    assert (denied in capsys.readouterr().out) == (without in (DENIED, LOGGED))
    if without is ANONYMOUS:
        assert {request.authentication for request in reads(aws)} == {"anonymous"}


def reads(aws: Aws) -> list[Request]:
    """List the manifests that were read from ECR Public."""
    return [request for request in aws.sandbox.requests.all("GetManifest") if request.status == HTTPStatus.OK]


@pytest.mark.parametrize("case", EACH)
def test_every_resource_that_has_a_name_is_named(case: Case, aws: Aws) -> None:
    everywhere = {action for action, resource in granted(case.render(aws).statements) if resource == "*"}

    assert {action for action in everywhere if not action.startswith("ec2:")} <= set(WITHOUT_RESOURCES)
    assert [
        resource for _, resource in granted(case.render(aws).statements) if "*" in resource and resource != "*"
    ] == []
