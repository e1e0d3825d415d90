"""What happens in the account of the demonstration besides deployments: builds, schedules and messages."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image

REPOSITORY = "acme/agent"


class DemonstrationError(Exception):
    """The result differs from what the demonstration says."""


@dataclass(frozen=True)
class Inbox:
    """A queue that receives the messages of a stack's topic."""

    sandbox: SandboxProcess
    queue: str

    @classmethod
    def subscribe(cls, sandbox: SandboxProcess, stack: str) -> Inbox:
        """Create the queue."""
        queue = sandbox.client("sqs").create_queue(QueueName="inbox")["QueueUrl"]
        (topic,) = resources(sandbox, stack, "AWS::SNS::Topic")
        arn = f"arn:aws:sqs:us-east-1:{sandbox.account}:inbox"
        sandbox.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return cls(sandbox, queue)

    def read(self) -> str:
        """Wait for a message, and return its subject and text."""
        received = self.sandbox.client("sqs").receive_message(QueueUrl=self.queue, WaitTimeSeconds=10)
        messages = [json.loads(each["Body"]) for each in received.get("Messages", [])]
        if len(messages) != 1:
            message = f"there are {len(messages)} messages instead of one"
            raise DemonstrationError(message)
        return f"Subject: {messages[0]['Subject']}\n\n{messages[0]['Message'].rstrip()}"


def resources(sandbox: SandboxProcess, stack: str, kind: str) -> list[str]:
    """Return the physical ids of the resources of a stack."""
    listed = sandbox.client("cloudformation").list_stack_resources(StackName=stack)["StackResourceSummaries"]
    return [each["PhysicalResourceId"] for each in listed if each["ResourceType"] == kind]


def run_schedule(sandbox: SandboxProcess, stack: str, name: str) -> None:
    """Invoke a function with what its schedule sends."""
    (rule,) = [each for each in resources(sandbox, stack, "AWS::Events::Rule") if name in each]
    (target,) = sandbox.client("events").list_targets_by_rule(Rule=rule)["Targets"]
    answer = sandbox.client("lambda").invoke(FunctionName=target["Arn"], Payload=target["Input"].encode())
    if "FunctionError" in answer:
        message = f"the function of {name} failed: {answer['Payload'].read().decode()}"
        raise DemonstrationError(message)


def build(name: str, platforms: Sequence[str], age: int = 0) -> Image:
    """
    Build an image of a program of 2 MB.

    Args:
        age: How many days ago it was built.
    """
    program = random.Random(name).randbytes(2_000_000)  # noqa: S311 - not a secret
    created = (datetime.now(UTC) - timedelta(days=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return build_image({"usr/bin/agent": program}, platforms=platforms, created=created)
