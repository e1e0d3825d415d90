"""Realistic failures with the real cdk command line: the result, and the message to the user."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import push_image

from .conftest import Project
from .test_releases import NOWHERE, release

pytestmark = pytest.mark.cdk


def said(output: str) -> str:
    """Return *output* in one line, because cdk breaks lines at the width of the terminal."""
    return " ".join(output.split())


def go_on_rolling_back(project: Project) -> None:
    """Continue like ``cdk rollback``, whose empty list of resources to skip ministack reads as one empty name."""
    cloudformation = project.sandbox.client("cloudformation")
    cloudformation.continue_update_rollback(StackName="Test")
    cloudformation.get_waiter("stack_rollback_complete").wait(
        StackName="Test", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def test_the_registry_becomes_unreachable_during_a_deployment(project: Project) -> None:
    """Without it, nothing can be published or restored. After it is recreated, the stack continues."""
    before, after = project.push("before"), project.push("after")
    project.write_app(release(before.digest, "1", "latest"))
    project.deploy()
    project.sandbox.faults.add(Fault(operation="GetManifest", drop="before", times=None))

    project.write_app(release(after.digest, "2", "latest"))
    output = said(project.fail_to_deploy())

    assert "ERROR UNAVAILABLE: GET manifest from" in output
    project.sandbox.faults.clear()
    assert project.tags() == {"1": before.digest, "latest": before.digest}
    go_on_rolling_back(project)
    project.deploy()
    assert project.tags() == {"1": before.digest, "2": after.digest, "latest": after.digest}


def test_a_tag_is_moved_by_hand_between_deployments(project: Project) -> None:
    first, by_hand, second = project.push("first"), project.push("by hand"), project.push("second")
    project.write_app(release(first.digest, "1", "latest"))
    project.deploy()
    push_image(project.sandbox, project.repository, by_hand, ["latest"])

    project.deploy()
    assert project.tags()["latest"] == by_hand.digest  # CloudFormation sends no request for an unchanged declaration

    project.write_app(release(second.digest, "2", "latest"))
    project.deploy()
    assert project.tags() == {"1": first.digest, "2": second.digest, "latest": second.digest}


def test_a_release_fails_at_the_third_of_five_tags(project: Project) -> None:
    before, after = project.push("before"), project.push("after")
    tags = ["1", "1.2", "1.2.3", "stable", "latest"]
    project.write_app(release(before.digest, *tags))
    project.deploy()
    project.sandbox.faults.add(
        Fault(operation="PutImage", reference="1.2.3", code="LimitExceededException", repository=project.repository)
    )

    project.write_app(release(after.digest, *tags))
    output = said(project.fail_to_deploy())

    assert "RELEASE_FAILED: tag '1.2.3' could not be put: QUOTA_EXCEEDED" in output
    assert "moved back: 1.2, 1" in output
    assert project.tags() == dict.fromkeys(tags, before.digest)


def test_the_old_image_was_deleted_before_a_rollback(project: Project) -> None:
    """Only its publisher can push it again. The stack says so, and then continues."""
    before, after = project.push("before"), project.push("after")
    project.write_app(release(before.digest, "1"))
    project.deploy()
    client = project.sandbox.client("ecr-public")
    push_image(project.sandbox, project.repository, after, ["1"])
    client.batch_delete_image(repositoryName=project.repository, imageIds=[{"imageDigest": before.digest}])

    project.write_app(
        f"first = {release(after.digest, '1', '2')}\n"
        f"second = {release(NOWHERE, 'debug', name='Debug')}\n"
        "second.node.add_dependency(first)"
    )
    output = said(project.fail_to_deploy())

    assert f"NOT_FOUND: the image {before.digest} does not exist in repository '{project.repository}'" in output
    assert "push the image to this repository" in output
    assert project.tags() == {"1": after.digest, "2": after.digest}
    assert project.push("before").digest == before.digest
    go_on_rolling_back(project)
    assert project.tags()["1"] == before.digest


def test_a_hotswap_deployment_puts_no_tag(project: Project) -> None:
    before, after = project.push("before"), project.push("after")
    project.write_app(release(before.digest, "1", "latest"))
    # cdk tells the app that it will hotswap.
    project.deploy(own_process=True)

    project.write_app(release(after.digest, "2", "latest"))
    for option in ("--hotswap", "--hotswap-fallback"):
        result = project.cdk("deploy", option, "--require-approval", "never", own_process=True)

        assert (result.returncode, "(no changes)" in result.stdout) == (0, True), result.stdout
        assert project.tags() == {"1": before.digest, "latest": before.digest}
