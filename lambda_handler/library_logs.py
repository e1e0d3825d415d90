"""
Keep the log records of urllib3 and botocore out of every log, at any level.

urllib3 logs the path and query of each request at DEBUG, and at WARNING if
headers are malformed: presigned URLs with their signatures. botocore logs
headers and bodies, and so tokens, passwords and secrets. Lambda's log level is
an option in the console that affects all of them.
"""

from __future__ import annotations

import logging
from typing import Any

import urllib3.connection

LIBRARIES = frozenset({"boto3", "botocore", "s3transfer", "urllib3"})
"""The top-level names of their loggers."""

WITHHELD = "withheld: it may hold a secret"

_BELOW_EVERY_HANDLER = -1
"""The default level of a handler is 0."""


def withhold_library_logs() -> None:
    """
    Discard the content and level of these libraries' log records before a handler or filter sees them.

    A single factory creates all log records. So this also applies to loggers
    that are created later, and to levels and handlers that are set later,
    which disabling the loggers would not.
    """
    make = logging.getLogRecordFactory()

    def record(name: str, level: int, path: str, line: int, message: object, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the signature of a factory
        if name.partition(".")[0] not in LIBRARIES:
            return make(name, level, path, line, message, *rest, **more)
        emptied = make(name, level, path, line, WITHHELD, (), None)
        emptied.levelno = _BELOW_EVERY_HANDLER
        return emptied

    logging.setLogRecordFactory(record)
    # http.client prints requests if debuglevel is set; this resets it for the classes of urllib3 and botocore.
    urllib3.connection.HTTPConnection.debuglevel = 0
