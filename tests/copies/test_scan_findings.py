"""The rule for scan findings of private ECR: real boto3, real sockets, each state of a scan."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import ImageScan, SandboxProcess, ScanFinding
from cdk_ecrpublic.sandbox.images import Image, push
from lambda_handler.errors import RuleViolationError, UnavailableError
from tests.support.clock import EPOCH
from tests.support.scene import messages

from .conftest import Publisher, two_platforms

NAME = "private/scanned"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = two_platforms()
AMD64, ARM64 = (child.digest for child in IMAGE.children)
NAMES = ("linux/amd64", "linux/arm64/v8")

HIGH = ScanFinding(name="CVE-2025-0001", severity="HIGH")
CRITICAL = ScanFinding(name="CVE-2025-0002", severity="CRITICAL", fixed_in="3.0.9")
LOW = ScanFinding(name="CVE-2025-0003", severity="LOW", package="zlib", version="1.2")
UNRATED = ScanFinding(name="CVE-2025-0004", severity="UNTRIAGED")

Rule = Mapping[str, Any]
MEDIUM: Rule = {"MaxSeverity": "MEDIUM"}


@dataclass
class Gate:
    """A private repository with an image for two platforms, and the rule for its scan findings."""

    aws: SandboxProcess
    publisher: Publisher

    def scanned(self, *findings: ScanFinding, **options: Any) -> None:
        """Set the findings of both platforms."""
        self.aws.scans.add(ImageScan(repository=NAME, findings=findings, **options))

    def release(self, rule: Rule = MEDIUM, image: Image = IMAGE, **more: Any) -> None:
        source = {"Image": {"Reference": f"{HOST}/{NAME}@{image.digest}"}}
        self.publisher.publish(source, "1", ScanFindings=dict(rule), **more)

    def violations(self, rule: Rule = MEDIUM, **more: Any) -> list[str]:
        with pytest.raises(RuleViolationError) as refused:
            self.release(rule, **more)
        assert self.publisher.is_empty()
        return list(refused.value.violations)


@pytest.fixture(scope="module")
def private(aws: SandboxProcess) -> Iterator[SandboxProcess]:
    client = aws.client("ecr")
    client.create_repository(repositoryName=NAME)
    data = client.get_authorization_token()["authorizationData"][0]
    login = base64.b64decode(data["authorizationToken"]).decode()
    push(f"{aws.registry_host}/{NAME}", IMAGE, ["1"], login=login)
    yield aws
    client.delete_repository(repositoryName=NAME, force=True)


@pytest.fixture
def gate(private: SandboxProcess, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", private.url)
    private.scans.clear()
    return Gate(private, publisher)


@pytest.mark.parametrize("enhanced", [False, True], ids=["basic", "enhanced"])
def test_findings_above_the_limit_stop_the_release(gate: Gate, *, enhanced: bool) -> None:
    gate.scanned(LOW, HIGH, CRITICAL, enhanced=enhanced)

    (violation,) = gate.violations()

    fixed = ", fixed in 3.0.9" if enhanced else ""
    unfixed = ", without a fix" if enhanced else ""
    assert violation == (
        "scan findings are above MEDIUM, the MaxSeverity of ScanFindings (1 CRITICAL, 1 HIGH): "
        f"CVE-2025-0002 (CRITICAL) in openssl 3.0.1{fixed}; CVE-2025-0001 (HIGH) in openssl 3.0.1{unfixed}; "
        "update these packages, or add the findings to Ignore with a reason and a date"
    )


@pytest.mark.parametrize("status", ["COMPLETE", "ACTIVE"])
@pytest.mark.parametrize("enhanced", [False, True], ids=["basic", "enhanced"])
def test_findings_within_the_limit_are_logged(
    gate: Gate, capsys: pytest.CaptureFixture[str], status: str, *, enhanced: bool
) -> None:
    gate.scanned(LOW, HIGH, status=status, enhanced=enhanced)

    gate.release({"MaxSeverity": "HIGH"})

    assert gate.publisher.pull("1") == IMAGE
    said = messages(capsys.readouterr().out, "INFO")
    assert [each for each in said if each.startswith("scan findings")] == [
        "scan findings of linux/amd64, linux/arm64/v8: 1 HIGH, 1 LOW"
    ]


def test_each_platform_has_its_own_scan(gate: Gate) -> None:
    gate.scanned()
    gate.aws.scans.add(ImageScan(repository=NAME, digest=ARM64, findings=(HIGH,)))

    (violation,) = gate.violations()

    assert "CVE-2025-0001 (HIGH) in openssl 3.0.1 on linux/arm64/v8; update" in violation
    gate.release(Platforms=["linux/amd64"])


def test_the_message_names_only_five_of_many_findings(gate: Gate) -> None:
    findings = [ScanFinding(name=f"CVE-2025-{number:04}", severity="HIGH") for number in range(250)]
    gate.scanned(*findings, LOW)

    (violation,) = gate.violations()

    assert "(250 HIGH)" in violation
    assert violation.count("CVE-") == 5
    assert "; and 245 more; update" in violation


def test_an_undefined_severity_counts_unless_it_is_allowed(gate: Gate) -> None:
    gate.scanned(UNRATED, enhanced=True)

    (violation,) = gate.violations({"MaxSeverity": "HIGH"})

    assert "CVE-2025-0004 (UNTRIAGED)" in violation
    gate.release({"MaxSeverity": "HIGH", "AllowUnrated": "true"})


def test_can_count_only_fixable_findings_if_the_scan_states_it(gate: Gate) -> None:
    rule = {"MaxSeverity": "MEDIUM", "OnlyFixable": "true"}
    gate.scanned(
        HIGH, CRITICAL, ScanFinding(name="CVE-2025-0005", severity="HIGH", fix_available="PARTIAL"), enhanced=True
    )

    (violation,) = gate.violations(rule)

    assert "(1 CRITICAL, 1 HIGH)" in violation
    assert "CVE-2025-0001" not in violation
    gate.scanned(HIGH)
    assert "CVE-2025-0001" in gate.violations(rule)[0]  # a basic scan does not state that
    gate.scanned(HIGH, enhanced=True)
    gate.release(rule)


def test_findings_that_inspector_suppresses_do_not_count(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    suppressed = ScanFinding(name="CVE-2025-0006", severity="CRITICAL", status="SUPPRESSED")
    closed = ScanFinding(name="CVE-2025-0007", severity="CRITICAL", status="CLOSED")
    gate.scanned(suppressed, closed, enhanced=True)

    gate.release()

    assert "linux/arm64/v8: none, and 1 that Amazon Inspector suppresses" in capsys.readouterr().out


def test_an_ignored_finding_counts_again_after_its_date(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    """The clock of the test begins on 21 September 2026."""
    assert EPOCH == 1_790_000_000
    gate.scanned(HIGH)

    def ignoring(until: str) -> Rule:
        return {**MEDIUM, "Ignore": [{"Name": HIGH.name, "Reason": "not reachable", "Until": until}]}

    gate.violations(ignoring("2026-09-20"))
    gate.release(ignoring("2026-09-21"))

    assert "CVE-2025-0001 is ignored until 2026-09-21: not reachable" in capsys.readouterr().out


@pytest.mark.parametrize(
    "state",
    [
        "FAILED",
        "UNSUPPORTED_IMAGE",
        "SCAN_ELIGIBILITY_EXPIRED",
        "FINDINGS_UNAVAILABLE",
        "LIMIT_EXCEEDED",
        "IMAGE_ARCHIVED",
        "SCAN_NOT_FOUND",
    ],
)
def test_a_scan_without_a_result_stops_the_release_unless_it_is_allowed(gate: Gate, state: str) -> None:
    gate.scanned(status=state)

    violation, _ = gate.violations()

    assert violation.startswith("there are no scan findings of linux/amd64 (private/scanned@sha256:")
    assert f"the state of the scan is {state}; scan it, or add {state} to AllowStates" in violation
    others = {"SCAN_NOT_FOUND", "FAILED"} - {state}
    gate.violations({**MEDIUM, "AllowStates": sorted(others)})
    gate.release({**MEDIUM, "AllowStates": [state]})


@pytest.mark.parametrize(
    "before",
    [
        ("IN_PROGRESS",) * 5,
        ("SCAN_NOT_FOUND", "SCAN_NOT_FOUND", "PENDING", "IN_PROGRESS"),
        # As observed: a continuous scan is active before its first result.
        ("SCAN_NOT_FOUND", "ACTIVE", "ACTIVE"),
    ],
    ids=["basic", "enhanced", "continuous"],
)
def test_waits_for_a_scan_in_progress(gate: Gate, before: tuple[str, ...]) -> None:
    gate.scanned(HIGH, status="COMPLETE", before=before)

    (violation,) = gate.violations(image=IMAGE.children[0])

    assert "the image" not in violation
    assert gate.publisher.clock.slept == [5.0] * len(before)


def test_leaves_half_of_the_time_for_copying(gate: Gate) -> None:
    gate.scanned(status="IN_PROGRESS")

    with pytest.raises(UnavailableError, match="is not over: its status is IN_PROGRESS") as refused:
        gate.release()

    assert refused.value.hint is not None
    assert "deploy when it is over" in refused.value.hint
    assert 280 < gate.publisher.clock.time <= 310
    assert gate.publisher.is_empty()


@pytest.mark.parametrize("enhanced", [False, True], ids=["basic", "enhanced"])
def test_an_old_scan_stops_the_release(gate: Gate, *, enhanced: bool) -> None:
    gate.publisher.clock.epoch = time.time()
    gate.scanned(age_seconds=7200, enhanced=enhanced)

    violations = gate.violations({**MEDIUM, "MaxAgeSeconds": "3600"})

    assert violations == [
        f"the scan of {name} ({NAME}@{digest}) was completed more than 3600 seconds ago, the MaxAgeSeconds of "
        "ScanFindings; scan it again: aws ecr start-image-scan"
        for name, digest in zip(NAMES, (AMD64, ARM64), strict=True)
    ]
    gate.release({**MEDIUM, "MaxAgeSeconds": "10800"})


def test_refuses_a_source_without_private_images(gate: Gate) -> None:
    image = gate.publisher.push(two_platforms("public"), "v1")

    with pytest.raises(RuleViolationError, match="no image of the source is in private ECR"):
        gate.publisher.copy("v1", "1", ScanFindings=dict(MEDIUM))

    assert gate.publisher.is_empty()
    assert image != IMAGE


def test_checks_the_parts_of_an_index_that_are_in_private_ecr(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    public = gate.publisher.push(two_platforms().children[1], "arm")
    gate.scanned(HIGH)
    parts = [
        {"Source": {"Image": {"Reference": f"{HOST}/{NAME}@{AMD64}"}}},
        {"Source": {"Image": {"Reference": f"{gate.publisher.uri('up/stream')}@{public.digest}"}}},
    ]

    with pytest.raises(RuleViolationError, match="CVE-2025-0001"):
        gate.publisher.publish({"Index": {"Manifests": parts}}, "1", ScanFindings=dict(MEDIUM))
    gate.publisher.publish({"Index": {"Manifests": parts}}, "1", ScanFindings={"MaxSeverity": "HIGH"})

    assert "not from private ECR, so ScanFindings does not check them: linux/arm64/v8" in capsys.readouterr().out


def test_a_warn_only_rule_has_the_same_message(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.scanned(HIGH)
    (violation,) = gate.violations()

    gate.release(WarnOnly=["ScanFindings"])

    assert messages(capsys.readouterr().out, "WARNING") == [violation]


def test_a_warn_only_rule_also_warns_about_an_unreadable_scan(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.scanned(status="PENDING")

    gate.release(WarnOnly=["ScanFindings"])

    (warning,) = messages(capsys.readouterr().out, "WARNING")
    assert warning.startswith("a rule cannot be checked: UNAVAILABLE: the scan of private/scanned@sha256:")
