"""Rules that read attachments and scan findings, satisfied and violated, with the real cdk command line."""

from __future__ import annotations

import json
import time

import pytest

from cdk_ecrpublic.sandbox import ImageScan, ScanFinding
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from lambda_handler.oci import Digest

from .conftest import Project
from .test_review import tool
from .test_sources import push_to_private_ecr

pytestmark = pytest.mark.cdk

HIGH = ScanFinding(name="CVE-2025-0001", severity="HIGH", package="openssl", version="3.0.1", fixed_in="3.0.9")
LOW = ScanFinding(name="CVE-2025-0002", severity="LOW", package="zlib", version="1.2")


def scanned_app(name: str, digest: str, options: str = "") -> str:
    return f"""
from aws_cdk import Duration
from aws_cdk import aws_ecr as ecr
from cdk_ecrpublic import IgnoredFinding, ReleaseRule
private = ecr.Repository.from_repository_name(self, "Private", "{name}")
PublicImage(self, "Copy", repository=repository, source=ImageSource.ecr(private, digest="{digest}"), tags=["latest"],
            rules=[ReleaseRule.scan_findings("MEDIUM", max_age=Duration.days(1){options})])
"""


def planned(project: Project) -> tuple[int, str, list[str], list[str]]:
    """Synthesize and plan; return the exit status, and the state, problems and warnings or notes of the only image."""
    assert project.cdk("synth", "--quiet").returncode == 0
    result = tool(project, "plan", "--format", "json")
    (image,) = json.loads(result.stdout)["images"]
    return result.returncode, image["state"], image["problems"], [*image["warnings"], *image["notes"]]


def test_scan_findings_decide_what_is_deployed(project: Project) -> None:
    name = f"{project.repository}-private"
    first, second = (
        build_image({"etc/name": text}, platforms=("linux/amd64", "linux/arm64")) for text in (b"first", b"second")
    )
    push_to_private_ecr(project, name, first, second)
    scans = project.sandbox.scans
    scans.add(ImageScan(repository=name, findings=(LOW,), enhanced=True, status="ACTIVE"))
    project.write_app(scanned_app(name, first.digest))
    assert planned(project) == (0, "changed", [], ["scan findings of linux/amd64, linux/arm64: 1 LOW"])
    project.deploy()
    assert project.tags() == {"latest": first.digest}

    scans.add(ImageScan(repository=name, findings=(HIGH, LOW), enhanced=True))
    project.write_app(scanned_app(name, second.digest))
    violation = (
        "scan findings are above MEDIUM, the MaxSeverity of ScanFindings (1 HIGH): CVE-2025-0001 (HIGH) in openssl "
        "3.0.1, fixed in 3.0.9; update these packages, or add the findings to Ignore with a reason and a date"
    )
    assert planned(project) == (1, "refused", [violation], [])
    assert violation in " ".join(project.fail_to_deploy().split())
    assert project.tags() == {"latest": first.digest}

    scans.add(ImageScan(repository=name, status="PENDING"))
    status, state, problems, _ = planned(project)
    assert (status, state) == (2, "unseen")
    assert "is not over: its status is PENDING" in problems[0]

    scans.add(ImageScan(repository=name, findings=(HIGH,), enhanced=True, before=("IN_PROGRESS", "IN_PROGRESS")))
    reason = 'IgnoredFinding("CVE-2025-0001", reason="not reachable", until="2999-12-31")'
    project.write_app(scanned_app(name, second.digest, f", ignore=[{reason}]"))
    began = time.monotonic()
    project.deploy()
    assert time.monotonic() - began > 5
    assert project.tags() == {"latest": second.digest}


def required_app(digest: str, options: str = "") -> str:
    return f"""
from cdk_ecrpublic import ReleaseRule
PublicImage(self, "Release", repository=repository, source=ImageSource.digest("{digest}"), tags=["latest"],
            rules=[ReleaseRule.required_referrers(["sbom"]{options})])
"""


def test_an_image_without_an_sbom_is_not_deployed(project: Project) -> None:
    image = project.push("first")
    project.write_app(required_app(image.digest))
    violation = (
        "the image lacks sbom of the RequiredReferrers; attached to it: nothing; attach it to the image, or remove it "
        "from RequiredReferrers"
    )
    assert planned(project) == (1, "refused", [violation], [])
    assert violation in " ".join(project.fail_to_deploy().split())
    assert project.tags() == {}

    attach_sbom(project, image)

    assert planned(project) == (0, "changed", [], [])
    project.deploy()
    assert project.tags() == {"latest": image.digest}


def test_a_rule_can_only_warn(project: Project) -> None:
    image = project.push("first")
    project.write_app(required_app(image.digest, ", warn_only=True"))

    status, state, _, notes = planned(project)
    project.deploy()

    assert (status, state) == (0, "changed")
    assert notes[0].startswith("the image lacks sbom of the RequiredReferrers")
    assert project.tags() == {"latest": image.digest}


def attach_sbom(project: Project, image: Image) -> None:
    """Push an SPDX document that refers to an image, as ``oras attach`` does."""
    empty, kind = b"{}", "application/vnd.oci.empty.v1+json"
    nothing = {"mediaType": kind, "digest": str(Digest.of(empty)), "size": len(empty)}
    subject = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "artifactType": "application/spdx+json",
        "config": nothing,
        "layers": [nothing],
        "subject": subject,
    }
    sbom = Image(manifest=json.dumps(manifest).encode(), media_type=media_type, blobs={str(Digest.of(empty)): empty})
    push_image(project.sandbox, project.repository, sbom)
