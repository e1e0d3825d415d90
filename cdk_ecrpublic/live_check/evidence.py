"""The folder with the evidence of a run, without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import LiveCheckError
from .report import Report
from .trace import Trace


def write(folder: Path, report: Report, trace: Trace, versions: dict[str, str]) -> None:
    """
    Write the report, both recordings, and the redacted trace of the second endpoint.

    Raises:
        LiveCheckError: A file would contain a secret, or the name of the account; nothing was written.
    """
    sides: dict[str, list[dict[str, Any]]] = {
        "sandbox.json": [each.left.as_data() for each in report.differences],
        "aws.json": [each.right.as_data() for each in report.differences],
    }
    files = {
        "report.md": report.as_markdown(),
        "report.json": report.as_json(),
        **{
            name: json.dumps({"date": report.date, **versions, "cases": side}, indent=1) for name, side in sides.items()
        },
        "trace.json": json.dumps(trace.entries, indent=1),
    }
    redacted = {name: trace.redacted(text) for name, text in files.items()}
    for name, text in redacted.items():
        if leaks := trace.leaks(text):
            message = f"{name} would contain {', '.join(leaks)}; nothing was written"
            raise LiveCheckError(message)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in redacted.items():
        (folder / name).write_text(text, encoding="utf-8")
