"""Scans of images in private ECR, as seen by a client of the service."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk_ecrpublic.sandbox import ImageScan, SandboxProcess, ScanFinding
from cdk_ecrpublic.sandbox.images import build_image, push
from cdk_ecrpublic.sandbox.process import Remote

NAME = "acme/scanned"
IMAGE = build_image({"etc/name": b"scanned"}, platforms=("linux/amd64", "linux/arm64"))
CHILD = IMAGE.children[0].digest
FINDING = ScanFinding(name="CVE-2025-0001", severity="HIGH", fixed_in="3.0.9")

Api = Any
"""A boto3 client."""


@pytest.fixture
def private(aws: SandboxProcess) -> Iterator[Api]:
    aws.scans.clear()
    client = aws.client("ecr")
    client.create_repository(repositoryName=NAME)
    login = base64.b64decode(client.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()
    push(f"{aws.registry_host}/{NAME}", IMAGE, ["1"], login=login)
    yield client
    client.delete_repository(repositoryName=NAME, force=True)


def describe(private: Api, digest: str = CHILD, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = private.describe_image_scan_findings(
        repositoryName=NAME, imageId={"imageDigest": digest}, **options
    )
    return found


def refused(private: Api, operation: str, digest: str) -> str:
    with pytest.raises(ClientError) as error:
        getattr(private, operation)(repositoryName=NAME, imageId={"imageDigest": digest})
    return str(error.value.response["Error"]["Code"])


def test_an_image_has_no_scan_before_it_is_scanned(private: Api) -> None:
    assert refused(private, "describe_image_scan_findings", CHILD) == "ScanNotFoundException"

    private.start_image_scan(repositoryName=NAME, imageId={"imageDigest": CHILD})

    found = describe(private)
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findings"] == []
    assert abs(found["imageScanFindings"]["imageScanCompletedAt"].timestamp() - time.time()) < 60


def test_a_repository_can_scan_on_push(private: Api) -> None:
    private.put_image_scanning_configuration(repositoryName=NAME, imageScanningConfiguration={"scanOnPush": True})

    assert describe(private)["imageScanStatus"]["status"] == "COMPLETE"
    assert refused(private, "describe_image_scan_findings", IMAGE.digest) == "ScanNotFoundException"


def test_an_index_cannot_be_scanned(private: Api) -> None:
    assert refused(private, "start_image_scan", IMAGE.digest) == "UnsupportedImageTypeException"


@pytest.mark.parametrize("operation", ["describe_image_scan_findings", "start_image_scan"])
def test_an_unknown_image_is_not_found(private: Api, operation: str) -> None:
    assert refused(private, operation, f"sha256:{'0' * 64}") == "ImageNotFoundException"


def test_returns_the_configured_findings(aws: SandboxProcess, private: Api) -> None:
    aws.scans.add(ImageScan(repository=NAME, findings=(FINDING,), age_seconds=3600))

    found = describe(private)["imageScanFindings"]

    assert found["findingSeverityCounts"] == {"HIGH": 1}
    assert found["findings"][0]["name"] == FINDING.name
    assert {"key": "package_name", "value": "openssl"} in found["findings"][0]["attributes"]
    assert 3500 < time.time() - found["imageScanCompletedAt"].timestamp() < 3700
    assert "enhancedFindings" not in found


def test_findings_can_have_the_form_of_inspector(aws: SandboxProcess, private: Api) -> None:
    aws.scans.add(ImageScan(repository=NAME, findings=(FINDING,), enhanced=True, status="ACTIVE"))

    found = describe(private)

    assert found["imageScanStatus"]["status"] == "ACTIVE"
    (finding,) = found["imageScanFindings"]["enhancedFindings"]
    assert finding["fixAvailable"] == "YES"
    assert finding["packageVulnerabilityDetails"]["vulnerablePackages"][0]["fixedInVersion"] == "3.0.9"


def test_findings_are_paginated(aws: SandboxProcess, private: Api) -> None:
    names = [f"CVE-2025-{number:04}" for number in range(250)]
    aws.scans.add(ImageScan(repository=NAME, findings=tuple(ScanFinding(name=name, severity="LOW") for name in names)))
    pages = private.get_paginator("describe_image_scan_findings").paginate(
        repositoryName=NAME, imageId={"imageDigest": CHILD}
    )

    sizes = [len(page["imageScanFindings"]["findings"]) for page in pages]

    assert sizes == [100, 100, 50]
    assert len(describe(private, maxResults=1000)["imageScanFindings"]["findings"]) == 250


def test_a_scan_can_take_several_calls(aws: SandboxProcess, private: Api) -> None:
    aws.scans.add(ImageScan(repository=NAME, before=("SCAN_NOT_FOUND", "IN_PROGRESS"), findings=(FINDING,)))

    assert refused(private, "describe_image_scan_findings", CHILD) == "ScanNotFoundException"
    assert describe(private)["imageScanStatus"]["status"] == "IN_PROGRESS"
    assert describe(private)["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}


def test_the_last_matching_scan_wins(aws: SandboxProcess, private: Api) -> None:
    of_all, of_one = ImageScan(repository=NAME), ImageScan(repository=NAME, digest=CHILD, status="FAILED")
    aws.scans.add(of_all, of_one)

    assert aws.scans.all() == [of_all, of_one]
    assert describe(private)["imageScanStatus"]["status"] == "FAILED"
    assert describe(private, IMAGE.children[1].digest)["imageScanStatus"]["status"] == "COMPLETE"


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        ({"repository": NAME, "state": "FAILED"}, "ImageScan is .* expected an object with names among: age_seconds"),
        ({"repository": NAME, "status": "DONE"}, "status is 'DONE'; allowed: IN_PROGRESS, COMPLETE"),
        ({"repository": NAME, "findings": [{"name": "CVE-2025-0001", "severity": "high"}]}, "severity is 'high'"),
    ],
)
def test_an_error_names_the_mistake(aws: SandboxProcess, scan: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Remote(aws.url).request("PUT", "scans", [scan])
