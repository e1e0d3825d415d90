"""Retention: a scheduled function that reports or removes images that lifecycle rules expire."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from .._assets.lambda_handler.errors import InvalidPropertiesError
from .._assets.lambda_handler.retention.lifecycle import parse_policy
from .._assets.lambda_handler.retention.state import LINKS_PREFIX, REMOVALS_PREFIX, REPORTS_PREFIX
from ._iam.actions import (
    LOGIN_ACTIONS,
    RECORD_LIST_ACTIONS,
    RETENTION_ACTIONS,
    RETENTION_REMOVAL_ACTIONS,
    STACK_LIST_ACTIONS,
    STACK_READ_ACTIONS,
)
from ._pin_names import RETENTION_METADATA
from ._records import RECORD_REGION, RECORD_ROOT
from ._scheduled_function import ScheduledFunction
from ._signature import shows_parameters
from ._validation.image import check_partition
from ._validation.values import (
    check_instance,
    check_kind,
    check_list,
    check_member,
    check_number,
    check_repository,
    is_known,
    refuse,
    refuse_kind,
)
from .public_repository import IPublicRepository, name_at_synthesis

REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1",
    "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
"""The Regions that every account can use. Reference: AWS Account Management guide, "Enable or disable AWS Regions"."""

REPORTS_KEPT = Duration.days(90)


class RetentionMode(Enum):
    """
    What happens to images that expire.

    ```python
    from aws_cdk import aws_ecr as ecr

    PublicRepositoryRetention(
        self, "Retention",
        repository=repository,
        lifecycle_rules=[ecr.LifecycleRule(max_image_count=500)],
        mode=RetentionMode.DELETE,
    )
    ```
    """

    REPORT = "REPORT"
    """They are reported: in the log, as a metric, as a message, and as a list in the bucket."""
    DELETE = "DELETE"
    """They are removed, too."""


@shows_parameters
class PublicRepositoryRetention(Construct):
    """
    Reports, and removes if you want that, images that lifecycle rules expire.

    ECR Public has no lifecycle policies. A scheduled function applies the rules
    instead, with the vocabulary and the semantics of private ECR. Whatever the
    rules say, it never removes what a stack of the account declares, children of
    indexes that stay, what is attached to images that stay (signatures, SBOMs),
    immutable tags, and images that are younger than *min_age*.

    Begin with the default mode, and read the reports:
    ``cdk-ecrpublic retention cdk.out`` shows the same decisions.

    ```python
    from aws_cdk import Duration
    from aws_cdk import aws_ecr as ecr

    repository = PublicRepository.from_repository_name(self, "Agent", "acme/agent")
    PublicRepositoryRetention(
        self, "Retention",
        repository=repository,
        lifecycle_rules=[
            ecr.LifecycleRule(tag_prefix_list=["nightly-"], max_image_age=Duration.days(14)),
            ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(30)),
        ],
    )
    ```

    Args:
        repository: The repository, in the stack's own account.
        lifecycle_rules: The rules of ``aws_cdk.aws_ecr``. Without a priority, they
            get one in their order; a rule for any images comes last.
        mode: Default: ``RetentionMode.REPORT``.
        schedule: When the function runs. Default: every day at 3:00 UTC.
        min_age: No younger image is removed. Default: one day.
        max_removals: How many images one run removes. It completes an image
            whose parts exceed this number. Default: 1,000.
        regions: The Regions in which stacks of the account may declare images. A
            stack elsewhere is not seen, and what it declares is not protected.
            Default: the Regions that every account can use.
        topic: Is notified of each run that finds expired images or has a problem.
            Default: none.
        bucket: The bucket for the reports, and for what the function keeps between
            runs. Default: one for all retention constructs of the stack, without
            public access, encrypted, and with reports for 90 days.

    Raises:
        ValueError: A rule is invalid, or uses something that ECR Public does not
            have; or another value is out of range.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repository: IPublicRepository,
        lifecycle_rules: Sequence[ecr.LifecycleRule],
        mode: RetentionMode = RetentionMode.REPORT,
        schedule: events.Schedule | None = None,
        min_age: Duration | None = None,
        max_removals: int = 1000,
        regions: Sequence[str] = REGIONS,
        # For pyright, a Topic of aws-cdk-lib is not an ITopic.
        topic: sns.ITopic | sns.Topic | None = None,
        bucket: s3.IBucket | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        path = self.node.path
        check_partition(self)
        check_repository(f"{path}: repository", repository)
        check_member(f"{path}: mode", mode, tuple(RetentionMode))
        check_number(f"{path}: max_removals", max_removals, range(1, 100_001))
        check_list(f"{path}: regions", regions, "Regions, e.g. ['us-east-1']")
        _check_options(path, schedule, min_age, topic, bucket)
        settings: dict[str, Any] = {
            "policy": lifecycle_policy(f"{path}: lifecycle_rules", lifecycle_rules),
            "mode": mode.value,
            "minAgeHours": (min_age or Duration.days(1)).to_seconds() / 3600,
            "maxRemovals": max_removals,
            "regions": list(regions),
        }
        if (name := name_at_synthesis(repository)) is not None and is_known(regions):
            self.node.add_metadata(RETENTION_METADATA, {"repositoryName": name, **settings})
        function = _RetentionFunction.of(self)
        function.allow_on(repository, removes=mode is RetentionMode.DELETE)
        self._bucket = function.own_bucket() if bucket is None else bucket
        function.keep_in(self._bucket)
        settings |= {"repositoryName": repository.repository_name, "bucket": self._bucket.bucket_name}
        if topic is not None:
            topic.grant_publish(function.function)
            settings["topicArn"] = topic.topic_arn
        events.Rule(
            self,
            "Schedule",
            description=f"Retention of {repository.repository_name} in Amazon ECR Public",
            schedule=schedule or events.Schedule.cron(hour="3", minute="0"),
            targets=[targets.LambdaFunction(function.function, event=events.RuleTargetInput.from_object(settings))],
        )

    @property
    def function(self) -> lambda_.IFunction:
        """The function, which all retention constructs of the stack share."""
        return _RetentionFunction.of(self).function

    @property
    def bucket(self) -> s3.IBucket:
        """The bucket with the reports."""
        return self._bucket


