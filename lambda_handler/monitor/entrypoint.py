"""
The Lambda function of the monitor, which a schedule and events of CloudTrail invoke.

``lambda_handler.monitor.entrypoint.handler`` is part of the public contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..aws.errcode import translated
from ..aws.parameters import Parameters
from ..aws.templates import StackReader
from ..clock import Deadline, SystemClock, wall_time
from ..entrypoint import Adapters, Clients, Context
from ..errors import ImageError
from ..log import Log
from ..retry import Retry
from ..spec import Declaration
from ..values import Value
from .ports import StateStore
from .report import Cause, messages
from .run import Run
from .stacks import Stack
from .state import News, State

RESERVE_SECONDS = 20.0
"""Reserved for the state and the messages at the end of a run."""

HINT = "until that is possible, the monitor cannot tell whether images differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    The settings of one monitor, which the schedule sends.

    Shape:
        ``{"monitor": "Agent/Monitor", "stacks": [{"region": "us-east-1", "stack":
        "Agent", "resources": ["Release5A7D8F10"]}], "stateParameter": "…",
        "repair": "true", "topicArn": "arn:aws:sns:…", "cause": {…}}``. A stack
        without ``resources`` stands for all its images.
    """

    monitor: str
    stacks: tuple[tuple[str, str, tuple[str, ...]], ...]
    state_parameter: str
    repairs: bool = False
    topic: str = ""
    cause: Cause | None = None

    @classmethod
    def parse(cls, event: Mapping[str, object]) -> Settings:
        """
        Parse an event.

        Raises:
            InvalidPropertiesError: Has all problems of the first invalid field.
        """
        required = {"monitor", "stacks", "stateParameter"}
        fields = Value(event, "event").fields({*required, "repair", "topicArn", "cause"}, required)
        return cls(
            monitor=fields["monitor"].string(),
            stacks=fields["stacks"].each(_stack),
            state_parameter=fields["stateParameter"].string(),
            repairs="repair" in fields and fields["repair"].boolean(),
            topic=fields["topicArn"].string() if "topicArn" in fields else "",
            cause=Cause.parse(event.get("cause")),
        )


def handler(event: Mapping[str, object], context: Context) -> dict[str, int]:
    """
    Compare the images of a monitor once, and return the counts.

    Raises:
        InvalidPropertiesError: The settings are invalid.
        RemoteError: The state or a message could not be sent. Lambda invokes the
            function again.
    """
    clients, clock = Clients(), SystemClock()
    settings = Settings.parse(event)
    log = Log().bind(monitor=settings.monitor, awsRequestId=context.aws_request_id)
    end = Deadline.after(context.get_remaining_time_in_millis() / 1000 - 1, clock)
    # A permission that is missing is told by the run, not waited for.
    retry = Retry(Deadline(clock, end.expires - RESERVE_SECONDS), log, permissions_may_be_new=False)
    store = Parameter(clients.get("ssm"), settings.state_parameter, Retry(end, log))
    return check(
        Run(stacks=_stacks(settings, clients, retry), log=log, repairs=settings.repairs),
        store,
        lambda news: _tell(news, settings, clients, Retry(end, log)),
        int(wall_time(clock) * 1000),
        context.aws_request_id,
    )


def check(run: Run, store: StateStore, tell: Callable[[News], None], now: int, request: str) -> dict[str, int]:
    """
    Run once, log the counts with their metrics, and tell what is new.

    Args:
        now: In milliseconds since the epoch.
        request: The id of the request, which no other run has.
    """
    text, version = store.read()
    result = run.find()
    findings, before = result.findings, State.decode(text)
    after = before.after(findings, is_complete=result.is_complete).of_run(request)
    if after.stored != before.stored:
        before = _before(after, before, version, store)
    for finding in findings:
        for each in filter(None, (*finding.differences, finding.problem)):
            run.log.warning(f"{finding.owner}: {each}", owner=finding.owner, repository=finding.repository)
    counts = {
        "images": sum(not each.is_stack for each in findings),
        "drift": sum(each.differs for each in findings),
        "unreadable": sum(each.is_unreadable for each in findings),
        "repaired": sum(each.is_repaired for each in findings),
    }
    metrics = [{"Name": name, "Unit": "Count"} for name in ("drift", "unreadable")]
    directive = {"Namespace": "CdkEcrPublic/Monitor", "Dimensions": [["monitor"]], "Metrics": metrics}
    # While a stack is being deployed, its images say nothing, and the metrics keep their last values.
    measured = {} if result.is_deploying else {"_aws": {"Timestamp": now, "CloudWatchMetrics": [directive]}}
    run.log.info(f"{counts['drift']} of {counts['images']} images differ", **counts, **measured)
    try:
        tell(before.news(after, findings))
    except ImageError:
        store.write(before.without_message(findings).encode())
        raise
    return counts


def _before(after: State, before: State, version: int, store: StateStore) -> State:
    """
    Store a state, and return the one before it.

    Another run, of an event at the same time, may have told what it saw. But if
    the response to the first attempt was lost, the version before is our own.
    """
    for earlier in range(store.write(after.encode()) - 1, version, -1):
        found = State.decode(store.read(earlier)[0])
        if found.run != after.run:
            return found
    return before


@dataclass(frozen=True, slots=True)
class Parameter:
    """The state in a Systems Manager parameter."""

    client: Any
    name: str
    retry: Retry

    def read(self, version: int | None = None) -> tuple[str, int]:
        """Return the text and its version."""
        name = self.name if version is None else f"{self.name}:{version}"

        def call() -> tuple[str, int]:
            with translated("ssm:GetParameter"):
                found = self.client.get_parameter(Name=name)["Parameter"]
                return str(found["Value"]), int(found["Version"])

        return self.retry.call(f"reading {name}", call, retry_access_denied=True)

    def write(self, text: str) -> int:
        """Store a text, and return its version."""

        def call() -> int:
            with translated("ssm:PutParameter"):
                return int(self.client.put_parameter(Name=self.name, Value=text, Overwrite=True)["Version"])

        return self.retry.call(f"writing {self.name}", call, retry_access_denied=True)


def _stacks(settings: Settings, clients: Clients, retry: Retry) -> list[Stack]:
    reader = StackReader(client=lambda region: clients.get("cloudformation", region), retry=retry, hint=HINT)

    def connect(declaration: Declaration, region: str) -> Adapters:
        adapters = Adapters(declaration, clients, retry, retry, publishes=False)
        adapters.first_parameters = Parameters(lambda: clients.get("ssm", region), retry, may_wait=False)
        return adapters

    return [
        Stack(reader=reader, region=region, stack=stack, logical_ids=logical_ids, connect=connect)
        for region, stack, logical_ids in settings.stacks
    ]


def _tell(news: News, settings: Settings, clients: Clients, retry: Retry) -> None:
    for subject, text in messages(news, settings.cause):
        retry.log.warning(f"{subject}\n{text}")
        if settings.topic:
            _publish(clients.get("sns", settings.topic.split(":")[3]), settings.topic, subject, text, retry)


def _publish(client: Any, topic: str, subject: str, text: str, retry: Retry) -> None:  # noqa: ANN401 - botocore
    def call() -> None:
        with translated("sns:Publish"):
            client.publish(TopicArn=topic, Subject=subject[:100], Message=text)

    retry.call("notifying the topic", call, retry_access_denied=True)


def _stack(value: Value) -> tuple[str, str, tuple[str, ...]]:
    fields = value.fields(("region", "stack", "resources"), required={"region", "stack"})
    resources = fields["resources"].each(Value.string) if "resources" in fields else ()
    return fields["region"].string(), fields["stack"].string(), resources
