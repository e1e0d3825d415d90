"""A monitor with the real cdk command line: messages from schedules and events, repairs, and deployments."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image

from .conftest import Project, environment

pytestmark = pytest.mark.cdk

MARY = "mary"

IMPORTS = """\
from aws_cdk import Duration
from aws_cdk import aws_events as events, aws_sns as sns, aws_sns_subscriptions as subscriptions, aws_sqs as sqs
from cdk_ecrpublic import PublicImageMonitor
"""


def app(source: str, *, options: str = "", every: str = "Duration.days(1)") -> str:
    return f"""{IMPORTS}
topic, queue = sns.Topic(self, "Alerts"), sqs.Queue(self, "Inbox")
topic.add_subscription(subscriptions.SqsSubscription(queue))
PublicImage(self, "Release", repository=repository, source=ImageSource.{source}, tags=["1.4", "latest"])
monitor = PublicImageMonitor(
    self, "Monitor", images=self, topic=topic, schedule=events.Schedule.rate({every}), {options}
)
CfnOutput(self, "Function", value=monitor.function.function_name)
CfnOutput(self, "Queue", value=queue.queue_url)
"""


def outputs(project: Project) -> dict[str, str]:
    (stack,) = project.sandbox.client("cloudformation").describe_stacks(StackName="Test")["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def run(project: Project) -> dict[str, Any]:
    """Invoke the function with the event of the schedule, and return the counts."""
    rules = project.sandbox.client("events")
    (rule,) = [each for each in rules.list_rules()["Rules"] if each["Name"].startswith("Test-MonitorSchedule")]
    (target,) = rules.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    answer = project.sandbox.client("lambda").invoke(
        FunctionName=outputs(project)["Function"], Payload=target["Input"].encode()
    )
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return dict(result)


def verify(project: Project) -> str:
    """Return the output of the command line about the same images, in one line."""
    result = subprocess.run(
        ["cdk-ecrpublic", "verify"],
        cwd=project.folder,
        env={**environment(project.sandbox), "COLUMNS": "1000"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1, result.stderr
    return " ".join(result.stdout.split())


def mail(project: Project, seconds: float = 0) -> list[tuple[str, str]]:
    """Return the subjects and texts of the messages; wait some seconds for the first."""
    sqs, queue = project.sandbox.client("sqs"), outputs(project)["Queue"]
    until = time.monotonic() + seconds
    found: list[tuple[str, str]] = []
    while True:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            found.append((body["Subject"].removeprefix("ECR Public: 1 image(s) "), body["Message"]))
        if not messages and (found or time.monotonic() > until):
            return found
        time.sleep(0.2 if messages else 1)


def move(project: Project, tag: str, image: Image, client: Any = None) -> None:
    """Move a tag by hand, as ``aws ecr-public put-image`` does."""
    (client or project.sandbox.client("ecr-public")).put_image(
        repositoryName=project.repository,
        imageManifest=image.manifest.decode(),
        imageManifestMediaType=image.media_type,
        imageTag=tag,
    )


def test_a_tag_that_is_moved_by_hand_causes_one_message_and_its_return_another(project: Project) -> None:
    declared, other = project.push("declared", "build-1"), project.push("other", "build-2")
    project.write_app(app(f'digest("{declared.digest}")', every="Duration.minutes(1)"))
    project.deploy()
    assert run(project) == {"images": 1, "drift": 0, "unreadable": 0, "repaired": 0}
    assert mail(project) == []

    move(project, "latest", other)
    ((subject, text),) = mail(project, seconds=80)
    assert subject == "differ from their declaration"
    assert f"- tag latest points to {other.digest}, but should point to {declared.digest}\n" in text
    assert text.startswith("us-east-1.Test.Release")
    verified = verify(project)
    differences = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
    assert differences
    assert all(each in verified for each in differences), verified
    assert run(project)["drift"] == 1
    assert mail(project) == []

    move(project, "latest", declared)
    assert run(project)["drift"] == 0
    assert [subject for subject, _ in mail(project)] == ["are as declared again"]


def test_a_deployment_causes_no_message(project: Project) -> None:
    """This includes the events of all its calls, and a run after it."""
    first, second = project.push("first", "build-1"), project.push("second", "build-2")
    project.write_app(app(f'digest("{first.digest}")', options="on_change=True"))
    project.deploy()
    project.write_app(app(f'digest("{second.digest}")', options="on_change=True"))
    project.deploy()

    assert set(project.tags().values()) == {first.digest, second.digest}
    assert run(project)["drift"] == 0
    assert mail(project, seconds=3) == []


def test_an_event_names_the_user(project: Project) -> None:
    declared, other = project.push("declared", "build-1"), project.push("other", "build-2")
    project.write_app(app('tag("build-1")', options="on_change=True"))
    project.deploy()
    # The events of the deployment itself begin a check, too.
    assert mail(project, seconds=5) == []
    iam = project.sandbox.client("iam")
    iam.create_user(UserName=MARY)
    key = iam.create_access_key(UserName=MARY)["AccessKey"]
    mary = project.sandbox.client(
        "ecr-public", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )

    move(project, "latest", other, client=mary)
    ((subject, text),) = mail(project, seconds=30)

    assert subject == "differ from their declaration"
    assert f"- tag latest points to {other.digest}, but should point to {declared.digest}\n" in text
    assert f"- PutImage by arn:aws:iam::{project.sandbox.account}:user/{MARY} at 20" in text

    mary.batch_delete_image(repositoryName=project.repository, imageIds=[{"imageTag": "1.4"}])
    ((_, text),) = mail(project, seconds=30)
    assert "- tag 1.4 does not exist, " in text
    assert f"- BatchDeleteImage by arn:aws:iam::{project.sandbox.account}:user/{MARY} at 20" in text


def test_puts_tags_back(project: Project) -> None:
    declared, other = project.push("declared", "build-1"), project.push("other", "build-2")
    project.write_app(app(f'digest("{declared.digest}")', options="on_change=True, repair=True"))
    project.deploy()
    assert mail(project, seconds=5) == []

    move(project, "latest", other)
    project.sandbox.client("ecr-public").batch_delete_image(
        repositoryName=project.repository, imageIds=[{"imageTag": "1.4"}]
    )
    ((subject, text), *_) = mail(project, seconds=30)
    run(project)

    assert subject == "differed from their declaration, and were put back"
    assert "- put back: " in text
    expected = {"build-1": declared.digest, "build-2": other.digest, "1.4": declared.digest, "latest": declared.digest}
    assert project.tags() == expected
    mail(project, seconds=2)
    run(project)
    assert mail(project) == []


def test_an_unreadable_registry_causes_a_message(project: Project) -> None:
    declared = project.push("declared", "build-1")
    project.write_app(app(f'digest("{declared.digest}")'))
    project.deploy()
    project.sandbox.faults.add(
        Fault(operation="DescribeImages", code="AccessDeniedException", repository=project.repository, times=None)
    )

    assert run(project)["unreadable"] == 1
    run(project)
    ((subject, text),) = mail(project)
    assert subject == "could not be compared with their declaration"
    assert "ecr-public:DescribeImages" in text

    project.sandbox.faults.clear()
    run(project)
    assert [subject for subject, _ in mail(project)] == ["can be compared with their declaration again"]
