"""
Scripted scans of images in private ECR. Nothing is really scanned.

::

    sandbox.scans.add(
        ImageScan(
            repository="acme/agent",
            findings=(ScanFinding(name="CVE-2025-0001", severity="HIGH", package="openssl", version="3.0.1"),),
        )
    )
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNDEFINED", "UNTRIAGED")

NOT_FOUND = "SCAN_NOT_FOUND"
"""Stands for ScanNotFoundException, which is not a status of the service."""

STATUSES = (
    "IN_PROGRESS", "COMPLETE", "FAILED", "UNSUPPORTED_IMAGE", "ACTIVE", "PENDING", "SCAN_ELIGIBILITY_EXPIRED",
    "FINDINGS_UNAVAILABLE", "LIMIT_EXCEEDED", "IMAGE_ARCHIVED", NOT_FOUND,
)  # fmt: skip
"""ScanStatus in botocore's model of ECR, and ``SCAN_NOT_FOUND``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinding:
    """
    A vulnerability of a package.

    Attributes:
        name: ``CVE-2025-0001``.
        severity: ``INFORMATIONAL`` to ``CRITICAL``, ``UNDEFINED`` or ``UNTRIAGED``.
        fixed_in: The version with the fix. Only enhanced findings have it.
        fix_available: ``YES``, ``NO`` or ``PARTIAL``. Default: ``YES`` with
            *fixed_in*, otherwise ``NO``. Only enhanced findings have it.
        status: ``ACTIVE``, ``SUPPRESSED`` or ``CLOSED``. Only enhanced findings have it.
    """

    name: str
    severity: str
    package: str = "openssl"
    version: str = "3.0.1"
    fixed_in: str = ""
    fix_available: str = ""
    status: str = "ACTIVE"

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            message = f"severity is {self.severity!r}; allowed: {', '.join(SEVERITIES)}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScan:
    """
    What DescribeImageScanFindings of private ECR returns for the images of a repository.

    Attributes:
        repository: The name of the repository.
        digest: Only this image. Default: all images of the repository.
        status: The status of the scan; ``SCAN_NOT_FOUND`` for an image that was never scanned.
        before: The status in the first calls, one for each call.
        findings: The findings, in pages of at most 100.
        enhanced: Whether the findings have the form of Amazon Inspector.
        age_seconds: How long ago the scan was completed.
    """

    repository: str
    digest: str = ""
    status: str = "COMPLETE"
    before: tuple[str, ...] = ()
    findings: tuple[ScanFinding, ...] = ()
    enhanced: bool = False
    age_seconds: float = 0.0

    def __post_init__(self) -> None:
        for status in (self.status, *self.before):
            if status not in STATUSES:
                message = f"status is {status!r}; allowed: {', '.join(STATUSES)}"
                raise ValueError(message)

    @classmethod
    def from_json(cls, data: object) -> ImageScan:
        """
        Read a scan.

        Shape:
            ``{"repository": "acme/agent", "findings": [{"name": "CVE-2025-0001", "severity": "HIGH"}]}``

        Raises:
            ValueError: A name is unknown, or a value is not allowed.
        """
        values = _values(cls, data)
        findings = tuple(ScanFinding(**_values(ScanFinding, each)) for each in values.get("findings", ()))
        return cls(**{**values, "findings": findings, "before": tuple(values.get("before", ()))})


def _values(kind: type, data: object) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    if not isinstance(data, Mapping) or not names.issuperset(data):
        message = f"{kind.__name__} is {data!r}; expected an object with names among: {', '.join(sorted(names))}"
        raise ValueError(message)
    return dict(data)


@dataclass(slots=True)
class _Script:
    scan: ImageScan
    calls: int = 0


@dataclass(slots=True)
class Scans:
    """All scans. Of those that match an image, the last one that was added counts."""

    _scripts: list[_Script] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *scans: ImageScan) -> None:
        """Append scans."""
        with self._lock:
            self._scripts += [_Script(scan) for scan in scans]

    def clear(self) -> None:
        """Remove all scans."""
        with self._lock:
            self._scripts.clear()

    def all(self) -> list[ImageScan]:
        """Return all scans in order."""
        with self._lock:
            return [script.scan for script in self._scripts]

    def take(self, repository: str, digest: str, *, is_next: bool) -> tuple[ImageScan, str] | None:
        """
        Return the scan of an image and its status in this call; None if it has none.

        Args:
            is_next: Whether the call is for a next page, which is not counted.
        """
        with self._lock:
            for script in reversed(self._scripts):
                if script.scan.repository == repository and script.scan.digest in ("", digest):
                    script.calls += not is_next
                    before = script.scan.before[script.calls - 1 : script.calls]
                    return script.scan, before[0] if before else script.scan.status
        return None
