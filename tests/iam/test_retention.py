"""The role of retention is sufficient, and each of its actions is necessary."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk.assertions import Template

from cdk_ecrpublic import PublicRepository, PublicRepositoryRetention, RetentionMode
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.log import Log
from lambda_handler.retention.entrypoint import handler
from lambda_handler.retention.service import Bucket
from lambda_handler.retry import Retry

from .conftest import IMAGE, Aws
from .rendering import ACCOUNT, PSEUDO_PARAMETERS, REGION, as_list, resolve

BUCKET = "retention-reports"

READING = {
    "ecr-public:DescribeImages",
    "ecr-public:DescribeRepositories",
    "cloudformation:ListStacks",
    "cloudformation:ListStackResources",
    "ssm:GetParametersByPath",
    "s3:GetObject",
}
"""Without one of them, nothing is removed, and the result says so."""

LOGIN = {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
"""Without them, manifests are read anonymously."""

UNTRIED = {
    "logs:CreateLogStream": "Lambda itself writes the log",
    "logs:PutLogEvents": "Lambda itself writes the log",
    "cloudformation:GetTemplate": "no stack of the sandbox declares an image; tests/retention/test_stacks.py",
    "cloudformation:DescribeStacks": "no stack of the sandbox declares an image; tests/retention/test_stacks.py",
    "s3:ListBucket": "the sandbox says that an object does not exist without it, S3 does not",
    "ecr-public:PutImage": "only an image that is tagged while it is removed is put back",
}


@dataclass(frozen=True)
class Context:
    """The context of an invocation."""

    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 100_000


def rendered(mode: RetentionMode) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the statements of the role, and the event of the schedule."""
    stack = Stack(App(), "Stack", env=Environment(account=ACCOUNT, region=REGION))
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    rules = [ecr.LifecycleRule(tag_prefix_list=["build-"], max_image_count=1)]
    PublicRepositoryRetention(
        stack, "Retention", repository=repository, lifecycle_rules=rules, mode=mode, regions=[REGION]
    )
    template = Template.from_stack(stack)
    (name,) = template.find_resources("AWS::S3::Bucket")
    known = {**PSEUDO_PARAMETERS, name: BUCKET}
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    (rule,) = template.find_resources("AWS::Events::Rule").values()
    text = json.dumps(resolve(policy["Properties"]["PolicyDocument"]["Statement"], known))
    statements = json.loads(text.replace(f"arn:aws:service:{REGION}:{ACCOUNT}:{name}", f"arn:aws:s3:::{BUCKET}"))
    return statements, json.loads(resolve(rule["Properties"]["Targets"][0]["Input"], known))


@pytest.fixture
def place(aws: Aws) -> Aws:
    """A repository with two builds."""
    public = aws.sandbox.client("ecr-public")
    for tag in ("build-1", "build-2"):
        text = json.dumps({**json.loads(IMAGE.children[0].manifest), "annotations": {"build": tag}})
        public.put_image(
            repositoryName="acme/agent",
            imageManifest=text,
            imageManifestMediaType=IMAGE.children[0].media_type,
            imageTag=tag,
        )
    with contextlib.suppress(Exception):
        aws.sandbox.client("s3").create_bucket(Bucket=BUCKET)
    return aws


def run(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, mode: RetentionMode, without: str = "", request: str = "request"
) -> Mapping[str, Any]:
    statements, event = rendered(mode)
    kept = [{**each, "Action": [name for name in as_list(each["Action"]) if name != without]} for each in statements]
    role = aws.role([each for each in kept if each["Action"]])
    for name, value in {**aws.sandbox.environment(), **aws.credentials(role)}.items():
        monkeypatch.setenv(name, value)
    return handler({**event, "minAgeHours": 0}, Context(request))


