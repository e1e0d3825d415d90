"""The messages of the monitor: moved tags, deployments, errors, repairs, and concurrent runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.errors import AccessError, ImageError, RepositoryNotFoundError, UnavailableError
from lambda_handler.monitor import run as module
from lambda_handler.monitor.report import Cause
from lambda_handler.publish.rule import Release, Rule
from lambda_handler.rules.immutable_tags import ImmutableTags
from tests.monitor.world import OWNER, World
from tests.support.memory import image_of

DIFFERS = "1 image(s) differ from their declaration"
REPAIRED = "1 image(s) differed from their declaration, and were put back"
OVER = "1 image(s) are as declared again"
UNREADABLE = "1 image(s) could not be compared with their declaration"
READABLE = "1 image(s) can be compared with their declaration again"

DENIED = AccessError("denied", operation="ecr-public:DescribeImages")


class Leaves(Rule):
    """A rule that skips a tag, for example because it has a later version."""

    def violations(self, release: Release) -> Iterator[str]:
        del release
        yield from ()

    def may_leave(self, tag: str) -> bool:
        return tag == "latest"

    def stays(self, release: Release) -> Mapping[str, str]:
        assert release.content.root.digest == release.digest
        return {"latest": "has a later version"}


def test_a_moved_tag_causes_one_message_and_its_return_another() -> None:
    world = World()
    digest = world.deploy("image", "1.4", "latest")
    world.run()
    assert world.told() == []

    other = world.move("latest")
    world.run()
    world.run()
    ((subject, text),) = world.mail
    assert subject == f"ECR Public: {DIFFERS}"
    assert text == f"{OWNER} in acme/agent\n- tag latest points to {other}, but should point to {digest}\n"
    assert world.repository.writes == []
    world.told()

    world.repository.tags["latest"] = digest
    world.run()
    world.run()
    assert world.told() == [OVER]
    assert world.metrics() == [(0, 0), (1, 0), (1, 0), (0, 0), (0, 0)]


def test_also_reports_another_difference() -> None:
    world = World()
    world.deploy("image", "1.4", "latest")
    world.move("latest")
    world.run()
    world.move("latest", "third")
    world.run()

    assert world.told() == [DIFFERS, DIFFERS]


def test_a_deleted_tag_and_a_deleted_image_are_differences() -> None:
    world = World()
    digest = world.deploy("image", "1.4")
    del world.repository.tags["1.4"], world.repository.images[digest]
    world.run()

    ((_, text),) = world.mail
    assert text.splitlines()[1:] == [
        f"- tag 1.4 does not exist, but should point to {digest}",
        f"- image {digest} is missing",
    ]


def test_a_deleted_image_without_tags_is_a_difference() -> None:
    world = World()
    digest = world.deploy("image")
    world.run()
    del world.repository.images[digest]
    world.run(repairs=True)

    ((_, text),) = world.mail
    assert text.splitlines()[1:] == [f"- image {digest} is missing"]


def test_reports_nothing_while_the_stack_is_deployed() -> None:
    world = World()
    world.deploy("image", "latest")
    world.move("latest")
    world.version_now = ""
    world.run(repairs=True)

    assert (world.told(), world.metrics(), world.repository.writes) == ([], [], [])


def test_does_not_repeat_a_message_after_a_deployment() -> None:
    world = World()
    world.deploy("image", "latest")
    world.move("latest")
    world.run()
    world.told()
    world.version_now = ""
    world.run()
    world.version_now = "UPDATE_COMPLETE 2"
    world.run()

    assert world.told() == []


def test_a_deployment_during_the_comparison_causes_no_message() -> None:
    """The template was read before the deployment, and the registry after it."""
    world = World()
    world.deploy("image", "latest")

    def deploy() -> None:
        world.move("latest")
        world.version_now = "UPDATE_COMPLETE 2"

    world.at[2] = deploy
    world.run(repairs=True)

    assert world.calls >= 3
    assert (world.told(), world.repository.writes) == ([], [])


@pytest.mark.parametrize("error", [DENIED, UnavailableError("no response", operation="ecr-public:DescribeImages")])
def test_reports_an_unreadable_registry_once_and_never_as_fine(error: ImageError) -> None:
    world = World()
    world.deploy("image", "latest")
    world.unreadable = error
    counts = world.run()
    world.unreadable = UnavailableError("another text", operation="ecr-public:DescribeImages")
    world.run()
    assert world.told() == [UNREADABLE]
    assert (counts["drift"], counts["unreadable"]) == (0, 1)

    world.unreadable = None
    world.run()
    assert world.told() == [READABLE]


def test_a_difference_persists_while_nothing_can_be_read() -> None:
    world = World()
    digest = world.deploy("image", "latest")
    world.move("latest")
    world.run()
    world.unreadable = DENIED
    world.run()
    world.unreadable = None
    world.run()
    assert world.told() == [DIFFERS, UNREADABLE, READABLE]

    world.repository.tags["latest"] = digest
    world.run()
    assert world.told() == [OVER]


def test_a_repository_that_does_not_exist_is_a_difference() -> None:
    world = World()
    world.deploy("image", "latest")
    world.unreadable = RepositoryNotFoundError("no such repository", operation="ecr-public:DescribeRepositories")
    counts = world.run()

    assert (world.told(), counts["drift"], counts["unreadable"]) == ([DIFFERS], 1, 0)


def test_reports_an_unreadable_stack_once_and_keeps_earlier_differences() -> None:
    world = World()
    digest = world.deploy("image", "latest")
    world.move("latest")
    world.run()
    world.told()

    for _ in range(2):
        world.at[world.calls + 1] = failing(DENIED)
        world.run()
    assert world.told() == [UNREADABLE]

    world.run()
    # The difference was already reported.
    assert world.told() == [READABLE]
    assert world.metrics()[-3:] == [(0, 1), (0, 1), (1, 0)]
    world.repository.tags["latest"] = digest
    world.run()
    assert world.told() == [OVER]


def test_reports_an_image_with_an_unknown_deployment_once() -> None:
    world = World(problems={"us-east-1.Agent.Mutable": "no record has the image"})
    world.run()
    world.run()

    ((_, text),) = world.mail
    assert text == "us-east-1.Agent.Mutable\n- no record has the image\n"


def test_puts_a_tag_back_and_says_so() -> None:
    world = World()
    digest = world.deploy("image", "1.4", "latest")
    other = world.move("latest")
    counts = world.run(repairs=True)

    assert world.repository.tags == {"1.4": digest, "latest": digest}
    assert world.repository.writes == ["tag latest"]
    ((subject, text),) = world.mail
    assert subject == f"ECR Public: {REPAIRED}"
    assert text.splitlines()[1:] == [
        f"- tag latest points to {other}, but should point to {digest}",
        "- put back: latest",
    ]
    assert (counts["drift"], counts["repaired"]) == (0, 1)
    world.told()
    world.run(repairs=True)
    assert world.told() == []


def test_a_difference_reported_before_repairs_were_enabled_causes_another_message() -> None:
    world = World()
    world.deploy("image", "latest")
    world.move("latest")
    world.run()
    world.run(repairs=True)
    world.run(repairs=True)

    assert world.told() == [DIFFERS, REPAIRED]


def test_puts_an_immutable_tag_back() -> None:
    """A deployment must not move it away from its image, and a repair does not do that."""
    world = World()
    digest = world.deploy("image", "1.4", rules=[ImmutableTags(("1.*",))])
    world.move("1.4")
    world.run(repairs=True)

    assert world.repository.tags["1.4"] == digest


def test_skipped_tags_are_neither_reported_nor_put_back() -> None:
    world = World()
    world.deploy("image", "1.4", "latest", rules=[Leaves()])
    later = world.move("latest")
    world.run(repairs=True)
    assert world.told() == []

    world.move("1.4")
    world.run(repairs=True)
    assert world.told() == [REPAIRED]
    assert world.repository.tags["latest"] == later


def test_puts_back_only_declared_tags() -> None:
    world = World()
    world.deploy("image", "1.4")
    nightly = world.move("nightly")
    world.move("1.4")
    world.run(repairs=True)

    assert world.repository.tags["nightly"] == nightly
    assert world.repository.writes == ["tag 1.4"]


def test_reports_a_failed_repair_once_with_its_reason() -> None:
    world = World()
    digest = world.deploy("image", "1.4")
    del world.repository.images[digest], world.repository.tags["1.4"]
    world.run(repairs=True)
    world.run(repairs=True)

    ((subject, text),) = world.mail
    assert subject == f"ECR Public: {DIFFERS}"
    assert "- the tags could not be put back: NOT_FOUND: no " in text


def test_puts_nothing_back_after_a_deployment_has_started() -> None:
    world = World()
    world.deploy("image", "latest")
    world.move("latest")

    # A run reads the status again after the comparison, and a third time right before the repair.
    def begin() -> None:
        world.version_now = ""

    questions = count_questions(world)
    world.at[world.calls + questions] = begin
    world.run(repairs=True)

    assert world.repository.writes == []
    assert module.BEGAN in world.mail[0][1]


def count_questions(world: World) -> int:
    """Return the number of the first call of a repair: one more than the calls of a run that only compares."""
    other = World(repository=world.repository, version_now=world.version_now)
    other.images = [replace(image, ports=other) for image in world.images]  # type: ignore[arg-type]
    other.run()
    return other.calls + 1


def failing(error: ImageError) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def test_concurrent_runs_report_a_difference_once() -> None:
    """The other run writes the state while this one compares."""
    world = World()
    world.deploy("image", "latest")
    world.move("latest")
    counts: list[dict[str, int]] = []
    world.at[2] = lambda: counts.append(world.run())
    counts.append(world.run())

    assert [each["drift"] for each in counts] == [1, 1]
    assert world.told() == [DIFFERS]


def test_reports_a_difference_although_the_response_to_the_state_write_was_lost() -> None:
    world = World(lost_writes=2)
    world.deploy("image", "latest")
    world.move("latest")
    world.run()
    world.run()

    assert world.told() == [DIFFERS]


def test_the_next_run_sends_a_message_that_could_not_be_sent() -> None:
    world = World()
    world.deploy("image", "latest")
    world.move("latest")
    world.untold = UnavailableError("no response", operation="sns:Publish")
    with pytest.raises(UnavailableError):
        world.run()
    assert world.metrics() == [(1, 0)]
    world.untold = None
    world.run()

    assert world.told() == [DIFFERS]


def test_the_next_run_reports_a_repair_whose_message_could_not_be_sent() -> None:
    world = World()
    world.deploy("image", "latest")
    world.move("latest")
    world.untold = UnavailableError("no response", operation="sns:Publish")
    with pytest.raises(UnavailableError):
        world.run(repairs=True)
    world.untold = None
    world.run(repairs=True)
    world.run(repairs=True)

    assert world.told() == [OVER]


def test_a_message_does_not_exceed_the_limit_of_sns() -> None:
    world = World()
    for number in range(100):
        tags = [f"v{number}.{tag}" for tag in range(15)]
        world.deploy(f"image {number}", *tags, owner=f"us-east-1.Agent.Release{number}")
        for tag in tags:
            world.move(tag)
    world.run()

    ((_, text),) = world.mail
    assert 150_000 < len(text.encode()) < 256 * 1024
    assert text.endswith(" more, which are in the log\n")


def test_does_not_report_a_problem_that_a_deployment_causes() -> None:
    world = World(problems={"us-east-1.Agent.Other": "it has no physical id"})
    world.at[2] = lambda: setattr(world, "version_now", "UPDATE_IN_PROGRESS 2")

    world.run()

    assert world.told() == []
    assert world.metrics() == []


def test_reports_hundreds_of_differences_once() -> None:
    world = World()
    for number in range(400):
        world.deploy(f"image {number}", f"v{number}", owner=f"us-east-1.Agent.Release{number}")
    for number in range(400):
        world.move(f"v{number}")
    world.run()
    world.run()
    assert world.told() == ["400 image(s) differ from their declaration"]


CAUSE = {
    "eventName": "PutImage",
    "eventTime": "2026-11-29T08:00:00Z",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/mary", "userName": "mary"},
    "requestParameters": {"repositoryName": "acme/agent", "imageTag": "latest"},
}
NAMED = "- PutImage by arn:aws:iam::123456789012:user/mary at 2026-11-29T08:00:00Z"


IMAGES = {name: image_of(name.encode()).text for name in ("image", "other", "third")}


@pytest.mark.parametrize(
    ("request_parameters", "is_named"),
    [
        ({"repositoryName": "acme/agent", "imageTag": "latest", "imageManifest": IMAGES["other"]}, True),
        # An event without the manifest, which may be too long for an event.
        ({"repositoryName": "acme/agent", "imageTag": "latest"}, True),
        # An earlier deployment, whose event is late.
        ({"repositoryName": "acme/agent", "imageTag": "latest", "imageManifest": IMAGES["image"]}, False),
        ({"repositoryName": "acme/agent", "imageTag": "1.5", "imageManifest": IMAGES["other"]}, False),
        ({"repositoryName": "acme/tools", "imageTag": "latest", "imageManifest": IMAGES["other"]}, False),
        (None, False),
    ],
)
def test_the_message_names_the_user_of_a_call_that_may_have_caused_it(
    request_parameters: object, *, is_named: bool
) -> None:
    world = World()
    world.deploy("image", "1.4", "latest")
    world.move("latest")
    world.run(cause=Cause.parse({**CAUSE, "requestParameters": request_parameters}))

    ((_, text),) = world.mail
    assert (NAMED in text.splitlines()) is is_named


@pytest.mark.parametrize(
    ("image_ids", "is_named"),
    [([{"imageTag": "latest"}], True), ([{"imageDigest": "sha256:…"}], True), ([{"imageTag": "1.4"}], False)],
)
def test_the_message_names_the_user_of_a_removal(image_ids: object, *, is_named: bool) -> None:
    world = World()
    world.deploy("image", "1.4", "latest")
    del world.repository.tags["latest"]
    request = {"repositoryName": "acme/agent", "imageIds": image_ids}
    world.run(cause=Cause.parse({**CAUSE, "eventName": "BatchDeleteImage", "requestParameters": request}))

    ((_, text),) = world.mail
    assert (NAMED.replace("PutImage", "BatchDeleteImage") in text.splitlines()) is is_named


def test_a_name_cannot_add_lines_to_a_message() -> None:
    cause = Cause.parse({**CAUSE, "userIdentity": {"arn": "a\n- tag x is fine" + "y" * 999}})

    assert cause is not None
    assert "\n" not in str(cause)
    assert len(cause.who) == 300


@pytest.mark.parametrize("data", [None, [], "text", {}, {"userIdentity": [], "requestParameters": {"imageIds": 3}}])
def test_an_event_of_another_shape_is_not_an_error(data: object) -> None:
    cause = Cause.parse(data)

    assert cause is None or cause.who == "an unknown identity"


@given(data=st.recursive(st.none() | st.text() | st.integers(), lambda each: st.lists(each) | st.dictionaries(
    st.sampled_from([*CAUSE, "arn", "imageIds", "imageManifest", "imageTag", "repositoryName"]), each)))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_event_breaks_the_monitor(data: object) -> None:
    str(Cause.parse(data))
