"""What the function learns from CloudFormation about a stack."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from lambda_handler.aws.stack import StackHistory
from lambda_handler.clock import Deadline
from lambda_handler.entrypoint import Clients
from lambda_handler.errors import AccessError
from lambda_handler.log import Log
from lambda_handler.retry import Retry
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.stack_records import EVENTS_PAGE, StackRecord

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Nested/1"
ROOT = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Root/2"

FORWARD = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"]
BACK = ["ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"]
SUCCEEDED = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"]
FAILED = ["CREATE_FAILED", "UPDATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE"]


@dataclass
class World:
    """A stack, and the stack that it may be nested in."""

    plane: ControlPlane
    clients: Clients
    clock: SteppingClock = field(default_factory=SteppingClock)
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def stack(self) -> StackRecord:
        return self.plane.stack(STACK)

    @property
    def root(self) -> StackRecord:
        """Nest the stack, and return its root stack."""
        root = self.stack.root = self.plane.stack(ROOT)
        return root

    def history(self, seconds: float = 200) -> StackHistory:
        """Read the history again, as for another request."""
        retry = Retry(Deadline.after(seconds, self.clock), Log(stream=self.log))
        return StackHistory(self.clients.get("cloudformation"), STACK, retry)

    def enter(self, *statuses: str, root: bool = False) -> None:
        """Enter the statuses one after the other, each for a minute."""
        for status in statuses:
            self.clock.pass_by(60)
            (self.root if root else self.stack).enter(status)

    def write_events(self, number: int) -> None:
        for place in range(number):
            self.stack.change(f"Resource{place}", "UPDATE_COMPLETE")

    def asked(self, operation: str) -> list[str]:
        return [call.data["StackName"] for call in self.plane.calls if call.operation == operation]


@pytest.fixture(scope="module")
def clients(running_plane: ControlPlane) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **running_plane.environment(),
            "AWS_ACCESS_KEY_ID": "AKIA",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }.items():
            patch.setenv(name, value)
        clients = Clients()
        yield clients
        clients.get("cloudformation").close()


@pytest.fixture
def world(plane: ControlPlane, clients: Clients) -> World:
    world = World(plane, clients)
    plane.wall = world.clock.wall
    return world


@pytest.mark.parametrize("status", [*FORWARD, *BACK, *SUCCEEDED, *FAILED, "DELETE_IN_PROGRESS"])
def test_recognizes_a_rollback_by_the_status_of_the_stack(world: World, status: str) -> None:
    world.stack.status = status

    assert world.history().is_rolling_back == (status in BACK)


@pytest.mark.parametrize("status", [*FORWARD, *BACK, *SUCCEEDED, *FAILED, "DELETE_IN_PROGRESS"])
def test_a_stack_is_idle_if_nothing_is_in_progress(world: World, status: str) -> None:
    world.stack.status = status

    assert world.history().is_idle == (status in {*SUCCEEDED, *FAILED})


@pytest.mark.parametrize("status", BACK)
def test_a_nested_stack_is_rolled_back_with_its_root_stack(world: World, status: str) -> None:
    """Its own status is DELETE_IN_PROGRESS or UPDATE_IN_PROGRESS, as in any deployment."""
    world.root.status = status
    world.stack.status = "DELETE_IN_PROGRESS"

    assert world.history().is_rolling_back


def test_a_nested_stack_is_idle_with_its_root_stack(world: World) -> None:
    world.stack.status = "UPDATE_COMPLETE"
    world.root.status = "UPDATE_IN_PROGRESS"
    assert not world.history().is_idle

    world.root.status = "UPDATE_COMPLETE"
    assert world.history().is_idle


def test_reads_the_status_once_per_request(world: World) -> None:
    world.root.status = world.stack.status = "UPDATE_IN_PROGRESS"
    history = world.history()

    for _ in range(2):
        assert [history.is_rolling_back, history.is_idle] == [False] * 2

    assert world.asked("DescribeStacks") == [STACK, ROOT]


def test_reads_the_status_of_a_stack_that_is_not_nested_once(world: World) -> None:
    world.stack.status = "UPDATE_IN_PROGRESS"

    assert not world.history().is_rolling_back
    assert world.asked("DescribeStacks") == [STACK]


def test_does_not_wait_for_a_missing_permission(world: World) -> None:
    world.plane.denied.add("DescribeStacks")

    for question in ("is_rolling_back", "is_idle"):
        with pytest.raises(AccessError, match="cloudformation:DescribeStacks failed"):
            getattr(world.history(), question)

    assert world.clock.slept == []


def test_retries_throttled_calls(world: World) -> None:
    world.stack.status = "ROLLBACK_IN_PROGRESS"
    world.plane.busy["DescribeStacks"] = 20

    assert world.history().is_rolling_back


def test_a_denied_read_of_a_resource_is_an_error(world: World) -> None:
    world.plane.denied.add("DescribeStackResource")

    with pytest.raises(AccessError, match="cloudformation:DescribeStackResource failed"):
        world.history().has_changed_since("Release", 0, is_deletion=False)


@pytest.mark.parametrize("status", [*SUCCEEDED, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"])
def test_a_success_after_the_request_counts(world: World, status: str) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    sent = world.clock.wall()
    world.enter(status, "UPDATE_IN_PROGRESS")

    assert world.history().has_succeeded_since(sent) is True


@pytest.mark.parametrize("statuses", [["UPDATE_IN_PROGRESS", status] for status in [*FAILED, *BACK]], ids=str)
def test_a_failure_or_a_rollback_does_not_count_as_a_success(world: World, statuses: list[str]) -> None:
    world.enter("CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    sent = world.clock.wall() + 10
    world.enter(*statuses)

    assert world.history().has_succeeded_since(sent) is False


def test_a_success_before_the_request_does_not_count(world: World) -> None:
    world.enter("CREATE_COMPLETE", "UPDATE_IN_PROGRESS")

    assert world.history().has_succeeded_since(world.clock.wall()) is False


@pytest.mark.parametrize("has_begun", [False, True], ids=["a slow clock", "another deployment began since"])
def test_a_success_just_before_the_request_counts_unless_another_deployment_began(
    world: World, *, has_begun: bool
) -> None:
    world.stack.enter("CREATE_COMPLETE")
    if has_begun:
        world.clock.pass_by(1.2)
        world.stack.enter("UPDATE_IN_PROGRESS")
    sent = math.floor(world.clock.wall()) if has_begun else world.clock.wall() + 1.2

    assert world.history().has_succeeded_since(sent) is not has_begun


def test_the_success_of_the_current_update_does_not_count_as_an_earlier_success(world: World) -> None:
    world.enter("CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS")
    sent = world.clock.wall() + 10
    world.enter("UPDATE_FAILED", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")

    assert world.history().has_succeeded_since(sent) is True
    assert world.history().has_succeeded_since(sent, before_this=True) is False
    assert world.history().has_succeeded_since(sent - 120, before_this=True) is True


def test_the_success_of_a_resource_does_not_count_as_that_of_the_stack(world: World) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    sent = world.clock.wall()
    world.stack.change("Release", "UPDATE_COMPLETE", "ecr-public:123456789012/acme/agent:Release")

    assert world.history().has_succeeded_since(sent) is False


def test_a_nested_stack_succeeds_with_its_root_stack(world: World) -> None:
    """It reaches UPDATE_COMPLETE long before another resource fails."""
    world.enter("UPDATE_IN_PROGRESS", root=True)
    sent = world.clock.wall()
    world.enter("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    assert world.history().has_succeeded_since(sent) is False

    world.enter("UPDATE_COMPLETE", root=True)
    assert world.history().has_succeeded_since(sent) is True
    assert set(world.asked("DescribeStackEvents")) == {ROOT}


def test_reads_events_until_the_result_is_known(world: World) -> None:
    world.enter("CREATE_COMPLETE", "UPDATE_IN_PROGRESS")
    world.write_events(3 * EVENTS_PAGE)
    sent = world.clock.wall() + 10
    world.clock.pass_by(60)
    world.write_events(EVENTS_PAGE)

    assert world.history().has_succeeded_since(sent) is False
    assert len(world.asked("DescribeStackEvents")) == 2


def test_finds_a_success_many_pages_back(world: World) -> None:
    sent = world.clock.wall()
    world.enter("CREATE_COMPLETE")
    world.write_events(10 * EVENTS_PAGE)

    assert world.history().has_succeeded_since(sent) is True


def test_the_result_is_unknown_if_there_are_too_many_events(world: World) -> None:
    sent = world.clock.wall()
    world.enter("CREATE_COMPLETE")
    world.write_events(40 * EVENTS_PAGE)

    assert world.history().has_succeeded_since(sent) is None


def test_recognizes_a_history_without_a_success_at_its_end(world: World) -> None:
    world.enter("CREATE_IN_PROGRESS")
    sent = world.clock.wall()
    world.write_events(EVENTS_PAGE - 1)

    assert world.history().has_succeeded_since(sent) is False


def test_an_operation_whose_events_are_gone_has_succeeded(world: World) -> None:
    """AWS does not say how long it keeps the events of a stack. Nothing may be undone because they are gone."""
    sent = world.clock.wall()
    world.clock.pass_by(91 * 86400)
    world.enter("DELETE_IN_PROGRESS")

    assert world.history().has_succeeded_since(sent) is True


def test_the_result_is_unknown_without_events(world: World) -> None:
    world.stack.status = "UPDATE_IN_PROGRESS"

    assert world.history().has_succeeded_since(1.0) is None


@pytest.mark.parametrize("operation", ["DescribeStacks", "DescribeStackEvents"])
def test_the_result_is_unknown_if_events_are_denied_and_the_log_says_why(world: World, operation: str) -> None:
    world.enter("CREATE_COMPLETE")
    world.plane.denied.add(operation)

    assert world.history().has_succeeded_since(1.0) is None
    assert (
        f"cannot tell whether a deployment has succeeded since: ACCESS_DENIED: cloudformation:{operation} failed"
        in world.log.getvalue()
    )


def test_unreadable_events_do_not_use_up_the_time(world: World) -> None:
    world.enter("CREATE_COMPLETE")
    world.plane.busy["DescribeStackEvents"] = 5000
    began = world.clock.time

    assert world.history().has_succeeded_since(1.0) is None
    assert world.clock.time - began <= 30


@pytest.mark.parametrize(("seconds", "has_changed"), [(-60, False), (0, False), (1, False), (10, True), (600, True)])
def test_a_resource_has_changed_if_its_status_changed_after_the_request(
    world: World, seconds: float, *, has_changed: bool
) -> None:
    """CloudFormation's clock, which dates the status, may be ahead of that of the signature or behind it."""
    sent = world.clock.wall()
    world.clock.pass_by(seconds)
    world.stack.change("Release", "UPDATE_IN_PROGRESS")

    assert world.history().has_changed_since("Release", sent, is_deletion=False) is has_changed


