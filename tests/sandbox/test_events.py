"""Events of CloudTrail: the caller, the call and its error, and calls without events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from cdk_ecrpublic.sandbox.trail import EVENT_MAX_BYTES, TrailedCall

IMAGE = build_image({"etc/name": b"an image"})
NAME = "acme/agent"


@pytest.fixture
def inbox(aws: SandboxProcess) -> Iterator[str]:
    """A queue that receives the events of ECR Public."""
    aws.reset()
    aws.client("ecr-public").create_repository(repositoryName=NAME)
    queue: str = aws.client("sqs").create_queue(QueueName="events")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:events"
    events = aws.client("events")
    events.put_rule(Name="images", EventPattern=json.dumps({"source": ["aws.ecr-public"]}))
    events.put_targets(Rule="images", Targets=[{"Id": "queue", "Arn": arn}])
    yield queue
    events.remove_targets(Rule="images", Ids=["queue"])
    events.delete_rule(Name="images")
    aws.client("sqs").delete_queue(QueueUrl=queue)
    aws.reset()


def received(aws: SandboxProcess, queue: str, number: int) -> list[dict[str, Any]]:
    """Return the events: wait for the first, and then a moment for more."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + 5
    while len(found) < number and time.monotonic() < until:
        for message in aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            found.append(json.loads(message["Body"]))
            aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def tag_in(event: dict[str, Any]) -> str | None:
    tag: str | None = event["detail"]["requestParameters"].get("imageTag")
    return tag


def put(client: Any, image: Image, tag: str) -> None:
    client.put_image(
        repositoryName=NAME,
        imageManifest=image.manifest.decode(),
        imageManifestMediaType=image.media_type,
        imageTag=tag,
    )


def test_a_push_and_a_put_have_the_same_event(aws: SandboxProcess, inbox: str) -> None:
    push_image(aws, NAME, IMAGE, ["pushed"])
    put(aws.client("ecr-public"), IMAGE, "put")

    events = {tag_in(each): each for each in received(aws, inbox, 3)}
    untagged = events.pop(None)

    assert untagged["detail"]["responseElements"]["image"]["imageId"] == {"imageDigest": IMAGE.digest}
    assert set(events) == {"pushed", "put"}
    for tag, event in events.items():
        detail = event["detail"]
        assert (event["source"], event["detail-type"]) == ("aws.ecr-public", "AWS API Call via CloudTrail")
        assert (detail["eventSource"], detail["eventName"]) == ("ecr-public.amazonaws.com", "PutImage")
        assert detail["requestParameters"]["repositoryName"] == NAME
        assert detail["requestParameters"]["imageManifest"] == IMAGE.manifest.decode()
        assert detail["responseElements"]["image"]["imageId"] == {"imageDigest": IMAGE.digest, "imageTag": tag}
        assert detail["userIdentity"]["arn"] == f"arn:aws:iam::{aws.account}:root"
        assert detail["resources"][0]["ARN"] == f"arn:aws:ecr-public::{aws.account}:repository/{NAME}"
        assert "errorCode" not in detail


def test_a_removal_has_an_event(aws: SandboxProcess, inbox: str) -> None:
    push_image(aws, NAME, IMAGE, ["1.4"])
    received(aws, inbox, 2)
    ids = [{"imageTag": "1.4"}, {"imageTag": "missing"}]
    response = aws.client("ecr-public").batch_delete_image(repositoryName=NAME, imageIds=ids)

    (event,) = received(aws, inbox, 1)
    assert event["detail"]["eventName"] == "BatchDeleteImage"
    assert event["detail"]["requestParameters"] == {"repositoryName": NAME, "imageIds": ids}
    del response["ResponseMetadata"]
    assert event["detail"]["responseElements"] == response


