"""The function acts on a request only while CloudFormation waits for the response."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lambda_handler.errors import DeliveryError
from tests.protocol.cloudformation import Answer, check
from tests.support.course import Course, Delivery, Deployment
from tests.support.deployment import DeployedStack
from tests.support.scene import DESTROY, HOME, OPTIONS, TWO_KINDS, Kind, Options, Scene, declare, template

INSTANCES = pytest.mark.parametrize("instance", ["warm", "cold"])

LONG = {"ServiceTimeout": 3600}


def deliver(scene: Scene, stack: DeployedStack, event: Mapping[str, Any], instance: str = "cold") -> Answer:
    """Deliver a request, for the first time or again."""
    if instance == "cold":
        scene.start_cold()
    return stack.cloudformation.send(event)


def assert_refused_as_late(scene: Scene, stack: DeployedStack, event: Mapping[str, Any]) -> None:
    """Assert that a request is refused because it is late, and changes nothing."""
    with scene.nothing_changes():
        answer = deliver(scene, stack, event)
    assert not answer.succeeded
    assert "late" in answer.reason
    assert answer.physical_id == event.get("PhysicalResourceId", answer.physical_id)


def update_and_roll_back(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options, delivery: Delivery | None = None
) -> Deployment:
    """Deploy the first image and then the second, which is rolled back."""
    first = scene.release(kind, "first")
    stack.deploy(template(stack, Agent=declare(first, "latest", **options, **LONG)))
    second = scene.release(kind, "second")
    course = Course(other_fails_after=1, deliveries=[delivery or Delivery()])
    undone = stack.deploy(template(stack, Agent=declare(second, "latest", Refresh="1", **options, **LONG)), course)
    assert undone.status == "ROLLBACK_COMPLETE"
    return undone


@TWO_KINDS
@OPTIONS
def test_l1_an_update_that_is_delivered_again_after_the_rollback_writes_nothing(
    scene: Scene, stack: DeployedStack, kind: Kind, options: Options
) -> None:
    """Two minutes later, the request goes to another instance, which has not seen it before."""
    undone = update_and_roll_back(scene, stack, kind, options)
    scene.clock.pass_by(120)

    assert_refused_as_late(scene, stack, undone.changes[0].event)


@OPTIONS
def test_l1_the_instance_that_responded_repeats_its_response(
    scene: Scene, stack: DeployedStack, options: Options
) -> None:
    undone = update_and_roll_back(scene, stack, "digest", options)
    scene.clock.pass_by(120)

    with scene.nothing_changes():
        again = deliver(scene, stack, undone.changes[0].event, "warm")

    assert again == undone.changes[0].answer
    assert scene.sandbox.requests.all() == []
    assert scene.plane.requests == []


def test_l1_a_failure_is_repeated_with_the_same_reason(scene: Scene, stack: DeployedStack) -> None:
    wrong = {**declare(scene.push("first"), "latest"), "Source": {"Digest": "sha256:" + "0" * 64}}
    failed = stack.deploy(template(stack, Agent=wrong))
    scene.clock.pass_by(60)

    with scene.nothing_changes():
        again = deliver(scene, stack, failed.changes[0].event, "warm")

    assert not again.succeeded
    assert again == failed.changes[0].answer


@INSTANCES
@OPTIONS
def test_l1_a_create_that_is_delivered_again_after_the_rollback_writes_nothing(
    scene: Scene, stack: DeployedStack, options: Options, instance: str
) -> None:
    scene.push("by hand", "latest")
    first = scene.release("digest", "first")
    undone = stack.deploy(
        template(stack, Agent=declare(first, "latest", **options, **LONG)), Course(other_fails_after=1)
    )
    scene.clock.pass_by(120)

    with scene.nothing_changes():
        deliver(scene, stack, undone.changes[0].event, instance)


@INSTANCES
def test_l1_a_delete_that_is_delivered_again_after_a_new_deployment_removes_nothing(
    scene: Scene, stack: DeployedStack, instance: str
) -> None:
    """In the same stack, the resource was dropped and is declared again."""
    first = scene.release("copy", "first")
    declared = template(stack, Agent=declare(first, "latest", **DESTROY, **LONG))
    stack.deploy(declared)
    stack.deploy({})
    delete = stack.sent[-1]
    assert (delete["RequestType"], scene.tags()) == ("Delete", {})
    stack.deploy(declared)

    with scene.nothing_changes():
        deliver(scene, stack, delete, instance)


@pytest.mark.parametrize(("signature", "timeout"), [("v4", 300), ("v4", 3600), ("v2", 300)])
@OPTIONS
def test_l2_a_create_that_is_hours_late_writes_nothing(
    scene: Scene, stack: DeployedStack, options: Options, timeout: int, signature: Any
) -> None:
    stack.cloudformation.signature = signature
    first = scene.release("copy", "first")
    properties = declare(first, "latest", **options, ServiceTimeout=timeout)

    undone = stack.deploy(template(stack, Agent=properties), Course(deliveries=[Delivery(lost="request")]))
    assert stack.status == "ROLLBACK_COMPLETE"
    scene.clock.pass_by(5000 - timeout)

    assert_refused_as_late(scene, stack, undone.changes[0].event)


def test_l2_the_date_of_the_signature_alone_shows_that_a_request_is_late(scene: Scene, stack: DeployedStack) -> None:
    """The function does not need the status of the stack, which it may not read here."""
    scene.plane.denied |= {"DescribeStacks", "DescribeStackResource"}
    event = stack.cloudformation.event("Create", declare(scene.push("first"), "latest"))
    scene.clock.pass_by(301)

    assert_refused_as_late(scene, stack, event)


@pytest.mark.parametrize("signature", ["v4", "v2"])
def test_l2_a_request_without_delay_is_acted_on(scene: Scene, stack: DeployedStack, signature: Any) -> None:
    stack.cloudformation.signature = signature

    stack.deploy(template(stack, Agent=declare(scene.release("copy", "first"), "latest")))

    assert scene.tags() == {"latest": "first"}


def test_l2_a_request_without_a_date_is_acted_on(scene: Scene, stack: DeployedStack) -> None:
    """Emulators of AWS do not sign the URL."""
    stack.cloudformation.clock = None

    stack.deploy(template(stack, Agent=declare(scene.release("copy", "first"), "latest")))

    assert scene.tags() == {"latest": "first"}


def test_l2_a_delete_that_is_hours_late_removes_nothing(scene: Scene, stack: DeployedStack) -> None:
    """The stack could not be deleted, was then deleted by a second request, and was created again."""
    first = scene.release("copy", "first")
    declared = template(stack, Agent=declare(first, "latest", **DESTROY))
    stack.deploy(declared)
    resource = stack.resources["Agent"]
    late = stack.cloudformation.event("Delete", resource.properties, "Agent", resource.physical_id)
    scene.clock.pass_by(400)
    assert stack.destroy()
    stack.deploy(declared)

    assert_refused_as_late(scene, stack, late)


WAITED = Delivery(lost="request", given_up_after=40)
"""Lambda has no free instance. Another resource fails, and CloudFormation continues without a response."""


@pytest.mark.parametrize(
    ("stack_status", "resource_status"),
    [
        ("UPDATE_ROLLBACK_COMPLETE", None),
        ("UPDATE_ROLLBACK_IN_PROGRESS", None),
        ("UPDATE_IN_PROGRESS", None),
        ("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"),
        ("DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS"),
    ],
    ids=["rollback complete", "rollback in progress", "the next deployment", "the next request", "the deletion"],
)
@OPTIONS
def test_l3_an_update_that_was_queued_until_the_rollback_ended_writes_nothing(
    scene: Scene, stack: DeployedStack, options: Options, stack_status: str, resource_status: str | None
) -> None:
    undone = update_and_roll_back(scene, stack, "digest", options, WAITED)
    assert scene.tags() == {"latest": "first"}
    scene.clock.pass_by(20)
    if stack_status != stack.status:
        stack.record.enter(stack_status)
    if resource_status:
        stack.record.change("Agent", resource_status)
    scene.clock.pass_by(20)

    assert_refused_as_late(scene, stack, undone.changes[0].event)


@pytest.mark.parametrize("seconds", [29, 31, 200])
@TWO_KINDS
def test_l3_a_queued_request_is_acted_on_while_cloudformation_waits(
    scene: Scene, stack: DeployedStack, kind: Kind, seconds: float
) -> None:
    """This applies to Create, Update and Delete."""
    waits = Course(deliveries=[Delivery(queued_seconds=seconds)])
    first = scene.release(kind, "first")
    stack.deploy(template(stack, Agent=declare(first, "latest", **DESTROY)), waits)
    assert scene.tags() == {"latest": "first"}

    second = scene.release(kind, "second")
    stack.deploy(template(stack, Agent=declare(second, "latest", Refresh="1", **DESTROY)), waits)
    assert scene.tags() == {"latest": "second"}

    resource = stack.resources["Agent"]
    stack.record.enter("DELETE_IN_PROGRESS")
    stack.record.change("Agent", "DELETE_IN_PROGRESS")
    event = stack.cloudformation.event("Delete", resource.properties, "Agent", resource.physical_id)
    scene.clock.pass_by(seconds)
    assert deliver(scene, stack, event).succeeded
    assert scene.tags() == {}


@INSTANCES
@OPTIONS
def test_l4_a_lost_confirmation_does_not_repeat_the_work(
    scene: Scene, stack: DeployedStack, options: Options, instance: str
) -> None:
    """The function failed, so Lambda repeats the request a minute or two later, after the rollback."""
    undone = update_and_roll_back(scene, stack, "digest", options, Delivery(lost="confirmation"))
    assert undone.changes[0].succeeded
    scene.clock.pass_by(90)

    with scene.nothing_changes():
        deliver(scene, stack, undone.changes[0].event, instance)


@INSTANCES
def test_l4_a_request_that_is_repeated_while_cloudformation_waits_is_answered(
    scene: Scene, stack: DeployedStack, instance: str
) -> None:
    """The first response was lost. The second one must not be."""
    stack.record.enter("CREATE_IN_PROGRESS")
    stack.record.change("Agent", "CREATE_IN_PROGRESS")
    event = stack.cloudformation.event("Create", declare(scene.push("first"), "latest"), "Agent")
    address = scene.address
    address.expired.add(event["RequestId"])
    with pytest.raises(DeliveryError):
        stack.cloudformation.function(event, 900)
    address.expired.clear()
    scene.clock.pass_by(60)

    answer = deliver(scene, stack, event, instance)

    assert answer.succeeded
    assert scene.tags() == {"latest": "first"}


def slow_puts(scene: Scene, seconds: float) -> None:
    """Make each put of a tag take this long."""
    scene.hooks.before("PutImage", lambda: scene.clock.pass_by(seconds), times=None)


@pytest.mark.parametrize("queued", [200, 250, 260, 290])
@pytest.mark.parametrize("seconds", [5, 12])
def test_l5_the_response_is_in_time_although_the_request_was_queued(
    scene: Scene, stack: DeployedStack, queued: float, seconds: float
) -> None:
    """CloudFormation waits 300 seconds after it sent the request. Twenty tags take longer than the remaining time."""
    tags = [f"t{number}" for number in range(20)]
    slow_puts(scene, seconds)
    properties = declare(scene.push("first"), *tags)

    failed = stack.deploy(template(stack, Agent=properties), Course(deliveries=[Delivery(queued_seconds=queued)]))

    record = stack.record
    sent = next(
        event.at for event in record.events if event.status == "CREATE_IN_PROGRESS" and event.logical_id == "Agent"
    )
    ended = next(event.at for event in record.events if event.status in {"CREATE_FAILED", "CREATE_COMPLETE"})
    assert ended - sent <= 300
    answer = failed.changes[0].answer
    assert answer is not None
    assert answer.succeeded == (len(scene.tags()) == 20)
    assert answer.succeeded or answer.reason.startswith(("DEADLINE", "RELEASE_FAILED"))


def test_l5_a_request_that_was_not_queued_has_the_whole_time(scene: Scene, stack: DeployedStack) -> None:
    tags = [f"t{number}" for number in range(20)]
    slow_puts(scene, 12)

    done = stack.deploy(template(stack, Agent=declare(scene.push("first"), *tags)))

    assert done.status == "COMPLETE"
    assert len(scene.tags()) == 20


MOMENTS = pytest.mark.parametrize(
    ("moment", "operation"),
    [("before", "DescribeImages"), ("after", "DescribeImages"), ("before", "PutImage"), ("after", "PutImage")],
    ids=["before it reads", "after it has read", "before it puts", "after it has put"],
)


@MOMENTS
@OPTIONS
def test_l1_a_creation_that_is_delivered_twice_concurrently_is_undone(
    scene: Scene, stack: DeployedStack, options: Options, moment: str, operation: str
) -> None:
    """The second instance does all of its work while the first one is still working."""
    scene.push("by hand", "latest")
    first = scene.release("copy", "first")
    second, answers = scene.function(), []

    def deliver_meanwhile() -> None:
        event = stack.sent[-1]
        second(event, 900)
        answers.append(stack.cloudformation.answer_to(event))

    hook = getattr(scene.hooks, moment)(operation, deliver_meanwhile, when=lambda call: call.repository == HOME)
    undone = stack.deploy(template(stack, Agent=declare(first, "latest", "1", **options)), Course(other_fails_after=1))

    assert hook.ran
    assert answers == [undone.changes[0].answer]
    assert undone.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "by hand", **({} if options else {"1": "first"})}


@pytest.mark.parametrize("instances", [1, 2], ids=["by one instance", "by two instances"])
@OPTIONS
def test_l1_a_request_that_is_delivered_twice_concurrently_gets_two_equal_responses(
    scene: Scene, stack: DeployedStack, options: Options, instances: int
) -> None:
    scene.push("by hand", "latest")
    (properties,) = template(stack, Agent=declare(scene.release("copy", "first"), "latest", "1", **options)).values()
    event = stack.cloudformation.event("Create", properties, "Agent")
    functions = [stack.cloudformation.function, scene.function() if instances == 2 else stack.cloudformation.function]

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda function: function(event, 900), functions))

    bodies = scene.address.received.pop(event["RequestId"])
    assert len(bodies) == 2
    assert [check(event, body).succeeded for body in bodies] == [True, True]
    assert bodies[0] == bodies[1]
    assert scene.tags() == {"latest": "first", "1": "first"}