def test_finds_an_update_of_a_resource_in_the_events(world: World) -> None:
    world.stack.change("Release", "CREATE_IN_PROGRESS")
    sent = world.clock.wall()
    world.clock.pass_by(60)
    world.stack.change("Release", "CREATE_COMPLETE")
    world.stack.change("Other", "UPDATE_IN_PROGRESS")
    assert not world.history().has_been_updated_since("Release", sent)

    world.clock.pass_by(60)
    world.stack.change("Release", "UPDATE_IN_PROGRESS")
    world.write_events(25)

    assert world.history().has_been_updated_since("Release", sent)
    assert not world.history().has_been_updated_since("Release", world.clock.wall())


def test_does_not_assume_an_update_if_events_cannot_be_read(world: World) -> None:
    world.stack.change("Release", "UPDATE_IN_PROGRESS")
    world.plane.denied |= {"DescribeStackEvents"}

    assert not world.history().has_been_updated_since("Release", world.clock.wall() - 60)
    assert "cannot tell whether Release was UPDATE_IN_PROGRESS: ACCESS_DENIED" in world.log.getvalue()


@pytest.mark.parametrize(
    ("ended", "expected"),
    [(["CREATE_COMPLETE"], True), (["CREATE_FAILED"], False), (["UPDATE_COMPLETE"], None)],
    ids=str,
)
def test_a_successful_creation_is_distinguished_from_a_failed_one(
    world: World, ended: list[str], *, expected: bool | None
) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    sent = world.clock.wall()
    for status in ["CREATE_IN_PROGRESS", *ended, "DELETE_IN_PROGRESS"]:
        world.stack.change("Release", status)
    world.stack.change("Other", "CREATE_COMPLETE")

    assert world.history().has_created_since("Release", sent) is expected


