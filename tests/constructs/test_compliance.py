"""What the rule packs of cdk-nag find in an app that uses everything; nothing is acknowledged here but by one test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Acknowledgment, Validations

from cdk_ecrpublic import PublicImageProviderStack

from .everything import ENVIRONMENT, PACKS, Everything

LOGIN = {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
PRIVATE_LOGIN = {"ecr:GetAuthorizationToken"}
WILDCARD = "AwsSolutions-IAM5[Resource::*]"
POLICY = "Images/Provider/Role/DefaultPolicy/Resource"

_PARAMETERS = "arn:<AWS::Partition>:ssm:us-east-1:111111111111:parameter/cdk-ecrpublic"
RECORDS = {
    f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/state/*]",
    f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/state/*/<AWS::Region>.<AWS::StackName>.*]",
    f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/*]",
    f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/*/Images.*]",
}
"""
What every function may read and write: the names of records have digests that synthesis does not know.

The last two are of what version 0.1 remembered.
"""

NEEDS = {
    "digest": LOGIN,
    "tag": LOGIN,
    "public": LOGIN,
    "index of digests": LOGIN,
    "ecr": LOGIN | PRIVATE_LOGIN,
    "docker_asset": LOGIN | PRIVATE_LOGIN,
    "manifest": set(),
    "manifest_file": set(),
    "registry": LOGIN,
    "registry with credentials": LOGIN,
    "archive": LOGIN,
    "archive_object": LOGIN,
    "index": LOGIN,
}
"""The actions on ``*`` that each source needs: AWS restricts none of them to a resource."""

READING = ("digest", "tag", "index of digests", "manifest", "manifest_file")
"""Copy no layers: those that do have to log in to store them."""


@pytest.fixture
def everything(tmp_path: Path) -> Everything:
    return Everything(tmp_path)


def on_everything(everything: Everything) -> set[str]:
    """Return the actions that are allowed on ``*``, in whatever policy of the checked app."""
    resources = json.loads((everything.out / "Images.template.json").read_text())["Resources"].values()
    statements = [
        statement
        for resource in resources
        for statement in resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", ())
    ]
    return {action for each in statements if each["Resource"] == "*" for action in _list(each["Action"])}


def rules(findings: set[tuple[str, str]]) -> set[str]:
    """Return what was found beside the records."""
    assert all(where == POLICY or where.startswith("Images/Provider/Role/ManagedPolicy") for _, where in findings)
    found = {rule for rule, _ in findings}
    assert found >= RECORDS
    return found - RECORDS


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_source_is_there(everything: Everything) -> None:
    assert everything.sources().keys() == NEEDS.keys()


@pytest.mark.parametrize("source", NEEDS)
def test_a_source_breaks_no_rule_of_aws_solutions_but_by_a_login(everything: Everything, source: str) -> None:
    everything.provide()
    everything.publish_all(source)

    findings = everything.check("AwsSolutionsChecks").findings("Images/")

    assert rules(findings) == ({WILDCARD} if NEEDS[source] else set())
    assert on_everything(everything) == NEEDS[source]


def test_all_sources_together_break_that_one_rule(everything: Everything) -> None:
    everything.provide()
    everything.publish_all(*NEEDS)

    assert rules(everything.check("AwsSolutionsChecks").findings("Images/")) == {WILDCARD}
    assert on_everything(everything) == LOGIN | PRIVATE_LOGIN


def test_anonymous_reads_break_none(everything: Everything) -> None:
    """Of the sources that only read."""
    everything.provide(authenticated_reads=False)
    everything.publish_all(*READING)

    assert rules(everything.check("AwsSolutionsChecks").findings("Images/")) == set()
    assert on_everything(everything) == set()


def test_what_remains_can_be_acknowledged_at_the_provider(everything: Everything) -> None:
    """As docs/reference/iam.md says."""
    provider = everything.provide()
    everything.publish_all(*NEEDS)

    Validations.of(provider).acknowledge(
        Acknowledgment(
            id="AwsSolutions::AwsSolutions-IAM5[Resource::*]", reason="logins to ECR cannot be restricted to a resource"
        )
    )

    report = everything.check("AwsSolutionsChecks")
    assert rules(report.findings("Images/")) == set()
    assert report.acknowledged("Images/") == {(WILDCARD, POLICY)}


@pytest.mark.parametrize("pack", [name for name in PACKS if name != "AwsSolutionsChecks"])
def test_with_all_options_no_other_pack_finds_anything(everything: Everything, pack: str) -> None:
    everything.provide(**everything.all_options())
    everything.publish_all(*NEEDS)

    assert everything.check(pack).findings("Images/") == set()


def test_with_all_options_aws_solutions_finds_what_lambda_needs_on_everything(everything: Everything) -> None:
    """Network interfaces that do not exist yet, traces, and the logins to store layers and to read private ECR."""
    everything.provide(**everything.all_options())
    everything.publish_all(*NEEDS)

    assert rules(everything.check("AwsSolutionsChecks").findings("Images/")) == {WILDCARD}
    assert {action.partition(":")[0] for action in on_everything(everything)} == {
        "ec2",
        "ecr",
        "ecr-public",
        "sts",
        "xray",
    }


def test_the_stack_for_other_languages_breaks_that_rule_too(everything: Everything) -> None:
    """By a login, and by parameters and stacks whose names only its users' templates know."""
    PublicImageProviderStack(everything.app, "Other", repositories=["acme/agent"], removes=True, env=ENVIRONMENT)

    findings = {rule for rule, _ in everything.check("AwsSolutionsChecks").findings("Other/")}

    assert findings == {
        WILDCARD,
        "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:cloudformation:us-east-1:111111111111:stack/*]",
        f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/acme/agent/*]",
        *(rule.replace("/Images.*", "/Other.*") for rule in RECORDS),
    }
