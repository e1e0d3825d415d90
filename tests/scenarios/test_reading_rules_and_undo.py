"""A rule about referrers or scans can stop a release. It never stops or delays an undo, whatever cannot be read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault, ImageScan, SandboxProcess, ScanFinding
from cdk_ecrpublic.sandbox.images import Image, push
from lambda_handler.oci import Digest
from tests.support.course import Course
from tests.support.deployment import DeployedStack
from tests.support.scene import HOME, Scene, declare, messages, template

PRIVATE = "builds/agent"
SOURCE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{PRIVATE}"
HIGH = ScanFinding(name="CVE-2025-0001", severity="HIGH")

COURSES = pytest.mark.parametrize(
    "course",
    [{"on_failure": "ROLLBACK"}, {"on_failure": "NOTHING"}],
    ids=["rolled back", "without rollback"],
)


@pytest.fixture(scope="module")
def aws() -> Iterator[SandboxProcess]:
    """Private ECR."""
    with SandboxProcess() as process:
        process.client("ecr").create_repository(repositoryName=PRIVATE)
        yield process


@pytest.fixture
def private(aws: SandboxProcess, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> SandboxProcess:
    del scene  # sets the environment that this changes
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", aws.url)
    aws.scans.clear()
    aws.scans.add(ImageScan(repository=PRIVATE))
    return aws


def push_to_private(scene: Scene, aws: SandboxProcess, name: str) -> dict[str, Any]:
    """Push an image to private ECR, and return its source."""
    image = scene.push(name, to="up/stream")
    data = aws.client("ecr").get_authorization_token()["authorizationData"][0]
    push(f"{aws.registry_host}/{PRIVATE}", image, [], login=base64.b64decode(data["authorizationToken"]).decode())
    return {"Image": {"Reference": f"{SOURCE}@{image.digest}"}}


def sbom_of(image: Image) -> dict[str, Any]:
    """Return an SPDX document that refers to an image."""
    empty = b"{}"
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/spdx+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **_digest_and_size(empty)},
        "layers": [{"mediaType": "application/vnd.oci.empty.v1+json", **_digest_and_size(empty)}],
        "subject": {"mediaType": image.media_type, **_digest_and_size(image.manifest)},
    }


def _digest_and_size(content: bytes) -> dict[str, Any]:
    return {"digest": str(Digest.of(content)), "size": len(content)}


def attach(scene: Scene, image: Image) -> None:
    manifest = json.dumps(sbom_of(image)).encode()
    blobs = {str(Digest.of(b"{}")): b"{}"}
    kind = "application/vnd.oci.image.manifest.v1+json"
    push(scene.uri(HOME), Image(manifest=manifest, media_type=kind, blobs=blobs), [], login=login(scene))


def login(scene: Scene) -> str:
    data = scene.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
    return base64.b64decode(data["authorizationToken"]).decode()


@COURSES
def test_a_list_of_referrers_that_cannot_be_read_does_not_stop_an_undo(
    scene: Scene, stack: DeployedStack, course: dict[str, Any]
) -> None:
    first, second = scene.push("first"), scene.push("second")
    required = {"RequiredReferrers": {"Types": ["sbom"]}}
    attach(scene, first)
    old = declare(first, "latest", **required)
    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"
    down = Fault(operation="ListReferrers", status=503, times=None)

    done = stack.deploy(
        template(stack, Agent=declare(second, "latest")),
        Course(other_fails_after=1, meanwhile=lambda: scene.sandbox.faults.add(down), **course),
    )
    if course["on_failure"] == "NOTHING":
        done = stack.roll_back({"Agent": done.changes[0].old} if done.changes[0].old else {})

    assert done.reasons == []
    assert scene.tags()["latest"] == "first"


def test_a_missing_referrer_stops_the_release_and_its_rollback_restores_the_tag(
    scene: Scene, stack: DeployedStack
) -> None:
    first, second = scene.push("first"), scene.push("second")
    required = {"RequiredReferrers": {"Types": ["sbom"]}}
    attach(scene, first)
    stack.deploy(template(stack, Agent=declare(first, "latest", **required)))

    done = stack.deploy(template(stack, Agent=declare(second, "latest", **required)))

    assert done.status == "ROLLBACK_COMPLETE"
    assert done.changes[0].answer
    assert "the image lacks sbom of the RequiredReferrers" in done.changes[0].answer.reason
    assert scene.tags()["latest"] == "first"


@pytest.mark.parametrize(
    "meanwhile",
    [
        ImageScan(repository=PRIVATE, findings=(HIGH,)),
        ImageScan(repository=PRIVATE, status="IN_PROGRESS"),
        ImageScan(repository=PRIVATE, status="FAILED"),
        None,
    ],
    ids=["findings", "a scan in progress", "a failed scan", "a deleted image"],
)
def test_the_scan_of_an_image_neither_stops_nor_delays_an_undo(
    scene: Scene, stack: DeployedStack, private: SandboxProcess, meanwhile: ImageScan | None
) -> None:
    rule = {"ScanFindings": {"MaxSeverity": "MEDIUM", "MaxAgeSeconds": "9999999999"}}
    source = push_to_private(scene, private, "first")
    old = {"RepositoryName": HOME, "ImageTags": ["latest"], "Source": source, **rule}
    assert stack.deploy(template(stack, Agent=old)).status == "COMPLETE"
    new = {**old, "Source": push_to_private(scene, private, "second")}
    began: list[float] = []

    def change() -> None:
        began.append(scene.clock.time)
        if meanwhile is not None:
            private.scans.add(meanwhile)
            return
        digest = source["Image"]["Reference"].partition("@")[2]
        private.client("ecr").batch_delete_image(repositoryName=PRIVATE, imageIds=[{"imageDigest": digest}])

    done = stack.deploy(template(stack, Agent=new), Course(other_fails_after=1, meanwhile=change))

    assert (done.status, done.reasons) == ("ROLLBACK_COMPLETE", [])
    assert scene.tags()["latest"] == "first"
    assert scene.clock.time - began[0] < 60


def test_findings_stop_the_release(
    scene: Scene, stack: DeployedStack, private: SandboxProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    rule = {"ScanFindings": {"MaxSeverity": "MEDIUM"}}
    old = {"RepositoryName": HOME, "ImageTags": ["latest"], "Source": push_to_private(scene, private, "first"), **rule}
    stack.deploy(template(stack, Agent=old))
    private.scans.add(ImageScan(repository=PRIVATE, findings=(HIGH,)))
    new = {**old, "Source": push_to_private(scene, private, "second")}
    capfd.readouterr()

    done = stack.deploy(template(stack, Agent=new))

    assert done.status == "ROLLBACK_COMPLETE"
    assert scene.tags() == {"latest": "first"}
    logged = messages(capfd.readouterr().out, "INFO")
    # Only the release asks for findings; the undo does not.
    assert [each for each in logged if each.startswith("scan findings")] == [
        "scan findings of linux/amd64, linux/arm64: 1 HIGH"
    ]