def _check_options(path: str, schedule: object, min_age: object, topic: object, bucket: object) -> None:
    """Check the options whose default is None."""
    if schedule is not None:
        check_instance(f"{path}: schedule", schedule, events.Schedule, "an events.Schedule")
    if min_age is not None:
        check_instance(f"{path}: min_age", min_age, Duration, "a Duration, e.g. Duration.days(1)")
    if topic is not None:
        check_kind(f"{path}: topic", topic, "topic_arn", "an sns.Topic")
    if bucket is not None:
        check_kind(f"{path}: bucket", bucket, "bucket_name", "an s3.Bucket")


class _RetentionFunction(ScheduledFunction):
    """The function that the retention of a stack shares, and a bucket if one is needed."""

    ID = "ECRPublicRetention"
    PACKAGE = "retention"
    DESCRIPTION = "Applies lifecycle rules in Amazon ECR Public"
    MEMORY_MIB = 512
    TIMEOUT_MINUTES = 15

    def __init__(self, scope: Construct) -> None:
        super().__init__(scope)
        self._own: s3.Bucket | None = None
        self._buckets: set[str] = set()
        self._allow_reading()

    def _allow_reading(self) -> None:
        stack = Stack.of(self)
        stacks = stack.format_arn(service="cloudformation", region="*", resource="stack", resource_name="*")
        records = stack.format_arn(
            service="ssm", region=RECORD_REGION, resource="parameter", resource_name=f"{RECORD_ROOT}/*"
        )
        self.allow(LOGIN_ACTIONS, ["*"])
        self.allow(STACK_LIST_ACTIONS, ["*"])
        self.allow(STACK_READ_ACTIONS, [stacks])
        self.allow(RECORD_LIST_ACTIONS, [records])

    def allow_on(self, repository: IPublicRepository, *, removes: bool) -> None:
        """Allow the function to read a repository, and to remove images from it."""
        self.allow(RETENTION_REMOVAL_ACTIONS if removes else RETENTION_ACTIONS, [repository.repository_arn])

    def own_bucket(self) -> s3.Bucket:
        """Return the bucket of the stack; create it if there is none."""
        self._own = self._own or s3.Bucket(
            self,
            "Reports",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(prefix=REPORTS_PREFIX, expiration=REPORTS_KEPT)],
            removal_policy=RemovalPolicy.RETAIN,
        )
        return self._own

    def keep_in(self, bucket: s3.IBucket) -> None:
        """Allow the function to keep reports and its state in a bucket."""
        if bucket.bucket_arn in self._buckets:
            return
        self._buckets.add(bucket.bucket_arn)
        state = [bucket.arn_for_objects(f"{prefix}*") for prefix in (LINKS_PREFIX, REMOVALS_PREFIX)]
        self.allow(("s3:GetObject", "s3:PutObject"), state)
        self.allow(("s3:PutObject",), [bucket.arn_for_objects(f"{REPORTS_PREFIX}*")])
        # Without it, S3 denies access to an object that does not exist; a condition on the prefix would, too.
        self.allow(("s3:ListBucket",), [bucket.bucket_arn])
        if bucket.encryption_key is not None:
            bucket.encryption_key.grant_encrypt_decrypt(self._role)


