"""A rule stops a release, and never an undo."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import build_image
from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.pushed import push_image
from tests.support.scene import MOVING, UPSTREAM, Kind, Release, Scene, declare, messages, template

FAILS = Course(other_fails_after=1)
FAILS_WITHOUT_ROLLBACK = Course(on_failure="NOTHING")

HOW = pytest.mark.parametrize("how", ["rolled back", "without rollback"])


@MOVING
@HOW
def test_u11_a_pinned_source_that_has_moved_does_not_block_an_undo(
    scene: Scene, stack: DeployedStack, kind: Kind, how: str
) -> None:
    """The image with the declared digest is in the repository, wherever the source points now."""
    first = scene.release(kind, "first")
    old = declare(first, "latest", ImageDigest=first.image.digest)
    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"
    second = scene.release(kind, "second")
    new = declare(second, "latest", ImageDigest=second.image.digest)
    scene.forget_requests()

    if how == "rolled back":
        done = stack.deploy(template(stack, Agent=new), FAILS)
    else:
        done = stack.deploy(
            template(stack, Agent={**new, "RequiredPlatforms": ["linux/s390x"]}), FAILS_WITHOUT_ROLLBACK
        )

    assert done.reasons == []
    assert scene.tags()["latest"] == "first"


def test_u11_a_pinned_source_that_was_deleted_does_not_block_a_rollback(scene: Scene, stack: DeployedStack) -> None:
    first = scene.release("moving copy", "first")
    old = declare(first, "latest", ImageDigest=first.image.digest)
    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"
    new = declare(scene.push("second"), "latest")

    done = stack.deploy(
        template(stack, Agent=new),
        Course(other_fails_after=1, meanwhile=lambda: scene.delete(first.image.digest, in_repository=UPSTREAM)),
    )

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "first"


READS = ("GetManifest", "GetBlob")


@pytest.mark.parametrize("rule", ["RequiredPlatforms", "ImmutableTags"])
def test_a_rule_with_warn_only_logs_a_warning_and_does_not_stop_the_release(
    scene: Scene,
    stack: DeployedStack,
    capfd: pytest.CaptureFixture[str],
    rule: str,
) -> None:
    stack.deploy(template(stack, Agent=declare(scene.push("first"), "1.0")))
    values = {"RequiredPlatforms": ["linux/s390x"], "ImmutableTags": ["1.*"]}
    broken = declare(scene.push("second"), "1.0", **{rule: values[rule]})

    failed = stack.deploy(template(stack, Agent=broken))
    assert scene.tags() == {"1.0": "first"}
    capfd.readouterr()
    done = stack.deploy(template(stack, Agent={**broken, "WarnOnly": [rule]}))

    assert failed.changes[0].answer
    reason = failed.changes[0].answer.reason
    assert done.status == "COMPLETE"
    assert scene.tags() == {"1.0": "second"}
    (warning,) = messages(capfd.readouterr().out, "WARNING")
    assert warning in reason


@pytest.mark.parametrize("is_same", [True, False], ids=["the same image", "another image"])
@pytest.mark.parametrize(
    "rule",
    [{"RequiredPlatforms": ["linux/s390x"]}, {"RequiredReferrers": {"Types": ["sbom"]}}],
    ids=lambda each: next(iter(each)),
)
def test_a_deployment_after_an_undo_that_failed_is_not_an_undo(
    scene: Scene,
    stack: DeployedStack,
    rule: dict[str, object],
    is_same: bool,  # noqa: FBT001
) -> None:
    first = scene.push("first")
    stack.deploy(template(stack, Agent=declare(first, "latest")))
    tried = declare(scene.push("bad"), "latest", **rule)
    gone = Course(on_failure="NOTHING", meanwhile=lambda: scene.delete(first.digest))
    stack.deploy(template(stack, Agent=tried), gone)
    if not is_same:
        tried = declare(scene.push("other"), "latest", **rule)

    again = stack.deploy(template(stack, Agent=tried), FAILS_WITHOUT_ROLLBACK)

    assert again.changes[0].answer
    assert again.changes[0].answer.reason.startswith("RULE_VIOLATION")
    assert "latest" not in scene.tags()


def test_an_immutable_tag_that_a_person_creates_during_the_copy_is_not_moved(
    scene: Scene, stack: DeployedStack
) -> None:
    declared = declare(scene.release("copy", "ours"), "1.9.1", ImmutableTags=["1.*"])
    scene.when("after", "PutImage", lambda: scene.push("theirs", "1.9.1"))

    done = stack.deploy(template(stack, Agent=declared))

    assert done.changes[0].answer
    assert done.changes[0].answer.reason.startswith("RULE_VIOLATION")
    assert "1.9.1" in done.changes[0].answer.reason
    assert scene.tags() == {"1.9.1": "theirs"}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"RequiredPlatforms": ["linux/amd64"]},
        {"RequiredPlatforms": ["linux/amd64"], "WarnOnly": ["RequiredPlatforms"]},
        {"ForwardOnly": {"Tags": ["*"], "OnUnknown": "Proceed"}},
    ],
    ids=["no rule", "required platforms", "a warning", "forward only"],
)
def test_an_undo_does_not_wait_for_a_source_that_is_throttled(
    scene: Scene, stack: DeployedStack, rule: dict[str, object]
) -> None:
    """The image, and the config that a rule needs, are already in the repository."""
    releases = []
    for name in ("first", "second"):
        image = build_image({"etc/name": name.encode()}, platforms=("linux/amd64",))
        push_image(scene.sandbox, UPSTREAM, image)
        scene.names[image.digest] = name
        source = {"Image": {"Reference": f"{scene.uri(UPSTREAM)}@{image.digest}"}}
        releases.append(Release(name, image, source, is_resident=False))
    first, second = releases
    assert stack.deploy(template(stack, Agent=declare(first, "latest", **rule))).status == "COMPLETE"

    def throttle() -> None:
        for operation in READS:
            scene.sandbox.faults.add(Fault(operation=operation, repository=UPSTREAM, status=429, times=None))
        scene.forget_requests()

    failing = Course(other_fails_after=1, meanwhile=throttle)
    done = stack.deploy(template(stack, Agent=declare(second, "latest", **rule)), failing)

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "first"
    assert [each for each in scene.sandbox.requests.all(*READS) if each.repository == UPSTREAM] == []