def test_a_creation_does_not_count_for_a_request_of_an_earlier_operation(world: World) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    sent = world.clock.wall()
    world.stack.change("Release", "CREATE_FAILED")
    world.enter("UPDATE_FAILED", "UPDATE_IN_PROGRESS")
    world.stack.change("Release", "CREATE_COMPLETE")

    assert world.history().has_created_since("Release", sent) is False
    assert world.history().has_created_since("Release", world.clock.wall()) is True


def test_without_events_it_is_unknown_whether_a_resource_was_recreated(world: World) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    world.plane.denied.add("DescribeStackEvents")

    assert world.history().has_created_since("Release", 1.0) is None
    assert "cannot tell whether the resource was created again: ACCESS_DENIED" in world.log.getvalue()


@pytest.mark.parametrize("is_deletion", [False, True])
@pytest.mark.parametrize(
    ("status", "is_of_publication"),
    [
        ("CREATE_IN_PROGRESS", True),
        ("UPDATE_IN_PROGRESS", True),
        ("UPDATE_ROLLBACK_IN_PROGRESS", True),
        ("UPDATE_COMPLETE", False),
        ("CREATE_FAILED", False),
        ("DELETE_IN_PROGRESS", False),
        ("DELETE_COMPLETE", False),
    ],
)
def test_a_status_that_a_publication_cannot_have_is_that_of_its_undo(
    world: World, status: str, *, is_of_publication: bool, is_deletion: bool
) -> None:
    """A resource that fails at once can make CloudFormation undo a request in the second in which it was sent."""
    sent = world.clock.wall()
    world.stack.change("Release", status)

    has_changed = world.history().has_changed_since("Release", sent, is_deletion=is_deletion)

    assert has_changed is not (is_of_publication or is_deletion)


