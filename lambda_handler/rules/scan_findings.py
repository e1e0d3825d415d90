"""Limits for the vulnerabilities that private ECR has found in the images of a source there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ..concurrency import map_concurrently
from ..errors import InvalidInputError, truncated_repr
from ..oci import Digest, PrivateEcr
from ..publish.findings import NOT_SCANNED, SEVERITIES, Finding, Scan
from ..publish.rule import Release, Rule
from ..values import Value

LIMITS = ("NONE", *SEVERITIES)
"""The values of ``MaxSeverity``."""

STATES = (
    "FAILED", "FINDINGS_UNAVAILABLE", "IMAGE_ARCHIVED", "LIMIT_EXCEEDED", "SCAN_ELIGIBILITY_EXPIRED", NOT_SCANNED,
    "UNSUPPORTED_IMAGE",
)  # fmt: skip
"""The states without a result that can be allowed: those of ScanStatus in botocore's model, and ``NOT_SCANNED``."""

IGNORED_MAX = 200
SHOWN_MAX = 5
MAX_CONCURRENT_SCANS = 4

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{2,99}")
_REASON = re.compile(r"(?s)(?=.*\S).{1,500}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_finding_name(text: str) -> str:
    """Parse the name of a vulnerability."""
    return _parsed(_NAME, text, "the name of a vulnerability, e.g. 'CVE-2025-0001'")


def parse_reason(text: str) -> str:
    """Parse the reason why a vulnerability is ignored."""
    return _parsed(_REASON, text, "a reason of 1 to 500 characters")


def parse_day(text: str) -> date:
    """Parse a date."""
    with suppress(ValueError):
        return date.fromisoformat(_parsed(_DATE, text, "a date"))
    message = f"{truncated_repr(text)} is not a date of the form YYYY-MM-DD"
    raise InvalidInputError(message)


def _parsed(pattern: re.Pattern[str], text: str, expected: str) -> str:
    if not pattern.fullmatch(text):
        message = f"{truncated_repr(text)} is not {expected}"
        raise InvalidInputError(message)
    return text


@dataclass(frozen=True, slots=True)
class Ignored:
    """A vulnerability that does not count until the end of a day, in UTC."""

    name: str
    reason: str
    until: date

    @classmethod
    def decode(cls, value: Value) -> Ignored:
        """Decode an item of ``Ignore``."""
        parsers = {"Name": parse_finding_name, "Reason": parse_reason, "Until": parse_day}
        fields = value.fields(parsers)
        if missing := parsers.keys() - fields.keys():
            value.refuse(f"{' and '.join(sorted(missing))} is missing")
        return cls(
            fields["Name"].parse(parse_finding_name),
            fields["Reason"].parse(parse_reason),
            fields["Until"].parse(parse_day),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFindings(Rule):
    """
    The highest severity that findings may have.

    Attributes:
        max_severity: One of ``LIMITS``.
        only_fixable: Findings that are known to have no fix do not count.
        allow_unrated: Findings without a determined severity do not count.
        max_age_seconds: How long ago the scan may have been completed.
        allowed_states: Of ``STATES``. A scan in another state without a result is a violation.

    Shape:
        ``"ScanFindings": {"MaxSeverity": "MEDIUM", "OnlyFixable": "true",
        "AllowUnrated": "true", "Ignore": [{"Name": "CVE-2025-0001", "Reason":
        "…", "Until": "2026-12-31"}], "MaxAgeSeconds": "604800", "AllowStates":
        ["UNSUPPORTED_IMAGE"]}``; all but ``MaxSeverity`` are optional.
    """

    max_severity: str
    only_fixable: bool = False
    allow_unrated: bool = False
    ignored: tuple[Ignored, ...] = ()
    max_age_seconds: int | None = None
    allowed_states: tuple[str, ...] = ()

    @classmethod
    def decode(cls, value: Value) -> ScanFindings:
        """Decode ``ScanFindings``."""
        fields = value.fields({"MaxSeverity", "OnlyFixable", "AllowUnrated", "Ignore", "MaxAgeSeconds", "AllowStates"})
        if "MaxSeverity" not in fields:
            value.refuse("MaxSeverity is missing")
        ignored = fields["Ignore"].each(Ignored.decode) if "Ignore" in fields else ()
        if len(ignored) > IGNORED_MAX:
            fields["Ignore"].refuse(f"has {len(ignored)} items; the limit is {IGNORED_MAX}")
        states = fields["AllowStates"].each(lambda item: item.choice(STATES)) if "AllowStates" in fields else ()
        return cls(
            max_severity=fields["MaxSeverity"].choice(LIMITS),
            only_fixable="OnlyFixable" in fields and fields["OnlyFixable"].boolean(),
            allow_unrated="AllowUnrated" in fields and fields["AllowUnrated"].boolean(),
            ignored=ignored,
            max_age_seconds=fields["MaxAgeSeconds"].number() if "MaxAgeSeconds" in fields else None,
            allowed_states=states,
        )

    def reads(self, release: Release) -> bool:
        """Return True."""
        del release
        return True

    def violations(self, release: Release) -> Iterator[str]:
        """Report scans without a result or that are too old, and findings that are too severe."""
        scans, now = _scans(release), release.ports.now
        if not scans:
            yield "ScanFindings is declared, but no image of the source is in private ECR; remove the rule"
        for image, scan in scans.items():
            yield from self._of_scan(image, scan, now)
        ignored = {each.name for each in self.ignored if each.until >= _day(now)}
        where: dict[Finding, list[str]] = {}
        for image, scan in scans.items():
            for each in scan.findings:
                if each.name not in ignored and self._counts(each):
                    where.setdefault(each, []).append(image.name)
        if where:
            worst = sorted(where, key=lambda each: (-_rank(each.severity), str(each)))
            named = [
                f"{each} on {_some(where[each])}" if len(where[each]) < len(scans) else str(each) for each in worst
            ]
            yield (
                f"scan findings are above {self.max_severity}, the MaxSeverity of ScanFindings ({_counted(worst)}): "
                f"{_some(named, '; ')}; update these packages, or add the findings to Ignore with a reason and a date"
            )

    def notes(self, release: Release) -> Iterator[str]:
        """Tell what the scans have found, what is ignored, and what was not scanned."""
        scans = _scans(release)
        by_result: dict[str, list[str]] = {}
        for image, scan in scans.items():
            suppressed = f", and {scan.suppressed} that Amazon Inspector suppresses" if scan.suppressed else ""
            result = (_counted(scan.findings) or "none") if scan.is_over else scan.status
            by_result.setdefault(f"{result}{suppressed}", []).append(image.name)
        yield from (f"scan findings of {_some(names)}: {result}" for result, names in by_result.items())
        found = {finding.name for scan in scans.values() for finding in scan.findings}
        for each in self.ignored:
            if each.name in found:
                state = "ignored until" if each.until >= _day(release.ports.now) else "no longer ignored since"
                yield f"{each.name} is {state} {each.until}: {each.reason}"
        if unscanned := [name for name, image in _images(release) if image is None]:
            yield f"not from private ECR, so ScanFindings does not check them: {_some(unscanned)}"

    def exceeds(self, severity: str) -> bool:
        """Whether findings of a severity are not allowed."""
        if severity in SEVERITIES:
            return _rank(severity) > LIMITS.index(self.max_severity) - 1
        return not self.allow_unrated and self.max_severity != SEVERITIES[-1]

    def _counts(self, finding: Finding) -> bool:
        return self.exceeds(finding.severity) and not (self.only_fixable and finding.has_fix is False)

    def _of_scan(self, image: _Image, scan: Scan, now: float) -> Iterator[str]:
        if not scan.is_over:
            if scan.status not in self.allowed_states:
                allow = f", or add {scan.status} to AllowStates of ScanFindings" if scan.status in STATES else ""
                yield f"there are no scan findings of {image}: the state of the scan is {scan.status}; scan it{allow}"
            return
        unlisted = sorted(scan.counted - scan.listed)
        if any(map(self.exceeds, unlisted)):
            yield f"the service counts scan findings of {image}, but lists none: {', '.join(unlisted)}"
        if self.max_age_seconds is not None and now - (scan.completed or 0) > self.max_age_seconds:
            yield (
                f"the scan of {image} was completed more than {self.max_age_seconds} seconds ago, the MaxAgeSeconds of "
                "ScanFindings; scan it again: aws ecr start-image-scan"
            )


@dataclass(frozen=True, slots=True)
class _Image:
    """An image in private ECR."""

    name: str
    registry: PrivateEcr
    repository: str
    digest: Digest

    def __str__(self) -> str:
        return f"{self.name} ({self.repository}@{self.digest})"


def _images(release: Release) -> Iterator[tuple[str, _Image | None]]:
    """Yield the images with the names of their platforms; None for one that is not in private ECR."""
    root = release.content.root
    # An entry without a platform, or with an artifact type, counts, too: clients may run it.
    children = [each for each in root.children if each.platform is None or not each.platform.is_unknown]
    images = [(str(each.platform or "an entry without a platform"), each.digest) for each in children]
    for name, digest in images or [("the image", root.digest)]:
        places = release.content.sources.get(digest, frozenset())
        scanned = [
            _Image(name, registry, place.path, digest) for place in places if (registry := place.host.private_ecr)
        ]
        # Several parts of an index may have the same image: each scan of it counts.
        yield from ((name, image) for image in sorted(scanned, key=str))
        if not scanned:
            yield name, None


def _scans(release: Release) -> dict[_Image, Scan]:
    images = [image for _, image in _images(release) if image is not None]
    read = release.ports.scans.scan
    scans = map_concurrently(
        lambda each: read(each.registry, each.repository, each.digest), images, max_workers=MAX_CONCURRENT_SCANS
    )
    return dict(zip(images, scans, strict=True))


def _counted(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[each]} {each}" for each in sorted(counts, key=_rank, reverse=True))


def _rank(severity: str) -> int:
    """Return the order of a severity. One that is not determined may be the highest."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    more = [f"and {len(texts) - SHOWN_MAX} more"] if len(texts) > SHOWN_MAX else []
    return separator.join([*texts[:SHOWN_MAX], *more])


def _day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()