def test_the_role_is_sufficient(place: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(place, monkeypatch, RetentionMode.REPORT)
    removal = run(place, monkeypatch, RetentionMode.DELETE)

    assert (report["expired"], report["unreadable"]) == (1, 0)
    assert (removal["removed"], removal["unreadable"]) == (1, 0)


def test_runs_in_the_same_second_have_separate_reports(place: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_handler.retention.entrypoint.wall_time", lambda _: 1_790_000_000.0)

    reports = {run(place, monkeypatch, RetentionMode.REPORT, request=each)["report"] for each in ("first", "second")}

    assert len(reports) == 2
    listed = place.sandbox.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="reports/acme/agent/2026-09-")["Contents"]
    assert {f"s3://{BUCKET}/{each['Key']}" for each in listed} >= reports


def test_a_run_logs_its_metrics_and_notifies_the_topic(
    place: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sns, sqs = place.sandbox.client("sns"), place.sandbox.client("sqs")
    topic, queue = sns.create_topic(Name="retention")["TopicArn"], sqs.create_queue(QueueName="retention")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sending = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**sending, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    for name, value in place.sandbox.environment().items():
        monkeypatch.setenv(name, value)
    event = {**rendered(RetentionMode.REPORT)[1], "minAgeHours": 0, "topicArn": topic}

    counts = handler(event, Context())

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    (measured,) = [line for line in lines if "_aws" in line]
    (directive,) = measured["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "CdkEcrPublic/Retention"
    assert {each["Name"]: measured[each["Name"]] for each in directive["Metrics"]} == {"expired": 1, "unreadable": 0}
    assert [[measured[name] for name in names] for names in directive["Dimensions"]] == [["acme/agent"]]
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=10)["Messages"]
    body = json.loads(message["Body"])
    assert body["Subject"] == "Retention of acme/agent"
    assert body["Message"].startswith(f"acme/agent: 1 of {counts['images']} images expire (")
    assert str(counts["report"]) in body["Message"]


def test_does_not_overwrite_an_object_that_has_changed(place: Aws) -> None:
    """Two runs write at the same time, with the real conditional writes of S3."""
    bucket = Bucket(
        client=place.sandbox.client("s3"), name=BUCKET, retry=Retry(Deadline.after(10, SystemClock()), Log())
    )
    key = f"removals/{uuid.uuid4()}"
    _, absent = bucket.read(key)

    assert bucket.write(key, b"first", absent)
    assert not bucket.write(key, b"second", absent)
    content, version = bucket.read(key)
    assert content == b"first"
    assert bucket.write(key, b"second", version)
    assert not bucket.write(key, b"third", version)
    assert bucket.read(key)[0] == b"second"
    place.sandbox.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert not bucket.write(key, b"fourth", version)
    assert bucket.write(key, b"without a condition")


def test_every_action_is_tested_or_has_a_reason() -> None:
    statements, _ = rendered(RetentionMode.DELETE)
    actions = {action for each in statements for action in as_list(each["Action"])}

    assert actions == {*READING, *LOGIN, *UNTRIED, "ecr-public:BatchDeleteImage", "s3:PutObject"}
    page = (Path(__file__).parents[2] / "docs/reference/iam.md").read_text(encoding="utf-8")
    assert {action for action in actions if f"`{action}`" not in page} == set()


@pytest.mark.parametrize("action", sorted(READING))
def test_removes_nothing_without_an_action(place: Aws, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    result = run(place, monkeypatch, RetentionMode.DELETE, without=action)

    assert (result["removed"], result["unreadable"]) == (0, 1)
    assert action in result["problem"]


def test_removes_nothing_if_its_state_cannot_be_stored(
    place: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(place, monkeypatch, RetentionMode.DELETE, without="s3:PutObject")

    assert (result["removed"], result["unreadable"]) == (0, 1)
    assert "s3:PutObject" in result["problem"]
    assert "the report could not be stored: ACCESS_DENIED: s3:PutObject failed" in capsys.readouterr().out


@pytest.mark.parametrize("action", sorted(LOGIN))
def test_reads_manifests_anonymously_without_a_login(place: Aws, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    place.sandbox.requests.clear()

    assert run(place, monkeypatch, RetentionMode.DELETE, without=action)["removed"] == 1
    assert "authenticated" not in {request.authentication for request in place.sandbox.requests.all("GetManifest")}


def test_removes_nothing_without_the_permission(place: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(place, monkeypatch, RetentionMode.DELETE, without="ecr-public:BatchDeleteImage")

    assert (result["removed"], result["unreadable"]) == (0, 1)