def test_a_running_publication_counts_if_the_status_of_its_resource_is_not_known_yet(world: World) -> None:
    """The event comes first. The status can be that of the request before, which ended in the same second."""
    sent = world.clock.wall()
    world.stack.change("Release", "UPDATE_IN_PROGRESS")
    world.stack.resources["Release"] = replace(world.stack.resources["Release"], status="UPDATE_FAILED")

    assert not world.history().has_changed_since("Release", sent, is_deletion=False)


def test_the_clock_that_dates_events_may_be_ahead_of_that_of_the_request(world: World) -> None:
    """A stack whose first request is sent at once: its history begins with that operation."""
    world.enter("CREATE_IN_PROGRESS")

    assert world.history().has_succeeded_since(world.stack.events[0].at - 1.5) is False


def test_an_update_that_failed_counts_until_the_operation_ends(world: World) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    world.stack.change("Release", "UPDATE_IN_PROGRESS")
    assert not world.history().has_update_failed("Release")

    world.stack.change("Release", "UPDATE_FAILED")
    world.stack.change("Release", "UPDATE_IN_PROGRESS")

    assert world.history().has_update_failed("Release")
    assert not world.history().has_update_failed("Other")
    world.enter("UPDATE_FAILED", "UPDATE_IN_PROGRESS")
    assert not world.history().has_update_failed("Release")


def test_without_events_it_is_unknown_whether_an_update_failed(world: World) -> None:
    world.enter("UPDATE_IN_PROGRESS")
    world.plane.denied.add("DescribeStackEvents")

    assert not world.history().has_update_failed("Release")
    assert "cannot tell whether Release was UPDATE_FAILED: ACCESS_DENIED" in world.log.getvalue()


def test_events_that_are_throttled_for_too_long_do_not_stop_a_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait takes longer than the time for the events, but not than that of the request."""
    world.enter("UPDATE_IN_PROGRESS")
    world.plane.busy["DescribeStackEvents"] = 1
    monkeypatch.setattr(world.clock, "sleep", lambda _: world.clock.pass_by(31))

    assert not world.history().has_update_failed("Release")
    assert "cannot tell whether Release was UPDATE_FAILED" in world.log.getvalue()
