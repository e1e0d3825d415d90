"""The declarations of stacks, from templates and records, and unreadable ones that forbid a removal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_handler.aws.templates import resolve_known
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import AccessError, RejectedError
from lambda_handler.log import Log
from lambda_handler.oci import Digest
from lambda_handler.resources.record import Record
from lambda_handler.retention.stacks import Stacks
from lambda_handler.retry import Retry
from tests.support.stubbed_formation import stubbed_formation

ACCOUNT, REGION, NAME = "123456789012", "eu-west-1", "acme/agent"
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Agent/5a7d8f10"
FIRST, SECOND = Digest.of(b"first"), Digest.of(b"second")
PATH = f"/cdk-ecrpublic/state/{ACCOUNT}/acme--agent"


@dataclass
class Cloud:
    """
    One stack, as the service describes it. botocore checks requests and responses against the service model.

    Attributes:
        denied: The operation that is denied.
    """

    properties: Mapping[str, object] = field(default_factory=dict)
    status: str = "UPDATE_COMPLETE"
    body: str = ""
    physical_id: str = f"ecr-public:{ACCOUNT}/{NAME}:Release"
    resource_status: str = "CREATE_COMPLETE"
    parameters: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    denied: str = ""

    def stacks(self) -> Stacks:
        client = stubbed_formation(REGION, self._responses(), self.denied)
        return Stacks(
            client=lambda _: client,
            regions=[REGION],
            records=lambda path: {name: text for name, text in self.records.items() if name.startswith(path)},
            account=ACCOUNT,
            repository=NAME,
            retry=Retry(Deadline.after(10, SystemClock()), Log(), permissions_may_be_new=False),
        )

    def _responses(self) -> list[tuple[str, dict[str, Any]]]:
        when = "2026-11-29T08:00:00Z"
        summary = {"StackId": STACK, "StackName": "Agent", "StackStatus": self.status, "CreationTime": when}
        gone = {**summary, "StackName": "Gone", "StackStatus": "DELETE_COMPLETE"}
        resource = {
            "LogicalResourceId": "Release",
            "PhysicalResourceId": self.physical_id,
            "ResourceType": "Custom::ECRPublicImage",
            "ResourceStatus": self.resource_status,
            "LastUpdatedTimestamp": when,
        }
        body = self.body or json.dumps(
            {
                "Parameters": {name: {"Type": kind} for name, kind in self.types.items()},
                "Resources": {"Release": {"Properties": self.properties}},
            }
        )
        values = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        return [
            ("list_stacks", {"StackSummaries": [gone, summary]}),
            ("list_stack_resources", {"StackResourceSummaries": [resource]}),
            ("describe_stacks", {"Stacks": [{**summary, "Parameters": values}]}),
            ("get_template", {"TemplateBody": body}),
        ]


def declared(**more: object) -> dict[str, object]:
    return {"RepositoryName": NAME, "ImageTags": ["1.0"], "Source": {"Digest": str(FIRST)}, **more}


def test_reads_declared_tags_digests_and_immutable_patterns() -> None:
    found = Cloud(declared(ImmutableTags=["1.*"])).stacks().read()

    assert found.tags == {"1.0": "eu-west-1.Agent.Release"}
    assert found.digests == {FIRST: "eu-west-1.Agent.Release"}
    assert found.immutable == {"1.*"}


def test_resolves_parameters() -> None:
    tags = [
        {"Ref": "Version"},
        {"Fn::Sub": "${Version}-${AWS::Region}"},
        {"Fn::Join": ["-", ["a", {"Ref": "Version"}]]},
    ]
    one = Cloud(declared(ImageTags=tags), parameters={"Version": "1.4"}, types={"Version": "String"})
    whole = Cloud(declared(ImageTags={"Ref": "Tags"}), parameters={"Tags": "a,b"}, types={"Tags": "CommaDelimitedList"})

    assert set(one.stacks().read().tags) == {"1.4", "1.4-eu-west-1", "a-1.4"}
    assert set(whole.stacks().read().tags) == {"a", "b"}


def test_a_digest_anywhere_in_a_declaration_counts_as_declared() -> None:
    parts = [{"Source": {"Digest": str(each)}, "Platform": "linux/amd64"} for each in (FIRST, SECOND)]

    found = Cloud(declared(Source={"Index": {"Manifests": parts}})).stacks().read()

    assert set(found.digests) == {FIRST, SECOND}


def test_the_digest_of_an_inline_manifest_counts_as_declared() -> None:
    body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []})

    found = Cloud(declared(ImageTags=[], Source={"Manifest": {"Body": body}})).stacks().read()

    assert set(found.digests) == {Digest.of(body.encode())}


def test_a_record_protects_deployed_images_and_those_that_an_undo_needs() -> None:
    record = Record(stack=STACK, tags=("edge",), found={"latest": FIRST}, deployed={"key": SECOND})
    name = f"{PATH}/moving/eu-west-1.Agent.Release"

    found = Cloud(declared(ImageTags=[], Source={"Tag": "build"}), records={name: record.text()}).stacks().read()

    assert set(found.digests) == {FIRST, SECOND}
    assert found.tags == {"edge": "eu-west-1.Agent.Release", "build": "the source of eu-west-1.Agent.Release"}


OTHER = f"ecr-public:{ACCOUNT}/acme/tools:Release"
HERE = f"public.ecr.aws/alias/{NAME}"


@pytest.mark.parametrize(
    ("source", "tags", "digests"),
    [
        ({"Image": {"Reference": f"{HERE}:1.4"}}, {"1.4"}, set()),
        ({"Image": {"Reference": HERE}}, {"latest"}, set()),
        ({"Image": {"Reference": f"{HERE}@{SECOND}"}}, set(), {SECOND}),
        ({"Image": {"Reference": f"{HERE}:1.4@{SECOND}"}}, set(), {SECOND}),
        ({"Image": {"Reference": {"Fn::Sub": f"{HERE}:${{AWS::Region}}"}}}, {REGION}, set()),
        ({"Image": {"Reference": f"{HERE}-other:1.4"}}, set(), set()),
        ({"Tag": "1.4"}, set(), set()),
    ],
)
def test_images_that_another_repository_copies_from_here_count_as_declared(
    source: dict[str, object], tags: set[str], digests: set[Digest]
) -> None:
    found = Cloud(declared(RepositoryName="acme/tools", Source=source), physical_id=OTHER).stacks().read()

    assert set(found.tags) == tags
    assert set(found.digests) == digests


@pytest.mark.parametrize(
    "reference",
    [
        {"Fn::Join": ["", [{"Fn::GetAtt": ["Repository", "Uri"]}, ":1.0"]]},
        {"Fn::ImportValue": "image"},
        {"Fn::Sub": ["${Uri}:1.0", {"Uri": HERE}]},
    ],
)
@pytest.mark.parametrize("kind", ["whole", "part"])
def test_a_computed_source_forbids_removal(reference: object, kind: str) -> None:
    source: dict[str, object] = {"Image": {"Reference": reference}}
    if kind == "part":
        source = {"Index": {"Manifests": [{"Source": source}]}}

    with pytest.raises(RejectedError, match=r"the template computes the source of eu-west-1\.Agent\.Release"):
        Cloud(declared(RepositoryName="acme/tools", Source=source), physical_id=OTHER).stacks().read()


def test_a_computed_source_in_private_ecr_forbids_nothing() -> None:
    host = {"Fn::Join": ["", [ACCOUNT, ".dkr.ecr.eu-west-1.", {"Ref": "Suffix"}, "/builds@", str(FIRST)]]}
    source = {"Image": {"Reference": host}}

    assert Cloud(declared(RepositoryName="acme/tools", Source=source), physical_id=OTHER).stacks().read().tags == {}


def test_the_tag_of_a_source_counts_as_declared() -> None:
    """It may have moved since the last deployment, and the next one will read it."""
    parts = [{"Source": {"Tag": each}, "Platform": "linux/amd64"} for each in ("amd64", "arm64")]

    one = Cloud(declared(Source={"Tag": "build"})).stacks().read()
    several = Cloud(declared(Source={"Index": {"Manifests": parts}})).stacks().read()

    assert one.tags == {"1.0": "eu-west-1.Agent.Release", "build": "the source of eu-west-1.Agent.Release"}
    assert set(several.tags) == {"1.0", "amd64", "arm64"}


def test_ignores_declarations_for_another_repository() -> None:
    cloud = Cloud(declared(ImageTags={"Ref": "Unknown"}), physical_id=f"ecr-public:{ACCOUNT}/acme/tools:Release")

    assert cloud.stacks().read().tags == {}


@pytest.mark.parametrize(
    ("cloud", "message"),
    [
        (
            Cloud(declared(ImageTags=[{"Fn::GetAtt": ["A", "B"]}])),
            "Agent.Release is not known here: ImageTags",
        ),
        (Cloud(declared(ImmutableTags={"Fn::If": ["A", [], []]})), "Release is not known here: ImmutableTags"),
        (Cloud(declared(), status="UPDATE_IN_PROGRESS"), "stack eu-west-1.Agent is being deployed"),
        (
            Cloud(declared(), status="CREATE_IN_PROGRESS", physical_id="Agent-1", resource_status="CREATE_IN_PROGRESS"),
            "stack eu-west-1.Agent is being deployed",
        ),
        (Cloud(declared(ImageTags=["{{resolve:ssm:/agent/version:3}}"])), "is not known here: ImageTags"),
        (Cloud(declared(ImageTags=[{"Ref": "V"}]), parameters={"V": "****"}, types={"V": "String"}), "not known here"),
        (Cloud(declared(), status="UPDATE_ROLLBACK_FAILED"), "or has failed: UPDATE_ROLLBACK_FAILED"),
        (Cloud(declared(), body="Resources: {}"), "the template of stack Agent is not JSON"),
        (Cloud(declared(ImageTags=[], Source={"Tag": "build"})), "has no record of its image"),
        (Cloud(declared(), records={f"{PATH}/moving/a.b.c": "{}"}), "the record of a.b.c has a format"),
    ],
)
def test_unreadable_declarations_are_an_error(cloud: Cloud, message: str) -> None:
    with pytest.raises(RejectedError, match=message) as refused:
        cloud.stacks().read()

    assert refused.value.hint == "until that is possible, no image of the repository is removed"


@pytest.mark.parametrize("operation", ["list_stacks", "list_stack_resources", "get_template", "describe_stacks"])
def test_a_denied_call_is_an_error(operation: str) -> None:
    cloud = Cloud(declared(), denied=operation)

    with pytest.raises(AccessError):
        cloud.stacks().read()


def test_an_unknown_intrinsic_function_is_not_resolved() -> None:
    value = {"Fn::Sub": "${Resource.Arn}"}

    assert resolve_known(value, {"A": "b"}) == value
    assert resolve_known({"Fn::Sub": "${!Literal}-${A}"}, {"A": "b"}) == "${Literal}-b"
