"""The role of the monitor is sufficient, and each of its actions is necessary."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageMonitor, PublicRepository
from lambda_handler.errors import AccessError
from lambda_handler.monitor.entrypoint import handler
from lambda_handler.resources.record import Record
from lambda_handler.resources.record_names import declaration_key
from lambda_handler.spec import as_sent

from .conftest import IMAGE, Aws
from .rendering import ACCOUNT, PSEUDO_PARAMETERS, REGION, as_list, resolve
from .test_retention import Context

NAME = "Monitored"
STATE = "monitor-state"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"

READING = {
    "cloudformation:DescribeStacks",
    "cloudformation:GetTemplate",
    "cloudformation:ListStackResources",
    "ecr-public:DescribeImages",
    "ecr-public:DescribeRepositories",
}
"""Without one of them, the result says that something could not be read."""

LOGIN = {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
"""Without them, manifests are read anonymously."""

UNTRIED = {
    "logs:CreateLogStream": "Lambda itself writes the log",
    "logs:PutLogEvents": "Lambda itself writes the log",
}

CODE = """
import json, urllib.request

def handler(event, context):
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": "SUCCESS", "PhysicalResourceId": "ecr-public:%s/acme/agent:" + event["LogicalResourceId"]}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""})
    request.method = "PUT"
    urllib.request.urlopen(request)
""" % (ACCOUNT,)  # noqa: UP031 - it has braces
"""A function that publishes nothing."""


def rendered() -> tuple[list[dict[str, Any]], dict[str, Any], str, Mapping[str, Any]]:
    """Return the statements of the monitor's role, the event of its schedule, and the image."""
    stack = Stack(App(), NAME, env=Environment(account=ACCOUNT, region=REGION))
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    image = PublicImage(stack, "Release", repository=repository, source=ImageSource.tag("build"), tags=["1.4"])
    topic = sns.Topic.from_topic_arn(stack, "Topic", TOPIC)
    PublicImageMonitor(stack, "Monitor", images=image, topic=topic, repair=True)
    template = Template.from_stack(stack)
    (parameter,) = template.find_resources("AWS::SSM::Parameter")
    known = {**PSEUDO_PARAMETERS, "AWS::StackName": NAME, parameter: STATE}
    policies = template.find_resources("AWS::IAM::Policy")
    (policy,) = [each for name, each in policies.items() if name.startswith("ECRPublicMonitor")]
    (rule,) = template.find_resources("AWS::Events::Rule").values()
    ((logical_id, resource),) = template.find_resources("Custom::ECRPublicImage").items()
    properties = {**resolve(resource["Properties"], known), "ServiceToken": "arn"}
    return (
        resolve(policy["Properties"]["PolicyDocument"]["Statement"], known),
        json.loads(resolve(rule["Properties"]["Targets"][0]["Input"], known)),
        logical_id,
        properties,
    )


@pytest.fixture
def place(aws: Aws) -> Aws:
    """A stack with a deployed image, one of whose tags is missing."""
    _, _, logical_id, properties = rendered()
    stack = _deployed(aws, logical_id, properties)
    ssm = aws.sandbox.client("ssm")
    record = Record(stack=stack, deployed={declaration_key(as_sent(properties)): IMAGE.children[0].digest})  # type: ignore[dict-item]
    path = f"/cdk-ecrpublic/state/{ACCOUNT}/acme--agent/moving/{REGION}.{NAME}.{logical_id}"
    ssm.put_parameter(Name=path, Value=record.text(), Type="String", Overwrite=True)
    ssm.put_parameter(Name=STATE, Value="{}", Type="String", Overwrite=True)
    aws.sandbox.client("sns").create_topic(Name="alerts")
    return aws


def _deployed(aws: Aws, logical_id: str, properties: Mapping[str, Any]) -> str:
    """Deploy the image with a function that publishes nothing; return the id of the stack."""
    client = aws.sandbox.client("cloudformation")
    with contextlib.suppress(Exception):
        return str(client.describe_stacks(StackName=NAME)["Stacks"][0]["StackId"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", CODE)
    function = aws.sandbox.client("lambda").create_function(
        FunctionName="nothing",
        Runtime="python3.12",
        Role=f"arn:aws:iam::{ACCOUNT}:role/{aws.role([{'Effect': 'Allow', 'Action': 'logs:*', 'Resource': '*'}])}",
        Handler="index.handler",
        Code={"ZipFile": buffer.getvalue()},
    )
    image = {"Type": "Custom::ECRPublicImage", "Properties": {**properties, "ServiceToken": function["FunctionArn"]}}
    body = json.dumps({"Resources": {logical_id: image}})
    stack: str = client.create_stack(StackName=NAME, TemplateBody=body)["StackId"]
    client.get_waiter("stack_create_complete").wait(StackName=NAME, WaiterConfig={"Delay": 1})
    return stack


def run(aws: Aws, monkeypatch: pytest.MonkeyPatch, without: str = "", **changes: object) -> Mapping[str, Any]:
    statements, event, _, _ = rendered()
    kept = [{**each, "Action": [name for name in as_list(each["Action"]) if name != without]} for each in statements]
    role = aws.role([each for each in kept if each["Action"]])
    for name, value in {**aws.sandbox.environment(), **aws.credentials(role)}.items():
        monkeypatch.setenv(name, value)
    return handler({**event, **changes}, Context())


def test_the_role_is_sufficient(place: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(place, monkeypatch, repair=False)
    repaired = run(place, monkeypatch)

    assert found == {"images": 1, "drift": 1, "unreadable": 0, "repaired": 0}
    assert repaired == {"images": 1, "drift": 0, "unreadable": 0, "repaired": 1}


def test_every_action_is_tested_or_has_a_reason() -> None:
    statements, *_ = rendered()
    actions = {action for each in statements for action in as_list(each["Action"])}

    tried = {*READING, *LOGIN, "ssm:GetParameter", "ssm:PutParameter", "sns:Publish", "ecr-public:PutImage"}
    assert actions == {*tried, *UNTRIED}
    page = (Path(__file__).parents[2] / "docs/reference/iam.md").read_text(encoding="utf-8")
    section = page.partition("\n## The monitor\n")[2].partition("\n## ")[0]
    assert {action for action in actions if f"`{action}`" not in section} == set()


@pytest.mark.parametrize("action", sorted(READING))
def test_without_an_action_no_image_is_reported_as_fine(
    place: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    result = run(place, monkeypatch, without=action)

    assert (result["drift"], result["unreadable"], result["repaired"]) == (0, 1, 0)
    assert action in capsys.readouterr().out


@pytest.mark.parametrize("action", ["ssm:GetParameter", "ssm:PutParameter", "sns:Publish"])
def test_a_run_fails_without_access_to_its_state_or_topic(
    place: Aws, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr("lambda_handler.retry.CONSISTENCY_TIMEOUT_SECONDS", 0)

    with pytest.raises(AccessError, match=action):
        run(place, monkeypatch, without=action, repair=False)


@pytest.mark.parametrize("action", sorted(LOGIN))
def test_reads_manifests_anonymously_without_a_login(place: Aws, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    place.sandbox.requests.clear()

    assert run(place, monkeypatch, without=action)["repaired"] == 1
    assert "authenticated" not in {request.authentication for request in place.sandbox.requests.all("GetManifest")}


def test_puts_nothing_back_without_the_permission(
    place: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(place, monkeypatch, without="ecr-public:PutImage")

    assert (result["drift"], result["repaired"]) == (1, 0)
    assert "the tags could not be put back: ACCESS_DENIED: ecr-public:PutImage" in capsys.readouterr().out
