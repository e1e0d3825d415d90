"""Findings of cdk-nag in an app that uses everything; only one test acknowledges any of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Acknowledgment, CloudFormationValidatePlugin, Stack, Validations
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3

from cdk_ecrpublic import (
    ImageSource,
    PublicImage,
    PublicImageMonitor,
    PublicImageProviderStack,
    PublicRepository,
    PublicRepositoryRetention,
    RetentionMode,
)

from .everything import DIGEST, ENVIRONMENT, PACKS, Everything

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
    """Return the actions that any policy of the checked app allows on ``*``."""
    resources = json.loads((everything.out / "Images.template.json").read_text())["Resources"].values()
    statements = [
        statement
        for resource in resources
        for statement in resource.get("Properties", {}).get("PolicyDocument", {}).get("Statement", ())
    ]
    return {action for each in statements if each["Resource"] == "*" for action in _list(each["Action"])}


def rules(findings: set[tuple[str, str]]) -> set[str]:
    """Return the findings that are not in the records."""
    assert all(where == POLICY or where.startswith("Images/Provider/Role/ManagedPolicy") for _, where in findings)
    found = {rule for rule, _ in findings}
    assert found >= RECORDS
    return found - RECORDS


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_app_has_every_source(everything: Everything) -> None:
    assert everything.sources().keys() == NEEDS.keys()


@pytest.mark.parametrize("source", NEEDS)
def test_a_source_violates_a_rule_of_aws_solutions_only_by_a_login(everything: Everything, source: str) -> None:
    everything.provide()
    everything.publish_all(source)

    findings = everything.check("AwsSolutionsChecks").findings("Images/")

    assert rules(findings) == ({WILDCARD} if NEEDS[source] else set())
    assert on_everything(everything) == NEEDS[source]


def test_all_sources_together_violate_only_that_rule(everything: Everything) -> None:
    everything.provide()
    everything.publish_all(*NEEDS)

    assert rules(everything.check("AwsSolutionsChecks").findings("Images/")) == {WILDCARD}
    assert on_everything(everything) == LOGIN | PRIVATE_LOGIN


def test_the_validation_of_the_cdk_finds_nothing(everything: Everything) -> None:
    everything.provide()
    everything.publish_all(*NEEDS)
    s3.CfnBucket(everything.around, "Wrong").add_property_override("Nonsense", "")
    Validations.of(everything.app).add_plugins(CloudFormationValidatePlugin())

    everything.app.synth()

    report = everything.report()
    assert {where for _, where in report.findings("")} == {"Around/Wrong"}


def test_anonymous_reads_violate_no_rule(everything: Everything) -> None:
    """This covers the sources that only read."""
    everything.provide(authenticated_reads=False)
    everything.publish_all(*READING)

    assert rules(everything.check("AwsSolutionsChecks").findings("Images/")) == set()
    assert on_everything(everything) == set()


def test_the_remaining_findings_can_be_acknowledged_at_the_provider(everything: Everything) -> None:
    """docs/reference/iam.md describes this."""
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


def test_with_all_options_aws_solutions_finds_the_wildcards_that_lambda_needs(everything: Everything) -> None:
    """They are for future network interfaces, traces, and the logins for storing layers and reading private ECR."""
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


def test_the_stack_for_other_languages_also_violates_that_rule(everything: Everything) -> None:
    """The causes are a login, and parameters and stacks whose names are known only in the templates of users."""
    PublicImageProviderStack(everything.app, "Other", repositories=["acme/agent"], removes=True, env=ENVIRONMENT)

    findings = {rule for rule, _ in everything.check("AwsSolutionsChecks").findings("Other/")}

    assert findings == {
        WILDCARD,
        "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:cloudformation:us-east-1:111111111111:stack/*]",
        f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/acme/agent/*]",
        *(rule.replace("/Images.*", "/Other.*") for rule in RECORDS),
    }


def test_retention_violates_one_rule_by_what_it_must_read(everything: Everything) -> None:
    """It reads the stacks of the account, the records, and the reports in a bucket of the app."""
    retained = Stack(everything.app, "Retained", env=ENVIRONMENT)
    PublicRepositoryRetention(
        retained,
        "Retention",
        repository=PublicRepository.from_repository_name(retained, "Agent", "acme/agent"),
        lifecycle_rules=[ecr.LifecycleRule(tag_prefix_list=["nightly-"], max_image_count=10)],
        mode=RetentionMode.DELETE,
        bucket=s3.Bucket.from_bucket_name(retained, "Reports", "reports"),
    )

    findings = {rule for rule, _ in everything.check("AwsSolutionsChecks").findings("Retained/")}

    assert findings == {
        WILDCARD,
        "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:cloudformation:*:111111111111:stack/*]",
        *(
            f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::reports/{kind}/*]"
            for kind in ("links", "removals", "reports")
        ),
        f"AwsSolutions-IAM5[Resource::{_PARAMETERS}/state/*]",
    }


def test_a_monitor_violates_one_rule_by_the_records_and_the_ids_of_stacks(everything: Everything) -> None:
    """A stack's ARN ends with an unknown id. Only repairs log in, which IAM allows only on all resources."""
    for name, repair in (("Monitored", False), ("Repaired", True)):
        stack = Stack(everything.app, name, env=ENVIRONMENT)
        repository = PublicRepository.from_repository_name(stack, "Agent", f"acme/{name.lower()}")
        release = PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST))
        PublicImageMonitor(stack, "Monitor", images=release, repair=repair, on_change=True, alarms=True)
    report = everything.check("AwsSolutionsChecks")

    def of_monitor(stack: str) -> set[str]:
        found = report.findings(f"{stack}/ECRPublicMonitor") | report.findings(f"{stack}/Monitor/")
        return {rule for rule, _ in found}

    records = "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ssm:*:111111111111:parameter/cdk-ecrpublic/*]"
    stacks = "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:cloudformation:us-east-1:111111111111:stack/{}/*]"
    assert of_monitor("Monitored") == {records, stacks.format("Monitored")}
    assert of_monitor("Repaired") == {records, stacks.format("Repaired"), WILDCARD}
