"""The deployed images of a stack, read with botocore's model of CloudFormation, and unknown ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from lambda_handler.aws.templates import StackReader
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import AccessError, RejectedError
from lambda_handler.log import Log
from lambda_handler.monitor.entrypoint import Settings
from lambda_handler.monitor.ports import Deployment
from lambda_handler.monitor.stacks import Stack
from lambda_handler.oci import Digest
from lambda_handler.resources.record import Record
from lambda_handler.resources.record_names import declaration_key
from lambda_handler.retry import Retry
from lambda_handler.spec import Declaration, as_sent
from tests.support.memory import MemoryRepository
from tests.support.stubbed_formation import stubbed_formation

ACCOUNT, REGION, NAME = "123456789012", "eu-west-1", "acme/agent"
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Agent/5a7d8f10"
OWNER = "eu-west-1.Agent.Release"
FIRST, SECOND = Digest.of(b"first"), Digest.of(b"second")
RECORD = f"/cdk-ecrpublic/state/{ACCOUNT}/acme--agent/moving/{OWNER}"
WHEN = "2026-11-29T08:00:00Z"


@dataclass
class Ports:
    """The ports of one declaration."""

    texts: Mapping[str, str]
    destination: MemoryRepository = field(default_factory=MemoryRepository)

    @property
    def parameters(self) -> Ports:
        return self

    @property
    def first_parameters(self) -> Ports:
        return self

    def read(self, name: str) -> str | None:
        return self.texts.get(name)


@dataclass
class Cloud:
    """
    One stack, as the service describes it.

    Attributes:
        denied: The operation that is denied.
        others: The physical ids of other resources.
    """

    properties: Mapping[str, object] = field(default_factory=dict)
    status: str = "UPDATE_COMPLETE"
    physical_id: str = f"ecr-public:{ACCOUNT}/{NAME}:Release"
    parameters: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    denied: str = ""
    logical_ids: tuple[str, ...] = ()

    def stack(self) -> Stack:
        client = stubbed_formation(REGION, self._responses(), self.denied)
        retry = Retry(Deadline.after(10, SystemClock()), Log(), permissions_may_be_new=False)

        def connect(declaration: Declaration, region: str) -> Any:
            assert (declaration.registry_id, declaration.repository_name, region) == (ACCOUNT, NAME, REGION)
            return cast("Any", Ports(self.records))

        reader = StackReader(client=lambda _: client, retry=retry, hint="a hint")
        return Stack(reader=reader, region=REGION, stack="Agent", logical_ids=self.logical_ids, connect=connect)

    def read(self) -> Deployment:
        return self.stack().read()

    def _responses(self) -> list[tuple[str, dict[str, Any]]]:
        values = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        described = {
            "StackId": STACK,
            "StackName": "Agent",
            "StackStatus": self.status,
            "CreationTime": WHEN,
            "LastUpdatedTime": WHEN,
            "Parameters": values,
        }
        resources = [("Release", self.physical_id, "Custom::ECRPublicImage")]
        resources += [(name, physical_id, "AWS::Other") for name, physical_id in self.others.items()]
        body = {
            "Parameters": {name: {"Type": "String"} for name in self.parameters},
            "Resources": {"Release": {"Properties": self.properties}},
        }
        summaries = [
            {
                "LogicalResourceId": logical_id,
                "PhysicalResourceId": physical_id,
                "ResourceType": kind,
                "ResourceStatus": "CREATE_COMPLETE",
                "LastUpdatedTimestamp": WHEN,
            }
            for logical_id, physical_id, kind in resources
        ]
        return [
            ("describe_stacks", {"Stacks": [described]}),
            ("get_template", {"TemplateBody": json.dumps(body)}),
            ("list_stack_resources", {"StackResourceSummaries": summaries}),
        ]


def declared(**more: object) -> dict[str, object]:
    return {"RepositoryName": NAME, "ImageTags": ["1.0"], "Source": {"Digest": str(FIRST)}, **more}


def test_reads_an_image_from_its_template() -> None:
    deployment = Cloud(declared(IncludeReferrers=True)).read()

    (image,) = deployment.images
    assert (image.owner, image.digest, image.declaration.tags) == (OWNER, FIRST, ("1.0",))
    assert (deployment.problems, deployment.version[:15]) == ({}, "UPDATE_COMPLETE")


def test_resolves_parameters_and_references() -> None:
    properties = declared(
        RepositoryName={"Ref": "Repository"},
        ImageTags=[{"Ref": "Version"}, "latest"],
        Source={"Image": {"Reference": f"ghcr.io/a@{FIRST}", "CredentialsSecretArn": {"Ref": "Secret"}}},
    )
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s-AbCdEf"
    (image,) = (
        Cloud(properties, parameters={"Version": "1.4"}, others={"Repository": NAME, "Secret": secret}).read().images
    )

    assert (image.digest, image.declaration.tags) == (FIRST, ("1.4", "latest"))


def test_reads_the_repository_from_the_physical_id() -> None:
    """The template may compute it from values that are not known here."""
    (image,) = Cloud(declared(RepositoryName={"Fn::GetAtt": ["Other", "Name"]})).read().images

    assert (image.declaration.registry_id, image.declaration.repository_name) == (ACCOUNT, NAME)


def test_reads_the_digest_of_a_mutable_source_from_its_record() -> None:
    properties = declared(Source={"Tag": "build"}, IncludeReferrers=True)
    key = declaration_key(as_sent(properties))
    record = Record(stack=STACK, deployed={"an earlier one": FIRST, key: SECOND})
    (image,) = Cloud(properties, records={RECORD: record.text()}).read().images

    assert image.digest == SECOND


def test_a_mutable_source_without_a_record_is_unknown() -> None:
    problems = Cloud(declared(Source={"Tag": "build"})).read().problems

    assert "its source is mutable, and no record has the image that was deployed" in problems[OWNER]


@pytest.mark.parametrize("stack", [STACK.replace("5a7d8f10", "another"), ""])
def test_ignores_the_record_of_a_deleted_stack_with_the_same_name(stack: str) -> None:
    properties = declared(Source={"Tag": "build"})
    record = Record(stack=stack or STACK, deployed={declaration_key(as_sent(properties)): SECOND})
    found = Cloud(properties, records={RECORD: record.text()}).read()

    assert len(found.problems) == (1 if stack else 0)


def test_computed_tags_are_unknown() -> None:
    problems = Cloud(declared(ImageTags=[{"Fn::GetAtt": ["A", "B"]}])).read().problems

    assert problems[OWNER].startswith("INVALID_PROPERTIES: ImageTags[0]: is ")


@pytest.mark.parametrize("physical_id", ["Agent-Release-1", "failed-create:5a7d8f10"])
def test_an_unpublished_image_is_unknown(physical_id: str) -> None:
    assert Cloud(declared(), physical_id=physical_id).read().problems == {OWNER: "is not deployed in the stack"}


def test_reads_only_the_requested_images() -> None:
    found = Cloud(declared(), logical_ids=("Other",)).read()

    assert (found.images, found.problems) == ([], {"eu-west-1.Agent.Other": "is not deployed in the stack"})


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "REVIEW_IN_PROGRESS"])
def test_a_stack_that_is_being_deployed_has_no_version(status: str) -> None:
    cloud = Cloud(declared(), status=status)

    assert cloud.stack().version() == ""
    assert cloud.read() == Deployment(version="")


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED", "DELETE_FAILED"])
def test_a_failed_stack_is_unknown(status: str) -> None:
    with pytest.raises(RejectedError, match=f"stack eu-west-1.Agent has the status {status}, so what is deployed"):
        Cloud(declared(), status=status).read()


@pytest.mark.parametrize("operation", ["list_stack_resources", "get_template", "describe_stacks"])
def test_a_denied_call_is_an_error(operation: str) -> None:
    with pytest.raises(AccessError):
        Cloud(declared(), denied=operation).read()


def test_a_stack_can_be_named_by_its_arn() -> None:
    settings = Settings.parse(
        {"monitor": "M", "stateParameter": "P", "stacks": [{"region": "eu-west-1", "stack": STACK}]}
    )
    ((region, stack, logical_ids),) = settings.stacks
    reader = StackReader(client=lambda _: None, retry=Retry(Deadline.after(1, SystemClock()), Log()))
    found = Stack(
        reader=reader, region=region, stack=stack, logical_ids=logical_ids, connect=lambda *_: cast("Any", None)
    )

    assert found.name == "eu-west-1.Agent"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "event: monitor and stacks and stateParameter is missing"),
        ({"monitor": "M", "stateParameter": "P", "stacks": [{}]}, r"event.stacks\[0\]: region and stack is missing"),
        ({"monitor": "M", "stateParameter": "P", "stacks": 3}, "event.stacks: is 3; expected a list"),
        ({"monitor": "M", "stateParameter": "P", "stacks": [], "x": 1}, "event: has unknown keys: x"),
    ],
)
def test_an_error_names_the_invalid_settings(event: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.parse(event)
