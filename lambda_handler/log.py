"""
JSON log lines on standard output, which Lambda sends to CloudWatch Logs.

The ``message`` has everything that a person needs, because ``cdk deploy``
shows only the message when a deployment fails; the fields are for queries.

Callers pass only named fields, never an event, a header or a response body, so
the ResponseURL, tokens and credentials cannot get into a log.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

_WRITING = threading.Lock()
"""Held while a line is written: a write to a pipe is atomic only up to 4096 bytes."""


@dataclass(slots=True, eq=False, repr=False)
class Log:
    """
    A log that adds the same context to every line.

    Each line is written at once, including its line break. Otherwise Lambda
    could merge the lines of two threads.

    Shape:
        One JSON object per line: ``{"level": "INFO", "message": "tag 1.4 put", "tag":
        "1.4", "awsRequestId": "…"}``.
    """

    context: Mapping[str, object] = field(default_factory=dict)
    stream: TextIO | None = None

    def bind(self, **context: object) -> Log:
        """Return a log that adds *context* to every line."""
        return Log({**self.context, **context}, self.stream)

    def info(self, message: str, **fields: object) -> None:
        """Log an event."""
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Log something that a person may want to look at."""
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Log a failure."""
        self._write("ERROR", message, fields)

    def _write(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        line = {"level": level, "message": message, **self.context, **fields}
        # json escapes line breaks, so a value cannot forge a line.
        text, stream = json.dumps(line, default=str) + "\n", self.stream or sys.stdout
        with _WRITING:
            stream.write(text)
            stream.flush()
