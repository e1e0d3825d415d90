"""
JSON log lines on standard output, which Lambda sends to CloudWatch Logs.

The ``message`` says everything that a person needs, since ``cdk deploy`` shows
only that when a deployment fails; the fields are for queries.

Only named fields are ever written. No caller passes an event, a header or a
response body; so the ResponseURL, tokens and credentials have no way in.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

_WRITING = threading.Lock()
"""Held for a whole line: a pipe takes at most 4096 bytes at once from several threads."""


@dataclass(frozen=True, slots=True)
class Log:
    """
    A log whose lines all carry the same context.

    Each line is one write, with its line break: Lambda reads standard output
    as it comes, and would take two lines that threads write in parts for one.

    Shape:
        One object a line: ``{"level": "INFO", "message": "tag 1.4 put", "tag":
        "1.4", "awsRequestId": "…"}``.
    """

    context: Mapping[str, object] = field(default_factory=dict)
    stream: TextIO | None = None

    def bind(self, **context: object) -> Log:
        """Return a log that adds *context* to every line."""
        return Log({**self.context, **context}, self.stream)

    def info(self, message: str, **fields: object) -> None:
        """Write what happened."""
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Write what a person may want to look at."""
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Write what failed."""
        self._write("ERROR", message, fields)

    def _write(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        line = {"level": level, "message": message, **self.context, **fields}
        # json escapes line breaks, so that no value can forge a line.
        text, stream = json.dumps(line, default=str) + "\n", self.stream or sys.stdout
        with _WRITING:
            stream.write(text)
            stream.flush()
