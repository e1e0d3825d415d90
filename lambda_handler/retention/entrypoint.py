"""
The Lambda function of retention, which a schedule invokes for one repository.

``lambda_handler.retention.entrypoint.handler`` is part of the public contract.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..aws.errcode import translated
from ..aws.parameters import Parameters
from ..clock import Deadline, SystemClock, wall_time
from ..ecr_public import find_repository
from ..entrypoint import Clients, Context
from ..errors import ImageError, InvalidPropertiesError
from ..log import Log
from ..oci import parse_repository_name
from ..registry import RegistryClient, RegistryRepository, Transport
from ..registry.logins import ECR_PUBLIC_REGION
from ..retry import Retry
from ..values import Value
from .decision import Retention
from .lifecycle import LifecycleRule, parse_policy
from .report import as_data, summary
from .run import Report, Run
from .service import Bucket, ListedRepository
from .stacks import Stacks
from .state import REPORTS_PREFIX

RESERVE_SECONDS = 60.0
"""Reserved for what the next run needs, and then for the report, half of it each."""

REPORT, DELETE = "REPORT", "DELETE"

METRICS = ("expired", "unreadable")
"""The counts that are metrics, too. CloudWatch charges for each metric of each repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    The settings of one repository, which the schedule sends.

    Shape:
        ``{"repositoryName": "acme/agent", "policy": {"rules": [{…}]}, "mode":
        "REPORT", "minAgeHours": 24, "maxRemovals": 1000, "regions": ["us-east-1"],
        "bucket": "reports", "topicArn": "arn:aws:sns:…"}``

    Attributes:
        deletes: Whether images are removed, or only reported.
        limit: How many images one run removes.
        bucket: The bucket for the state and the reports; empty for none.
        topic: The ARN of the topic to notify; empty for none.
    """

    repository: str
    rules: tuple[LifecycleRule, ...]
    deletes: bool
    min_age_seconds: float
    limit: int
    regions: tuple[str, ...]
    bucket: str = ""
    topic: str = ""

    @classmethod
    def parse(cls, event: Mapping[str, object]) -> Settings:
        """
        Parse an event.

        Raises:
            InvalidPropertiesError: Has all problems of the first invalid field.
        """
        required = {"repositoryName", "policy", "regions"}
        allowed = {*required, "mode", "minAgeHours", "maxRemovals", "bucket", "topicArn"}
        fields = Value(event, "event").fields(allowed, required)
        return cls(
            repository=fields["repositoryName"].parse(parse_repository_name),
            rules=parse_policy(fields["policy"].data),
            deletes="mode" in fields and fields["mode"].choice((REPORT, DELETE)) == DELETE,
            min_age_seconds=_number(event, "minAgeHours", 24, minimum=0) * 3600,
            limit=int(_number(event, "maxRemovals", 1000, minimum=1)),
            regions=fields["regions"].each(Value.string),
            bucket=fields["bucket"].string() if "bucket" in fields else "",
            topic=fields["topicArn"].string() if "topicArn" in fields else "",
        )


def handler(event: Mapping[str, object], context: Context) -> dict[str, object]:
    """
    Run for one repository, and return the counts.

    Raises:
        InvalidPropertiesError: The settings are invalid.
    """
    clients, clock = Clients(), SystemClock()
    settings = Settings.parse(event)
    log = Log().bind(repository=settings.repository, awsRequestId=context.aws_request_id)
    deadline = Deadline.after(context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS, clock)
    now = wall_time(clock)
    report = _run(settings, clients, Retry(deadline, log, permissions_may_be_new=False), now)
    publishing = Publishing(settings, clients, Retry(Deadline.after(RESERVE_SECONDS / 2, clock), log))
    return publishing.publish(report, now, context.aws_request_id)


def _run(settings: Settings, clients: Clients, retry: Retry, now: float) -> Report:
    try:
        run = make_run(settings, clients, retry, now)
    except ImageError as error:
        return Report(repository=settings.repository, problem=f"nothing is removed: {error.explain()}")
    return run.remove() if settings.deletes else run.report()


def make_run(settings: Settings, clients: Clients, retry: Retry, now: float, *, with_state: bool = True) -> Run:
    """
    Connect a run to AWS.

    Args:
        with_state: Whether to use and keep the links of manifests, and the removals that have begun, in the bucket.
    """
    # What was read until the deadline is stored after it.
    storing = replace(retry, deadline=Deadline(retry.deadline.clock, retry.deadline.expires + RESERVE_SECONDS / 2))
    client = clients.get("ecr-public", ECR_PUBLIC_REGION)
    location = find_repository(client, None, settings.repository, retry)
    login = clients.logins.ecr_public(location.repository)
    registry = RegistryClient(Transport(clients.pool, retry.deadline), login.auth)
    repository = ListedRepository(
        client=client,
        registry_id=location.registry_id,
        name=location.name,
        repository=location.repository,
        registry=RegistryRepository(registry, login.repository, retry),
        retry=retry,
    )
    records = Parameters(lambda: clients.get("ssm", ECR_PUBLIC_REGION), retry)
    stacks = Stacks(
        client=lambda region: clients.get("cloudformation", region),
        regions=settings.regions,
        records=lambda path: records.list(path, recursive=True),
        account=location.registry_id,
        repository=location.name,
        retry=retry,
    )
    return Run(
        repository=repository,
        declarations=stacks,
        retention=Retention(rules=settings.rules, min_age_seconds=settings.min_age_seconds),
        storage=_bucket(settings, clients, storing) if with_state else None,
        retry=retry,
        now=now,
        limit=settings.limit,
    )


@dataclass(frozen=True, slots=True)
class Publishing:
    """Publishes the report of a run."""

    settings: Settings
    clients: Clients
    retry: Retry

    def publish(self, report: Report, now: float, request: str) -> dict[str, object]:
        """Log the summary with its metrics, store the list, and notify a topic if there is something to say."""
        counts = summary(report)
        metrics = [{"Name": name, "Unit": "Count"} for name in METRICS]
        directive = {"Namespace": "CdkEcrPublic/Retention", "Dimensions": [["repository"]], "Metrics": metrics}
        log = self.retry.log
        tell = log.warning if report.problem else log.info
        tell(str(report), **counts, _aws={"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]})
        # Lambda would repeat a run that raises an error, with all its removals.
        try:
            if bucket := _bucket(self.settings, self.clients, self.retry):
                counts["report"] = self._store(report, bucket, now, request)
        except ImageError as error:
            log.warning(f"the report could not be stored: {error.explain()}")
        try:
            if self.settings.topic and (report.problem or report.going):
                self._notify(report, counts)
        except ImageError as error:
            log.warning(f"the topic could not be notified: {error.explain()}")
        return counts

    def _store(self, report: Report, bucket: Bucket, now: float, request: str) -> str:
        """Store the list, and return its address. The id of the request tells runs of the same second apart."""
        time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        key = f"{REPORTS_PREFIX}{report.repository}/{time}-{request}.json"
        bucket.write(key, json.dumps(as_data(report, now), indent=1).encode())
        address = f"s3://{bucket.name}/{key}"
        self.retry.log.info(f"the whole list is in {address}")
        return address

    def _notify(self, report: Report, counts: Mapping[str, object]) -> None:
        topic = self.settings.topic
        client = self.clients.get("sns", topic.split(":")[3])
        text = f"{report}\n\n{json.dumps(counts, indent=2)}\n"

        def call() -> None:
            with translated("sns:Publish"):
                client.publish(TopicArn=topic, Subject=f"Retention of {report.repository}"[:100], Message=text)

        self.retry.call("notifying the topic", call)


def _bucket(settings: Settings, clients: Clients, retry: Retry) -> Bucket | None:
    return Bucket(client=clients.get("s3"), name=settings.bucket, retry=retry) if settings.bucket else None


def _number(event: Mapping[str, object], name: str, default: float, *, minimum: float) -> float:
    value = event.get(name, default)
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= minimum:
        return value
    raise InvalidPropertiesError([f"{name}: is {value!r}; expected a number, at least {minimum}"])
