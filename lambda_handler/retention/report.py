"""A report as data, for machines and for the archive."""

from __future__ import annotations

from datetime import UTC, datetime

from .decision import Outcome
from .run import Report


def summary(report: Report) -> dict[str, object]:
    """
    Return the counts of a report, for the log and the metrics.

    Shape:
        ``{"images": 300, "expired": 40, "removed": 0, "pending": 0, "kept": 260,
        "expiredBytes": 1048576, "unreadable": 0, "problem": ""}``
    """
    going = report.going
    return {
        "images": len(report.outcomes),
        "expired": len(going),
        "removed": len(report.removed),
        "pending": len(report.pending),
        "kept": len(report.outcomes) - len(going),
        "expiredBytes": sum(outcome.image.size for outcome in going),
        "unreadable": 1 if report.problem else 0,
        "problem": report.problem,
    }


def as_data(report: Report, now: float) -> dict[str, object]:
    """
    Return the whole report.

    Shape:
        ``{"repository": "acme/agent", "time": "2026-11-29T08:00:00Z", "problem": "",
        "summary": {…}, "images": [{"digest": "sha256:…", "tags": ["0.9"],
        "pushedAt": "…", "bytes": 4096, "decision": "keep", "reason": "…"}]}``
    """
    return {
        "repository": report.repository,
        "time": _time(now),
        "problem": report.problem,
        "summary": summary(report),
        "images": [_image(outcome, report) for outcome in report.outcomes],
    }


def _image(outcome: Outcome, report: Report) -> dict[str, object]:
    image = outcome.image
    return {
        "digest": str(image.digest),
        "tags": sorted(image.tags),
        "pushedAt": _time(image.pushed),
        "bytes": image.size,
        "decision": _decision(outcome, report),
        "reason": outcome.why,
    }


def _decision(outcome: Outcome, report: Report) -> str:
    digest = outcome.image.digest
    if digest in report.removed:
        return "removed"
    if digest in report.pending:
        return "pending"
    return "expire" if outcome.goes else "keep"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