def test_a_user_and_a_role_are_named(aws: SandboxProcess, inbox: str) -> None:
    push_image(aws, NAME, IMAGE, ["1.4"])
    iam = aws.client("iam")
    iam.create_user(UserName="mary")
    key = iam.create_access_key(UserName="mary")["AccessKey"]
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName="releaser", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="build-7")["Credentials"]
    received(aws, inbox, 2)
    keys = [(key["AccessKeyId"], key["SecretAccessKey"]), (session["AccessKeyId"], session["SecretAccessKey"])]
    for number, (access_key, secret) in enumerate(keys):
        client = aws.client("ecr-public", aws_access_key_id=access_key, aws_secret_access_key=secret)
        put(client, IMAGE, f"tag-{number}")
    iam.delete_access_key(UserName="mary", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="mary")
    iam.delete_role(RoleName="releaser")

    identities = [each["detail"]["userIdentity"] for each in received(aws, inbox, 2)]
    assert {(each["type"], each["arn"], each.get("userName")) for each in identities} == {
        ("IAMUser", f"arn:aws:iam::{aws.account}:user/mary", "mary"),
        ("AssumedRole", f"arn:aws:sts::{aws.account}:assumed-role/releaser/build-7", None),
    }


def test_reads_have_no_event_and_refused_calls_have_an_event_with_the_error(aws: SandboxProcess, inbox: str) -> None:
    push_image(aws, NAME, IMAGE, ["1.4"])
    public = aws.client("ecr-public")
    public.describe_images(repositoryName=NAME)
    with pytest.raises(public.exceptions.ImageAlreadyExistsException):
        put(public, IMAGE, "1.4")
    with pytest.raises(ClientError):
        public.put_image(repositoryName=NAME, imageManifest="{}", imageTag="2")

    # The client first pushes by digest.
    details = [each["detail"] for each in received(aws, inbox, 5)]
    assert [(each["requestParameters"].get("imageTag"), each.get("errorCode")) for each in details] == [
        (None, None),
        ("1.4", None),
        ("1.4", "ImageAlreadyExistsException"),
        ("2", "InvalidParameterException"),
    ]
    assert "already exists" in details[2]["errorMessage"]
    assert details[2]["responseElements"] is None


def test_a_removal_from_a_repository_that_does_not_exist_has_an_event(aws: SandboxProcess, inbox: str) -> None:
    with pytest.raises(ClientError):
        aws.client("ecr-public").batch_delete_image(repositoryName="missing", imageIds=[{"imageTag": "1.4"}])

    (event,) = received(aws, inbox, 1)
    assert event["detail"]["errorCode"] == "RepositoryNotFoundException"
    assert event["detail"]["recipientAccountId"] == aws.account


def test_events_can_be_looked_up(aws: SandboxProcess, inbox: str) -> None:
    push_image(aws, NAME, IMAGE, ["1.4"])
    on_bus = received(aws, inbox, 2)
    attributes = [{"AttributeKey": "EventName", "AttributeValue": "PutImage"}]

    found = aws.client("cloudtrail").lookup_events(LookupAttributes=attributes)["Events"]

    assert [json.loads(each["CloudTrailEvent"]) for each in found[:2]] == [each["detail"] for each in on_bus[::-1]]
    assert {each["EventName"] for each in found} == {"PutImage"}
    assert found[0]["EventSource"] == "ecr-public.amazonaws.com"


def test_omits_a_long_manifest() -> None:
    long = {"repositoryName": NAME, "imageTag": "1.4", "imageManifest": "x" * EVENT_MAX_BYTES}
    call = TrailedCall(
        operation="PutImage",
        account="1",
        access_key="key",
        owner="1",
        repository=NAME,
        parameters=long,
        response={"image": long},
        source_ip="",
        user_agent="",
        time=0.0,
    )

    assert len(json.dumps(call.record({}))) > EVENT_MAX_BYTES
    short = call.record({}, with_manifest=False)
    assert short["requestParameters"] == {"repositoryName": NAME, "imageTag": "1.4"}
    assert len(json.dumps(short)) < 2000