def lifecycle_policy(what: str, rules: Sequence[ecr.LifecycleRule]) -> dict[str, object]:
    """
    Return rules of the CDK as a lifecycle policy of private ECR.

    Raises:
        ValueError: A rule is invalid.
    """
    check_list(what, rules, "ecr.LifecycleRule")
    for number, rule in enumerate(rules):
        if not hasattr(rule, "max_image_count"):
            refuse_kind(f"{what}[{number}]", rule, "an ecr.LifecycleRule")
    # A rule for any images leaves nothing to those after it.
    ordered = sorted(rules, key=lambda rule: _status(rule) == "any")
    taken = {int(rule.rule_priority) for rule in rules if rule.rule_priority is not None}
    free = iter(number for number in range(max(taken, default=0) + 1, max(taken, default=0) + len(rules) + 1))
    policy: dict[str, object] = {
        "rules": [
            _rule(f"{what}[{rules.index(rule)}]", rule, int(rule.rule_priority or next(free))) for rule in ordered
        ]
    }
    try:
        parse_policy(policy)
    except InvalidPropertiesError as error:
        refuse(what, "; ".join(error.problems))
    return policy


def _rule(what: str, rule: ecr.LifecycleRule, priority: int) -> dict[str, object]:
    age, count = rule.max_image_age, rule.max_image_count
    if (age is None) == (count is None):
        refuse(what, "needs either max_image_age or max_image_count")
    counts: dict[str, object] = (
        {"countType": "imageCountMoreThan", "countNumber": int(count)}
        if count is not None
        else {"countType": "sinceImagePushed", "countNumber": int(age.to_days()), "countUnit": "days"}  # type: ignore[union-attr]  # one of both is given
    )
    selection = {
        "tagStatus": _status(rule),
        "tagPrefixList": list(rule.tag_prefix_list or ()) or None,
        "tagPatternList": list(rule.tag_pattern_list or ()) or None,
        **counts,
    }
    return {
        "rulePriority": priority,
        **({"description": rule.description} if rule.description else {}),
        "selection": {name: value for name, value in selection.items() if value is not None},
        "action": {"type": "expire"},
    }


def _status(rule: ecr.LifecycleRule) -> str:
    if rule.tag_status is not None:
        return str(rule.tag_status.value).lower()
    return "tagged" if rule.tag_prefix_list or rule.tag_pattern_list else "any"
