"""The scan of an image in private ECR, and how to read it from DescribeImageScanFindings (botocore's model of ECR)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
"""The lowest first. Findings without a determined severity have ``UNDEFINED`` (ECR) or ``UNTRIAGED`` (Inspector)."""

NOT_SCANNED = "SCAN_NOT_FOUND"
"""The status of an image that was never scanned, for which the service has an error instead."""

TEXT_MAX_CHARACTERS = 80

_LISTS = ("findings", "enhancedFindings")

_NO_VERSION = frozenset({"", "NotAvailable"})


@dataclass(frozen=True, slots=True)
class Finding:
    """
    A vulnerability.

    Attributes:
        package: The first affected package with its version.
        fixed_in: The version with the fix; empty if it is not known.
        has_fix: None if it is not known.
    """

    name: str
    severity: str
    package: str
    fixed_in: str
    has_fix: bool | None

    def __str__(self) -> str:
        fix = f", fixed in {self.fixed_in}" if self.fixed_in else ", without a fix" if self.has_fix is False else ""
        return f"{self.name} ({self.severity}) in {self.package}{fix}"


@dataclass(frozen=True, slots=True)
class Scan:
    """
    The result of a scan.

    Attributes:
        completed: In seconds since the epoch; None if the service does not say.
        findings: Without those that Amazon Inspector has closed or suppressed.
        suppressed: How many Amazon Inspector suppresses.
        counted: The severities of which the service counts findings.
        listed: The severities of which it lists some, also those that are closed or suppressed.
    """

    status: str
    completed: float | None = None
    findings: tuple[Finding, ...] = ()
    suppressed: int = 0
    counted: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()

    @property
    def is_under_way(self) -> bool:
        """Whether it is not over. A continuous scan is ``ACTIVE`` before its first result, which has a time."""
        is_new = self.status == "ACTIVE" and self.completed is None and not (self.findings or self.counted)
        return is_new or self.status in {"IN_PROGRESS", "PENDING"}

    @property
    def is_over(self) -> bool:
        """Whether there is a result."""
        return self.status in {"COMPLETE", "ACTIVE"} and not self.is_under_way


def read_scan(pages: Iterable[Mapping[str, Any]]) -> Scan:
    """
    Read a scan from the pages of a response, of which there is at least one.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: A page has another shape.
    """
    findings, suppressed, listed = list[Finding](), 0, set[str]()
    for page in pages:
        found = page.get("imageScanFindings") or {}
        findings += map(_basic, found.get("findings") or ())
        listed |= {_text(each["severity"]) for name in _LISTS for each in found.get(name) or ()}
        for each in found.get("enhancedFindings") or ():
            suppressed += each.get("status") == "SUPPRESSED"
            findings += [] if each.get("status") in {"CLOSED", "SUPPRESSED"} else [_enhanced(each)]
    completed = found.get("imageScanCompletedAt")
    return Scan(
        _text(page["imageScanStatus"]["status"]),
        None if completed is None else float(completed.timestamp()),
        tuple(findings),
        suppressed,
        frozenset(severity for severity, count in (found.get("findingSeverityCounts") or {}).items() if count),
        frozenset(listed),
    )


def _basic(data: Mapping[str, Any]) -> Finding:
    said = {each["key"]: each.get("value") for each in data.get("attributes") or ()}
    package = _text(said.get("package_name"), said.get("package_version"))
    return Finding(_text(data["name"]), _text(data["severity"]), package, "", None)


def _enhanced(data: Mapping[str, Any]) -> Finding:
    details = data.get("packageVulnerabilityDetails") or {}
    packages = details.get("vulnerablePackages") or [{}]
    return Finding(
        _text(details.get("vulnerabilityId") or data["title"]),
        _text(data["severity"]),
        _text(packages[0].get("name"), packages[0].get("version")),
        next((_text(each) for one in packages if (each := one.get("fixedInVersion") or "") not in _NO_VERSION), ""),
        {"YES": True, "PARTIAL": True, "NO": False}.get(data.get("fixAvailable", "")),
    )


def _text(*values: object) -> str:
    """Join strings of a response for a message: short, and without control characters."""
    text = " ".join(str(value) for value in values if value)[:TEXT_MAX_CHARACTERS]
    return "".join(each if each.isprintable() else "?" for each in text)
