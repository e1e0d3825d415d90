"""Which scan results allow a release, and which are errors of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, cast

import pytest

from lambda_handler.aws import scans
from lambda_handler.aws.scans import ImageScans
from lambda_handler.clock import Deadline
from lambda_handler.errors import AccessError, RejectedError, UnavailableError
from lambda_handler.log import Log
from lambda_handler.oci import Digest, Manifest, PrivateEcr, Repository
from lambda_handler.oci.assemble import assemble_index
from lambda_handler.oci.descriptor import Descriptor
from lambda_handler.oci.platform import Platform
from lambda_handler.publish.content import Content, content_of_parts
from lambda_handler.publish.findings import Finding, Scan
from lambda_handler.publish.ports import SourcePorts
from lambda_handler.publish.rule import Release, Verdict, WarnOnly, judge
from lambda_handler.retry import Retry
from lambda_handler.rules.scan_findings import LIMITS, Ignored, ScanFindings
from tests.support.clock import EPOCH, SteppingClock
from tests.support.memory import MemoryRepository

PRIVATE = Repository.parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/builds/agent")
HIGH = Finding("CVE-2025-0001", "HIGH", "openssl 3.0.1", "", None)
DONE = Scan("COMPLETE", completed=EPOCH)


@dataclass
class Ports:
    """The scans of images, by digest; all others are ``DONE``."""

    known: Mapping[Digest, Scan | Exception]
    now: float = EPOCH

    @property
    def scans(self) -> Ports:
        return self

    def scan(self, registry: PrivateEcr, name: str, image: Digest) -> Scan:
        assert (registry.account, registry.region, name) == ("123456789012", "eu-west-1", "builds/agent")
        found = self.known.get(image, DONE)
        if isinstance(found, Exception):
            raise found
        return found


def entry(number: int, platform: Platform) -> Descriptor:
    return Descriptor(
        media_type="application/vnd.oci.image.manifest.v1+json",
        digest=Digest.of(bytes([number])),
        size=1,
        platform=platform,
    )


def verdict(rule: ScanFindings | WarnOnly, scans: Mapping[int, Scan | Exception], *platforms: Platform) -> Verdict:
    """Judge an index of images whose digests have the numbers 0, 1 …"""
    entries = [entry(number, platform) for number, platform in enumerate(platforms or [Platform("linux", "amd64")])]
    root: Manifest = assemble_index(entries)
    content = Content(root=root, origin=MemoryRepository()).coming_from(PRIVATE)
    ports = cast("SourcePorts", Ports({Digest.of(bytes([number])): scan for number, scan in scans.items()}))
    return judge([rule], Release(content=content, tags=(), found={}, ports=ports))


def test_an_unknown_scan_status_stops_the_release() -> None:
    (violation,) = verdict(ScanFindings(max_severity="CRITICAL"), {0: Scan("REVOKED")}).violations

    assert "the state of the scan is REVOKED; scan it" in violation
    assert "AllowStates" not in violation


def test_findings_that_are_counted_but_not_listed_stop_the_release() -> None:
    """An old client drops the findings of Amazon Inspector; this was seen with the AWS CLI."""
    scan = Scan("ACTIVE", counted=frozenset({"HIGH", "LOW"}), completed=EPOCH)

    assert "but lists none: HIGH, LOW" in verdict(ScanFindings(max_severity="MEDIUM"), {0: scan}).violations[0]
    assert verdict(ScanFindings(max_severity="HIGH"), {0: scan}).violations == ()


def test_an_unlisted_severity_stops_the_release_even_if_others_are_listed() -> None:
    low = Finding("CVE-2025-0002", "LOW", "a 1", "", None)
    scan = Scan("COMPLETE", completed=EPOCH, findings=(low,), counted=frozenset({"CRITICAL", "LOW"}))

    found = verdict(ScanFindings(max_severity="MEDIUM"), {0: replace(scan, listed=frozenset({"LOW"}))})
    listed = verdict(ScanFindings(max_severity="MEDIUM"), {0: replace(scan, listed=scan.counted)})

    assert "but lists none: CRITICAL" in found.violations[0]
    assert listed.violations == ()


def test_closed_and_suppressed_findings_count_as_listed() -> None:
    enhanced = [{"title": "a", "severity": "CRITICAL", "status": "SUPPRESSED"}]
    page = {
        "imageScanStatus": {"status": "COMPLETE"},
        "imageScanFindings": {"enhancedFindings": enhanced, "findingSeverityCounts": {"CRITICAL": 1, "HIGH": 2}},
    }

    scan = reader(Client(iter([page]))).scan(PrivateEcr("123456789012", "us-east-1"), "a", Digest.of(b""))

    assert scan.counted == frozenset({"CRITICAL", "HIGH"})
    assert scan.listed == frozenset({"CRITICAL"})
    assert scan.findings == ()


def test_checks_all_images_of_the_same_platform() -> None:
    same = Platform("linux", "amd64")

    for number in (0, 1):
        found = verdict(ScanFindings(max_severity="LOW"), {number: Scan("COMPLETE", findings=(HIGH,))}, same, same)
        assert len(found.violations) == 1


@pytest.mark.parametrize("order", [1, -1], ids=["private first", "private last"])
def test_an_image_from_two_sources_is_checked_in_the_one_that_scans_it(order: int) -> None:
    repository = MemoryRepository()
    image = repository.add(b"config")
    part = Content(root=image, origin=repository)
    parts = [part.coming_from(PRIVATE), part.coming_from(Repository.parse("docker.io/acme/agent"))][::order]
    index = assemble_index([replace(entry(0, Platform("linux", "amd64")), digest=image.digest)])
    content = content_of_parts(index, repository, parts)
    ports = cast("SourcePorts", Ports({image.digest: Scan("COMPLETE", findings=(HIGH,))}))

    found = judge([ScanFindings(max_severity="LOW")], Release(content=content, tags=(), found={}, ports=ports))

    assert "(1 HIGH)" in found.violations[0]


def test_a_scan_without_a_time_is_too_old() -> None:
    rule = ScanFindings(max_severity="LOW", max_age_seconds=3600)

    assert "completed more than 3600 seconds ago" in verdict(rule, {0: Scan("COMPLETE")}).violations[0]
    assert verdict(rule, {0: Scan("COMPLETE", completed=EPOCH - 3600)}).violations == ()
    assert verdict(rule, {0: Scan("COMPLETE", completed=EPOCH - 3601)}).violations != ()


@pytest.mark.parametrize("limit", LIMITS)
def test_the_limit_allows_findings_at_or_below_it(limit: str) -> None:
    for severity in LIMITS[1:]:
        finding = Finding("CVE-2025-0001", severity, "a 1", "", None)
        found = verdict(ScanFindings(max_severity=limit), {0: Scan("COMPLETE", findings=(finding,))})
        assert bool(found.violations) is (LIMITS.index(severity) > LIMITS.index(limit))


def test_an_ignore_entry_applies_only_to_its_vulnerability() -> None:
    ignored = Ignored("CVE-2025-0002", "not reachable", date(2999, 1, 1))
    rule = ScanFindings(max_severity="LOW", ignored=(ignored,))

    found = verdict(rule, {0: Scan("COMPLETE", findings=(HIGH,))})

    assert len(found.violations) == 1
    assert found.notes == ("scan findings of linux/amd64: 1 HIGH",)


def test_a_warn_only_rule_reports_an_unreadable_scan_once() -> None:
    error = UnavailableError("the scan is not over", operation="ecr:DescribeImageScanFindings")

    found = verdict(WarnOnly(ScanFindings(max_severity="LOW")), {0: error})

    assert found == Verdict(warnings=("a rule cannot be checked: UNAVAILABLE: the scan is not over",))
    with pytest.raises(UnavailableError):
        verdict(ScanFindings(max_severity="LOW"), {0: error})


class Client:
    """Returns one page after the other, endlessly if *pages* is endless."""

    def __init__(self, pages: Iterator[Mapping[str, Any]]) -> None:
        self.pages, self.tokens = pages, list[object]()

    def describe_image_scan_findings(self, **parameters: Any) -> Mapping[str, Any]:
        self.tokens.append(parameters.get("nextToken"))
        return next(self.pages)


def reader(client: Client) -> ImageScans:
    return ImageScans(lambda _: client, Retry(Deadline.after(600, SteppingClock()), Log()))


def test_refuses_an_endless_list() -> None:
    def pages() -> Iterator[Mapping[str, Any]]:
        number = 0
        while True:
            number += 1
            yield {"imageScanStatus": {"status": "COMPLETE"}, "nextToken": str(number)}

    client = Client(pages())

    with pytest.raises(RejectedError, match="has more than 100 pages of findings"):
        reader(client).scan(PrivateEcr("123456789012", "us-east-1"), "a", Digest.of(b""))
    assert client.tokens == [None, *map(str, range(1, scans.PAGES_MAX))]


def test_access_denied_names_the_permission_for_findings_of_inspector() -> None:
    class Denied(Client):
        def describe_image_scan_findings(self, **parameters: Any) -> Mapping[str, Any]:
            message = f"{len(parameters)} parameters are not allowed"
            raise AccessError(message, operation="ecr:DescribeImageScanFindings", hint="allow it")

    with pytest.raises(AccessError) as error:
        reader(Denied(iter(()))).scan(PrivateEcr("123456789012", "us-east-1"), "a", Digest.of(b""))

    assert error.value.hint == (
        "allow it; for findings of Amazon Inspector, set inspector=True in ReleaseRule.scan_findings"
    )
