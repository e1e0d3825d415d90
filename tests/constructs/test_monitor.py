"""The events of a monitor and of its schedule, the images that it finds, and its permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App, Environment, NestedStack, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageMonitor, PublicRepository
from lambda_handler.monitor.entrypoint import Settings

DIGEST = "sha256:" + 64 * "0"
ENVIRONMENT = Environment(account="111111111111", region="us-east-1")


def new_stack(app: App | None = None, name: str = "Agent", env: Environment = ENVIRONMENT) -> Stack:
    return Stack(app or App(), name, env=env)


def image(scope: Stack, construct_id: str = "Release", name: str = "acme/agent") -> PublicImage:
    repository_id = f"Of{construct_id}"
    repository = PublicRepository.from_repository_name(scope, repository_id, name)
    return PublicImage(scope, construct_id, repository=repository, source=ImageSource.digest(DIGEST), tags=["1.4"])


def plain(text: Any) -> str:
    """Return a string with a placeholder for what is known only after the deployment."""
    parts = text if isinstance(text, str) else text.get("Fn::Join", ["", [text]])[1]
    return "".join(part if isinstance(part, str) else "known-later" for part in parts)


def sent(template: Template) -> list[dict[str, Any]]:
    """Return the events of the schedules."""
    rules = template.find_resources("AWS::Events::Rule").values()
    inputs = [rule["Properties"]["Targets"][0].get("Input") for rule in rules]
    return [json.loads(plain(each)) for each in inputs if each]


def statements(template: Template) -> dict[str, list[str]]:
    """Return the resources of each action of the monitor's role."""
    found: dict[str, list[str]] = {}
    for name, policy in template.find_resources("AWS::IAM::Policy").items():
        for each in policy["Properties"]["PolicyDocument"]["Statement"] if name.startswith("ECRPublicMonitor") else ():
            actions, resources = each["Action"], each["Resource"]
            for action in [actions] if isinstance(actions, str) else actions:
                found.setdefault(action, []).extend(
                    map(plain, resources if isinstance(resources, list) else [resources])
                )
    return found


def test_the_function_understands_what_the_schedule_sends() -> None:
    stack = new_stack()
    PublicImageMonitor(stack, "Monitor", images=image(stack), repair=True, topic=sns.Topic(stack, "Topic"))

    (message,) = sent(Template.from_stack(stack))
    read = Settings.parse(message)

    assert read.stacks == (("us-east-1", "Agent", ()),)
    assert (read.monitor, read.repairs, read.cause) == ("Agent/Monitor", True, None)
    assert read.topic
    assert read.state_parameter


def test_the_function_understands_what_an_event_sends() -> None:
    stack = new_stack()
    PublicImageMonitor(stack, "Monitor", images=image(stack), on_change=True)
    rules = Template.from_stack(stack).find_resources("AWS::Events::Rule").values()
    (rule,) = [each["Properties"] for each in rules if "EventPattern" in each["Properties"]]
    transformer = rule["Targets"][0]["InputTransformer"]
    detail = {
        "eventName": "PutImage",
        "eventTime": "2026-11-29T08:00:00Z",
        "userIdentity": {"arn": "arn:aws:iam::111111111111:user/mary"},
        "requestParameters": {"repositoryName": "acme/agent", "imageTag": "latest"},
    }
    text = plain(transformer["InputTemplate"])
    for name, path in transformer["InputPathsMap"].items():
        text = text.replace(f"<{name}>", json.dumps(detail[path.removeprefix("$.detail.")]))
    read = Settings.parse(json.loads(text))

    assert str(read.cause) == "PutImage by arn:aws:iam::111111111111:user/mary at 2026-11-29T08:00:00Z"
    assert rule["EventPattern"] == {
        "source": ["aws.ecr-public"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": ["ecr-public.amazonaws.com"],
            "eventName": ["PutImage", "BatchDeleteImage"],
            "errorCode": [{"exists": False}],
            "requestParameters": {"repositoryName": ["acme/agent"]},
        },
    }


def one(stack: Stack) -> object:
    return image(stack)


def several(stack: Stack) -> object:
    return [image(stack), image(stack, "Other", "acme/tools")]


