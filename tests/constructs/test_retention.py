"""Lifecycle rules of the CDK, and the scheduled function that applies them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from cdk_ecrpublic import PublicRepository, PublicRepositoryRetention, RetentionMode
from cdk_ecrpublic.constructs.retention import lifecycle_policy
from lambda_handler.retention.entrypoint import Settings

UNTAGGED = ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(30))
NIGHTLY = ecr.LifecycleRule(tag_prefix_list=["nightly-"], max_image_count=10, description="the last ten")
ANY = ecr.LifecycleRule(max_image_age=Duration.days(365))


def declared(stack: Stack, *rules: ecr.LifecycleRule, name: str = "acme/agent", **options: Any) -> Stack:
    repository = PublicRepository.from_repository_name(stack, name.replace("/", "-"), name)
    PublicRepositoryRetention(
        stack, f"Retention-{name.replace('/', '-')}", repository=repository, lifecycle_rules=list(rules), **options
    )
    return stack


def settings(template: Template) -> list[dict[str, Any]]:
    """Return the events of the schedules, with a placeholder for the bucket's name."""
    found = []
    for rule in template.find_resources("AWS::Events::Rule").values():
        (target,) = rule["Properties"]["Targets"]
        text = target["Input"]
        joined = (
            text
            if isinstance(text, str)
            else "".join(x if isinstance(x, str) else "bucket" for x in text["Fn::Join"][1])
        )
        found.append(json.loads(joined))
    return found


def statements(template: Template) -> list[dict[str, Any]]:
    return [
        statement
        for policy in template.find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def test_rules_render_the_policy_format_of_private_ecr() -> None:
    assert lifecycle_policy("rules", [ANY, UNTAGGED, NIGHTLY]) == {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countNumber": 30,
                    "countUnit": "days",
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "the last ten",
                "selection": {
                    "tagStatus": "tagged",
                    "tagPrefixList": ["nightly-"],
                    "countType": "imageCountMoreThan",
                    "countNumber": 10,
                },
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 3,
                "selection": {
                    "tagStatus": "any",
                    "countType": "sinceImagePushed",
                    "countNumber": 365,
                    "countUnit": "days",
                },
                "action": {"type": "expire"},
            },
        ]
    }


def test_the_policy_equals_that_of_a_private_repository_in_the_cdk() -> None:
    rules = [ANY, NIGHTLY, UNTAGGED, ecr.LifecycleRule(rule_priority=7, tag_pattern_list=["*-rc*"], max_image_count=3)]
    stack = Stack(App(), "Stack")
    ecr.Repository(stack, "Private", lifecycle_rules=rules)
    (private,) = Template.from_stack(stack).find_resources("AWS::ECR::Repository").values()
    text = json.loads(private["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])

    ours = cast("list[dict[str, Any]]", lifecycle_policy("rules", rules)["rules"])

    def by_priority(each: dict[str, Any]) -> int:
        return int(each["rulePriority"])

    assert sorted(ours, key=by_priority) == sorted(text["rules"], key=by_priority)


def test_the_function_understands_what_the_schedule_sends() -> None:
    topic = sns.Topic
    stack = Stack(App(), "Stack")
    declared(stack, NIGHTLY, UNTAGGED, mode=RetentionMode.DELETE, min_age=Duration.days(2), topic=topic(stack, "Topic"))

    (sent,) = settings(Template.from_stack(stack))
    read = Settings.parse(sent)

    assert (read.repository, read.deletes, read.min_age_seconds, read.limit) == ("acme/agent", True, 172_800, 1000)
    assert len(read.rules) == 2
    assert read.bucket
    assert read.topic
    assert "us-east-1" in read.regions


def test_two_repositories_share_the_function_but_have_separate_schedules() -> None:
    stack = Stack(App(), "Stack")
    declared(stack, NIGHTLY)
    declared(stack, UNTAGGED, name="acme/tools", schedule=events.Schedule.rate(Duration.hours(6)))
    template = Template.from_stack(stack)

    template.resource_count_is("AWS::Lambda::Function", 1)
    template.resource_count_is("AWS::Events::Rule", 2)
    assert {each["repositoryName"] for each in settings(template)} == {"acme/agent", "acme/tools"}


def test_a_report_needs_no_permission_to_change_anything() -> None:
    report = Template.from_stack(declared(Stack(App(), "Stack"), NIGHTLY))
    delete = Template.from_stack(declared(Stack(App(), "Stack"), NIGHTLY, mode=RetentionMode.DELETE))

    def registry_actions(template: Template) -> set[str]:
        actions = [each["Action"] for each in statements(template)]
        flat = {action for each in actions for action in ([each] if isinstance(each, str) else each)}
        return {action for action in flat if action.startswith("ecr-public:")}

    assert registry_actions(report) == {
        "ecr-public:DescribeImages",
        "ecr-public:DescribeRepositories",
        "ecr-public:GetAuthorizationToken",
    }
    assert registry_actions(delete) - registry_actions(report) == {"ecr-public:BatchDeleteImage", "ecr-public:PutImage"}


@pytest.mark.parametrize(
    ("rules", "options", "message"),
    [
        ([], {}, "lifecycle_rules: rules: is missing or empty"),
        ([ecr.LifecycleRule()], {}, r"lifecycle_rules\[0\]: needs either max_image_age or max_image_count"),
        ([ecr.LifecycleRule(tag_status=ecr.TagStatus.TAGGED, max_image_count=1)], {}, "needs either tagPrefixList or"),
        ([UNTAGGED, UNTAGGED], {}, "two rules select untagged images"),
        (["untagged"], {}, r"lifecycle_rules\[0\]: 'untagged' is a str; expected an ecr.LifecycleRule"),
        ([NIGHTLY], {"mode": "DELETE"}, "mode: 'DELETE' is a str; expected RetentionMode.REPORT or"),
        ([NIGHTLY], {"max_removals": 0}, "max_removals: 0; allowed: 1 to 100000"),
        ([NIGHTLY], {"min_age": 3}, "min_age: 3 is an int; expected a Duration"),
        ([NIGHTLY], {"regions": "us-east-1"}, "regions: 'us-east-1' is a str; expected a list of Regions"),
    ],
)
def test_an_error_names_the_mistake(rules: Sequence[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declared(Stack(App(), "Stack"), *rules, **options)
