"""The rendered role is sufficient for every kind of source, and each of its actions is necessary."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox.journal import Request

from .cases import (
    ANONYMOUS,
    CASES,
    DENIED,
    DENIED_LOGIN,
    DENIED_OVER_HTTP,
    INSPECTOR,
    LOG,
    LOGGED,
    READ,
    RECORDS,
    VPC,
    Case,
    Without,
)
from .conftest import IMAGE, Aws, Deployment
from .rendering import granted

NAMELESS = ("ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken", "ecr:GetAuthorizationToken")
"""Logins: AWS offers no resource but ``*``."""

EACH = [pytest.param(case, id=name) for name, case in CASES.items()]
EACH_ACTION = [
    pytest.param(case, action, without, id=f"{name}-{action}")
    for name, case in CASES.items()
    # The permissions for Lambda itself are the same for all.
    for action, without in {**(LOG | RECORDS if name == "digest" else {}), **case.actions}.items()
]


@pytest.mark.parametrize("case", EACH)
def test_the_rendered_role_is_sufficient(
    case: Case, aws: Aws, deploy: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = deploy(case.render(aws))

    assert answer.succeeded, answer.reason
    assert "ACCESS_DENIED" not in capsys.readouterr().out
    assert "AccessDeniedException" not in {request.error for request in aws.sandbox.requests.all()}
    if case.actions.keys() >= READ.keys():
        assert {request.authentication for request in reads(aws)} <= {"authenticated"}


@pytest.mark.parametrize("case", EACH)
def test_every_rendered_action_is_tested_below(case: Case, everything: Aws) -> None:
    assert set(case.render(everything).actions) == {*case.actions, *LOG, *RECORDS}


def test_the_page_names_every_action() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/iam.md").read_text(encoding="utf-8")
    actions = {action for case in CASES.values() for action in {**case.actions, **LOG, **RECORDS}}

    assert {action for action in actions if f"`{action}`" not in page} == set()


@pytest.mark.parametrize(("case", "action", "without"), EACH_ACTION)
def test_the_effect_of_a_missing_action(
    case: Case, action: str, without: Without, aws: Aws, deploy: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = deploy(case.render(aws), without=action)

    denied = f"ACCESS_DENIED: {action} failed: AccessDenied"
    if without is DENIED:
        assert answer.reason.startswith(denied)
        assert f"Hint: allow {action} in the role of the handler function" in answer.reason
    elif without is DENIED_OVER_HTTP:
        assert re.match("ACCESS_DENIED: (GET|POST|PATCH|PUT) ", answer.reason)
        assert action in answer.reason.partition("Hint: allow ")[2]
    elif without is DENIED_LOGIN:
        assert answer.reason.startswith("ACCESS_DENIED: ecr-public:GetAuthorizationToken failed: ")
        assert f"not authorized to perform: {action}" in answer.reason
    else:
        assert answer.succeeded, answer.reason
    assert (denied in capsys.readouterr().out) == (without in (DENIED, LOGGED))
    if without is ANONYMOUS:
        assert {request.authentication for request in reads(aws)} == {"anonymous"}


def reads(aws: Aws) -> list[Request]:
    """List the requests for manifests of ECR Public."""
    return [request for request in aws.sandbox.requests.all("GetManifest") if request.status == HTTPStatus.OK]


@pytest.mark.parametrize("case", EACH)
def test_every_resource_with_a_name_is_named(case: Case, everything: Aws) -> None:
    grants = [grant for grant in granted(case.render(everything).statements) if "*" in grant[1]]
    # The names of records have digests, which are not known before the deployment.
    grants = [(action, resource) for action, resource in grants if ":parameter/cdk-ecrpublic/" not in resource]

    assert {resource for _, resource in grants} <= {"*"}
    assert {action for action, _ in grants} <= {*NAMELESS, *VPC, *INSPECTOR}


@pytest.mark.parametrize(
    ("case", "action"),
    [
        ("digest", "ecr-public:PutImage"),
        ("tag", "ssm:PutParameter"),
        ("registry", "secretsmanager:GetSecretValue"),
        ("archive in S3", "s3:GetObject"),
        ("private ECR", "ecr:GetAuthorizationToken"),
        ("private ECR", "ecr:BatchGetImage"),
        ("archive", "ecr-public:GetAuthorizationToken"),
        ("archive", "ecr-public:InitiateLayerUpload"),
        ("archive", "ecr-public:UploadLayerPart"),
        ("archive", "ecr-public:CompleteLayerUpload"),
    ],
)
def test_waits_for_a_permission_that_takes_effect_late(
    case: str, action: str, aws: Aws, deploy: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = deploy(CASES[case].render(aws), without=action, is_late=True)

    assert answer.succeeded, answer.reason
    assert "retrying in" in capsys.readouterr().out


def test_refuses_to_move_an_immutable_tag_without_access_to_the_stack(
    aws: Aws, deploy: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    rendered = CASES["immutable tags"].render(aws)
    assert deploy(rendered).succeeded
    before = {**rendered.properties, "Source": {"Digest": IMAGE.children[0].digest}}

    answer = deploy(replace(rendered, properties=before), without="cloudformation:DescribeStacks", kind="Update")

    assert answer.reason.startswith("RULE_VIOLATION: ")
    assert "ACCESS_DENIED: cloudformation:DescribeStacks failed" in capsys.readouterr().out