@pytest.mark.parametrize(("choose", "number"), [(one, 1), (several, 2), (lambda stack: [image(stack), stack][1], None)])
def test_accepts_an_image_a_list_or_a_scope(choose: Callable[[Stack], Any], number: int | None) -> None:
    stack = new_stack()
    PublicImageMonitor(stack, "Monitor", images=choose(stack))
    later = image(stack, "Later", "acme/later")

    template = Template.from_stack(stack)
    ((_, name, resources),) = Settings.parse(sent(template)[0]).stacks
    repositories = statements(template)["ecr-public:DescribeImages"]

    assert name == "Agent"
    # Without a list, this means all images of the stack.
    assert len(resources) == (number or 0)
    assert any("acme/later" in each for each in repositories) is (number is None)
    assert stack.resolve(later.node.default_child.logical_id) not in resources  # type: ignore[union-attr]


def test_accepts_images_of_several_stacks_and_of_nested_ones() -> None:
    app = App()
    first, monitored = new_stack(app, "First"), new_stack(app, "Monitored")
    nested = NestedStack(monitored, "Nested")
    image(first, name="acme/first")
    image(nested, name="acme/nested")
    PublicImageMonitor(monitored, "Monitor", images=app)
    template = Template.from_stack(monitored)

    names = {name: resources for _, name, resources in Settings.parse(sent(template)[0]).stacks}
    stacks = statements(template)["cloudformation:GetTemplate"]

    # The nested stack is named by its id, which is known after the deployment.
    assert names == {"First": (), "known-later": ()}
    assert any(each.endswith(":cloudformation:us-east-1:111111111111:stack/First/*") for each in stacks)
    assert len(stacks) == 2


def test_monitors_of_a_stack_share_the_function_but_not_their_state() -> None:
    stack = new_stack()
    for name in ("First", "Second"):
        PublicImageMonitor(stack, f"{name}Monitor", images=image(stack, name, f"acme/{name.lower()}"))
    template = Template.from_stack(stack)
    parameters = template.find_resources("AWS::SSM::Parameter")

    # In addition to the function that publishes.
    template.resource_count_is("AWS::Lambda::Function", 2)
    assert len(parameters) == 2
    assert all(each["Properties"]["Value"] == "{}" for each in parameters.values())
    assert [len(each["stacks"][0]["resources"]) for each in sent(template)] == [1, 1]


def test_without_repairs_the_function_may_only_read() -> None:
    def actions(**options: Any) -> set[str]:
        stack = new_stack()
        PublicImageMonitor(stack, "Monitor", images=image(stack), **options)
        return set(statements(Template.from_stack(stack)))

    reading = {
        "cloudformation:DescribeStacks",
        "cloudformation:GetTemplate",
        "cloudformation:ListStackResources",
        "ecr-public:DescribeImages",
        "ecr-public:DescribeRepositories",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ssm:GetParameter",
        "ssm:PutParameter",
    }
    assert actions() == reading
    assert actions(on_change=True, alarms=True) == reading
    assert actions(repair=True) - reading == {
        "ecr-public:PutImage",
        "ecr-public:GetAuthorizationToken",
        "sts:GetServiceBearerToken",
    }


def test_writes_only_its_own_state_and_reads_only_its_own_stacks() -> None:
    stack = new_stack()
    PublicImageMonitor(stack, "Monitor", images=image(stack))
    found = statements(Template.from_stack(stack))

    assert found["ssm:PutParameter"] == ["arn:known-later:ssm:us-east-1:111111111111:parameter/known-later"]
    assert found["cloudformation:DescribeStacks"] == [
        "arn:known-later:cloudformation:us-east-1:111111111111:stack/Agent/*"
    ]
    assert found["ecr-public:DescribeImages"] == ["arn:known-later:ecr-public::111111111111:repository/acme/agent"]


def test_looks_up_a_registry_that_is_named_by_its_alias() -> None:
    stack = new_stack()
    repository = PublicRepository.from_repository_name(stack, "Repository", "acme/agent", registry_id="acme")
    release = PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST))
    PublicImageMonitor(stack, "Monitor", images=release)

    found = statements(Template.from_stack(stack))
    assert found["ecr-public:DescribeRegistries"] == ["arn:known-later:ecr-public::111111111111:registry/111111111111"]


def test_hundreds_of_images_fit() -> None:
    stack = new_stack()
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    for number in range(120):
        PublicImage(stack, f"I{number}", repository=repository, source=ImageSource.digest(DIGEST), tags=[f"v{number}"])
    PublicImageMonitor(stack, "Monitor", images=stack, on_change=True)

    assert len(json.dumps(sent(Template.from_stack(stack))[0])) < 500


