"""
What urllib3 and botocore would log is in no log, whatever level is set.

urllib3 logs the path and the query of each request at DEBUG, and as a warning
where headers are broken: a pre-signed address with its signature. botocore
logs headers and bodies, and so tokens, passwords and secrets. Lambda's log
level is an option that a person sets in a console, and it reaches them all.
"""

from __future__ import annotations

import logging
from typing import Any

import urllib3.connection

LIBRARIES = frozenset({"boto3", "botocore", "s3transfer", "urllib3"})
"""The first part of the names of their loggers."""

WITHHELD = "withheld: it may hold a secret"

_BELOW_EVERY_HANDLER = -1
"""Handlers without a level of their own have 0."""


def withhold_library_logs() -> None:
    """
    Empty the records of these libraries before any handler or filter sees them, and let no handler take them.

    Every record of every logger is made by one factory. So this holds for
    loggers that are made later, and whoever sets levels or adds handlers, to
    the root or to one of them; disabled loggers or levels would not.
    """
    make = logging.getLogRecordFactory()

    def record(name: str, level: int, path: str, line: int, message: object, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the signature of any factory
        if name.partition(".")[0] not in LIBRARIES:
            return make(name, level, path, line, message, *rest, **more)
        emptied = make(name, level, path, line, WITHHELD, (), None)
        emptied.levelno = _BELOW_EVERY_HANDLER
        return emptied

    logging.setLogRecordFactory(record)
    # http.client prints requests where its own class has a debuglevel; these classes, botocore's among them, do not.
    urllib3.connection.HTTPConnection.debuglevel = 0
