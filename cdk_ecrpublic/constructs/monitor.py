"""The monitor: a scheduled function that notices when a deployed tag was moved by someone else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from aws_cdk import Aspects, CfnResource, Duration, IAspect, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IValidation

from ._monitor_function import MonitorFunction, MonitorGrants
from ._monitored_images import Selection, lazy, roots_of
from ._signature import shows_parameters
from ._validation.image import check_partition
from ._validation.values import check_flag, check_instance, check_kind, is_known, refuse
from .public_image import PublicImage

EVENTS_REGION = "us-east-1"
"""CloudTrail reports the calls of ECR Public there."""


@shows_parameters
class PublicImageMonitor(Construct):
    """
    Notices when a deployed tag was moved or removed by someone else.

    CloudFormation does not detect drift of custom resources. A scheduled
    function compares what the stacks have deployed with the registry, in the
    words of ``cdk-ecrpublic verify``. It sends one message for a difference, and
    one when it is over. A registry that cannot be read is a message, too. While a
    stack is being deployed, its images are not compared, so deployments cause no
    message.

    ```python
    from aws_cdk import aws_sns as sns

    release = PublicImage(
        self, "Release",
        repository=PublicRepository.from_repository_name(self, "Agent", "acme/agent"),
        source=ImageSource.digest("sha256:9f2c…"),
        tags=["1.4.2", "latest"],
    )
    PublicImageMonitor(self, "Monitor", images=release, topic=sns.Topic(self, "Alerts"))
    ```

    Args:
        images: An image, a list of images, or a construct (a catalog, a stack, an
            app) with images below it, also those that are added later.
        schedule: When the function runs. Default: every hour.
        on_change: Also run when CloudTrail reports that an image was put or
            deleted in one of the repositories, and name the caller in the message.
            Only in us-east-1, and only if the account has a trail. Default: False.
        repair: Put tags back that differ. Default: False; the function has no
            permission to write.
        topic: Gets the messages. Default: none; they are in the log.
        alarms: Create two alarms, one for images that differ and one for images
            that could not be compared. Default: False.

    Raises:
        ValueError: A value has the wrong type, *on_change* is used outside
            us-east-1, or an image is in another account.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        images: PublicImage | Construct | Sequence[PublicImage],
        schedule: events.Schedule | None = None,
        on_change: bool = False,
        repair: bool = False,
        # For pyright, a Topic of aws-cdk-lib is not an ITopic.
        topic: sns.ITopic | sns.Topic | None = None,
        alarms: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        path = self.node.path
        check_partition(self)
        for name, value in (("on_change", on_change), ("repair", repair), ("alarms", alarms)):
            check_flag(f"{path}: {name}", value)
        if topic is not None:
            check_kind(f"{path}: topic", topic, "topic_arn", "an sns.Topic")
        if schedule is not None:
            check_instance(f"{path}: schedule", schedule, events.Schedule, "an events.Schedule")
        self._selection = Selection(self, roots_of(f"{path}: images", images), repairs=repair)
        self.node.add_validation(cast("IValidation", self._selection))
        shared = MonitorFunction.of(self)
        self._function = shared.function
        state = ssm.StringParameter(
            self, "State", string_value="{}", description=f"What {path} has told; the function writes it"
        )
        Aspects.of(self).add(cast("IAspect", MonitorGrants(self, shared, self._selection, state, repairs=repair)))
        settings = {
            "monitor": path,
            "stacks": lazy(self._selection.stacks),
            "stateParameter": state.parameter_name,
            "repair": repair,
        }
        if topic is not None:
            topic.grant_publish(self._function)
            settings["topicArn"] = topic.topic_arn
        self._rule("Schedule", settings, schedule=schedule or events.Schedule.rate(Duration.hours(1)))
        if on_change:
            self._run_on_change(settings)
        if alarms:
            self._add_alarm("DriftAlarm", self.metric_drift(), "differ from their declaration")
            self._add_alarm("UnreadableAlarm", self.metric_unreadable(), "could not be compared")

    @property
    def function(self) -> lambda_.IFunction:
        """The function, which all monitors of the stack share."""
        return self._function

    def metric_drift(self, *, period: Duration | None = None, statistic: str = "Maximum") -> cloudwatch.Metric:
        """
        Return the number of images that differ from their declaration.

        Args:
            period: Default: one hour.
            statistic: See ``cloudwatch.Stats``.
        """
        return self._metric("drift", period, statistic)

    def metric_unreadable(self, *, period: Duration | None = None, statistic: str = "Maximum") -> cloudwatch.Metric:
        """
        Return the number of images and stacks that could not be read.

        Args:
            period: Default: one hour.
            statistic: See ``cloudwatch.Stats``.
        """
        return self._metric("unreadable", period, statistic)

    def _metric(self, name: str, period: Duration | None, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="CdkEcrPublic/Monitor",
            metric_name=name,
            dimensions_map={"monitor": self.node.path},
            period=period or Duration.hours(1),
            statistic=statistic,
        )

    def _add_alarm(self, construct_id: str, metric: cloudwatch.Metric, what: str) -> None:
        metric.create_alarm(
            self,
            construct_id,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # A run during a deployment reports no number, and a schedule may be rarer than the period.
            treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
            alarm_description=f"Images of Amazon ECR Public {what}: {self.node.path}",
        )

    def _rule(self, construct_id: str, message: Mapping[str, object], **options: Any) -> events.Rule:  # noqa: ANN401
        target = targets.LambdaFunction(self._function, event=events.RuleTargetInput.from_object(message))
        description = f"Compares images of Amazon ECR Public with their declaration: {self.node.path}"
        return events.Rule(self, construct_id, description=description, targets=[target], **options)

    def _run_on_change(self, settings: Mapping[str, object]) -> None:
        region = Stack.of(self).region
        if is_known(region) and region != EVENTS_REGION:
            refuse(
                f"{self.node.path}: on_change",
                f"the stack is in {region}, but CloudTrail reports calls of ECR Public in {EVENTS_REGION} only; "
                "move the monitor to a stack there, or omit on_change",
            )
        names = ("eventName", "eventTime", "userIdentity", "requestParameters")
        cause = {name: events.EventField.from_path(f"$.detail.{name}") for name in names}
        pattern = events.EventPattern(
            source=["aws.ecr-public"],
            detail_type=["AWS API Call via CloudTrail"],
            detail={
                "eventSource": ["ecr-public.amazonaws.com"],
                "eventName": ["PutImage", "BatchDeleteImage"],
                "errorCode": [{"exists": False}],
            },
        )
        rule = self._rule("Changes", {**settings, "cause": cause}, event_pattern=pattern)
        resource = cast("CfnResource", rule.node.default_child)
        names_of = lazy(self._selection.repository_filter)
        resource.add_property_override("EventPattern.detail.requestParameters", names_of)