def test_many_repositories_become_one_statement_and_no_filter() -> None:
    stack = new_stack()
    for number in range(60):
        image(stack, f"I{number}", f"acme/{'long-' * 6}{number}")
    PublicImageMonitor(stack, "Monitor", images=stack, on_change=True)
    template = Template.from_stack(stack)
    text = json.dumps(template.find_resources("AWS::Events::Rule"))

    assert statements(template)["ecr-public:DescribeImages"] == [
        "arn:known-later:ecr-public::111111111111:repository/*"
    ]
    assert '"requestParameters": {"repositoryName": [{"exists": true}]}' in text


def test_the_metrics_match_the_log_and_alarms_use_them() -> None:
    stack = new_stack()
    monitor = PublicImageMonitor(stack, "Monitor", images=image(stack), alarms=True)
    drift, unreadable = monitor.metric_drift(), monitor.metric_unreadable(statistic="Sum")

    assert (drift.namespace, drift.metric_name, drift.dimensions) == (
        "CdkEcrPublic/Monitor",
        "drift",
        {"monitor": "Agent/Monitor"},
    )
    assert (unreadable.metric_name, unreadable.statistic) == ("unreadable", "Sum")
    alarms = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
    assert sorted(each["Properties"]["MetricName"] for each in alarms) == ["drift", "unreadable"]


def test_the_default_schedule_is_hourly_and_can_be_changed() -> None:
    stack = new_stack()
    PublicImageMonitor(stack, "First", images=image(stack))
    PublicImageMonitor(
        stack, "Second", images=image(stack, "Other", "acme/tools"), schedule=events.Schedule.cron(minute="0", hour="3")
    )
    rules = Template.from_stack(stack).find_resources("AWS::Events::Rule").values()

    assert sorted(each["Properties"]["ScheduleExpression"] for each in rules) == ["cron(0 3 * * ? *)", "rate(1 hour)"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "Release"}, "images: 'Release' is a str; expected a PublicImage, a list of them, or a construct"),
        ({"images": [1]}, "images: 1 is an int; expected a PublicImage"),
        ({"repair": "yes"}, "repair: 'yes' is a str; expected True or False"),
        ({"on_change": 1}, "on_change: 1 is an int; expected True or False"),
        ({"topic": "alerts"}, "topic: 'alerts' is a str; expected an sns.Topic"),
    ],
)
def test_an_error_names_the_mistake(options: dict[str, Any], message: str) -> None:
    stack = new_stack()
    with pytest.raises(ValueError, match=message):
        PublicImageMonitor(stack, "Monitor", **{"images": image(stack), **options})


def test_events_are_available_in_only_one_region() -> None:
    stack = new_stack(env=Environment(account="111111111111", region="eu-west-1"))
    with pytest.raises(ValueError, match="on_change: the stack is in eu-west-1, but CloudTrail reports calls"):
        PublicImageMonitor(stack, "Monitor", images=image(stack), on_change=True)


def test_refuses_a_monitor_without_images() -> None:
    stack = new_stack()
    PublicImageMonitor(stack, "Monitor", images=stack)
    with pytest.raises(RuntimeError, match="Agent/Monitor: images: there is no PublicImage to monitor"):
        Template.from_stack(stack)


def test_refuses_images_of_another_account() -> None:
    app = App()
    other = new_stack(app, "Other", Environment(account="222222222222", region="us-east-1"))
    stack = new_stack(app)
    PublicImageMonitor(stack, "Monitor", images=image(other))
    with pytest.raises(RuntimeError, match="stack 'Other' is in account 222222222222, but the monitor in 111111111111"):
        app.synth()


def test_refuses_a_list_that_is_too_long_for_an_event() -> None:
    stack = new_stack()
    images = [image(stack, f"ImageWithAVeryLongNameIndeedForOnce{number}", f"acme/{number}") for number in range(200)]
    PublicImageMonitor(stack, "Monitor", images=images[:199])
    with pytest.raises(RuntimeError, match=r"images: the list has \d+ characters, at most 8000 are allowed"):
        Template.from_stack(stack)


def test_refuses_repairs_of_too_many_repositories() -> None:
    stack = new_stack()
    for number in range(51):
        image(stack, f"I{number}", f"acme/{number}")
    PublicImageMonitor(stack, "Monitor", images=stack, repair=True)
    with pytest.raises(RuntimeError, match="repair: the images are in more than 50 repositories"):
        Template.from_stack(stack)
