"""The state after a failed release, with the real cdk command line: the scenarios U1, U3, U4, L1 and L3."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault

from .conftest import Project
from .test_removal import IMPORTS, digest, failing_after, image, parameters

pytestmark = pytest.mark.cdk

LATE = timedelta(minutes=2)


def test_u1_a_failed_bump_gives_the_tags_back_to_the_old_entry(project: Project) -> None:
    """As in a catalog, another version is another construct, and the old one is removed."""
    first, second = project.push("first"), project.push("second")
    project.write_app(image(digest(first.digest), "1.4.2", "1.4", "latest", name="V142"))
    project.deploy()

    project.write_app(failing_after(image(digest(second.digest), "1.4.3", "1.4", "latest", name="V143")))
    project.fail_to_deploy()

    assert project.tags() == {
        **dict.fromkeys(("1.4.2", "1.4", "latest"), first.digest),
        # New tags stay, unless UNTAG or DESTROY is declared.
        "1.4.3": second.digest,
    }
    assert parameters(project) == []

    project.write_app(image(digest(second.digest), "1.4.3", "1.4", "latest", name="V143"))
    project.deploy()
    assert project.tags() == {
        "1.4.2": first.digest,
        **dict.fromkeys(("1.4.3", "1.4", "latest"), second.digest),
    }


def test_u2_with_destroy_nothing_of_the_failed_entry_remains(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    options = {"removal_policy": "RemovalPolicy.DESTROY", "on_tag_removed": "OnTagRemoved.UNTAG"}
    project.write_app(IMPORTS + image(digest(first.digest), "1.4.2", "latest", name="V142", **options))
    project.deploy()

    failing = failing_after(image(digest(second.digest), "1.4.3", "latest", name="V143", **options))
    project.write_app(IMPORTS + failing)
    project.fail_to_deploy()

    assert project.tags() == dict.fromkeys(("1.4.2", "latest"), first.digest)


def test_u3_a_failed_first_deployment_gives_back_tags_that_a_script_pushed(project: Project) -> None:
    by_hand, release = project.push("by hand", "latest"), project.push("release")

    project.write_app(failing_after(image(digest(release.digest), "1.0", "latest")))
    project.fail_to_deploy()

    assert project.tags() == {"latest": by_hand.digest, "1.0": release.digest}
    assert parameters(project) == []


def test_u4_gives_back_a_tag_that_an_update_took_over(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    by_hand = project.push("by hand", "latest")
    project.write_app(image(digest(first.digest), "1.4"))
    project.deploy()

    project.write_app(failing_after(image(digest(second.digest), "1.4", "latest")))
    project.fail_to_deploy()

    assert project.tags() == {"1.4": first.digest, "latest": by_hand.digest}


def test_l1_a_request_that_is_repeated_after_the_rollback_writes_nothing(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    project.write_app(image(digest(first.digest), "latest"))
    project.deploy()
    project.write_app(failing_after(image(digest(second.digest), "latest")))
    project.fail_to_deploy()
    assert project.tags() == {"latest": first.digest}

    with response_address() as (url, responses):
        _invoke(project, _update(project, url, first.digest, second.digest))

    assert [response["Status"] for response in responses] == ["FAILED"]
    assert responses[0]["Reason"].startswith("TOO_LATE: ")
    assert project.tags() == {"latest": first.digest}


def _update(project: Project, url: str, old: str, new: str) -> dict[str, Any]:
    """Return the failed update as CloudFormation sent it two minutes ago."""
    cloudformation = project.sandbox.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="Test")["Stacks"]
    resources = cloudformation.describe_stack_resources(StackName="Test")["StackResources"]
    (resource,) = [each for each in resources if each["ResourceType"] == "Custom::ECRPublicImage"]
    properties = {"RepositoryName": project.repository, "ImageTags": ["latest"], "ServiceTimeout": "300"}
    signed = datetime.now(UTC) - LATE
    return {
        "RequestType": "Update",
        "RequestId": "e1",
        "ResponseURL": f"{url}?X-Amz-Date={signed:%Y%m%dT%H%M%SZ}&X-Amz-Expires=7200&X-Amz-Signature=0",
        "StackId": stack["StackId"],
        "LogicalResourceId": resource["LogicalResourceId"],
        "PhysicalResourceId": resource["PhysicalResourceId"],
        "ResourceType": "Custom::ECRPublicImage",
        "ResourceProperties": {**properties, "Source": {"Digest": new}},
        "OldResourceProperties": {**properties, "Source": {"Digest": old}},
    }


def test_l3_a_slow_release_is_not_taken_for_a_late_one(project: Project) -> None:
    """
    After ten seconds, the function asks CloudFormation whether it still waits, before it puts the third tag.

    The resource is created, updated, and updated and rolled back.
    """

    def release(name: str) -> tuple[str, str]:
        pushed = project.push(name).digest
        return pushed, image(digest(pushed), "1", "2", "3")

    def slow_down(skip: int = 0) -> None:
        for tag in ("1", "2"):
            project.sandbox.faults.add(Fault(operation="PutImage", reference=tag, delay_seconds=6, skip=skip, times=1))

    for name in ("first", "second"):
        pushed, body = release(name)
        project.write_app(body)
        slow_down()
        project.deploy()
        assert project.tags() == dict.fromkeys(("1", "2", "3"), pushed)

    project.write_app(failing_after(release("third")[1]))
    slow_down(skip=1)
    assert "TOO_LATE" not in project.fail_to_deploy()
    assert [each.seconds > 6 for each in project.sandbox.requests.all("PutImage")[-3:]] == [True, True, False]
    assert project.tags() == dict.fromkeys(("1", "2", "3"), pushed)


def _invoke(project: Project, event: dict[str, Any]) -> None:
    resources = project.sandbox.client("cloudformation").describe_stack_resources(StackName="Test")["StackResources"]
    (function,) = [each for each in resources if each["ResourceType"] == "AWS::Lambda::Function"]
    response = project.sandbox.client("lambda").invoke(
        FunctionName=function["PhysicalResourceId"], Payload=json.dumps(event)
    )
    assert "FunctionError" not in response, response["Payload"].read()


@contextmanager
def response_address() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Accept responses as CloudFormation's bucket does."""
    responses: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            responses.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/response", responses
    finally:
        server.shutdown()
        server.server_close()
