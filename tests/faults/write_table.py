"""Write the tables of ``docs/explanation/faults.md``: ``make fault-table``."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from cdk_ecrpublic.sandbox import Fault, Sandbox
from tests.faults.scenarios import KINDS, SCENARIOS, TIMES, Scenario, heading, run
from tests.protocol.conftest import Registry
from tests.support.control_plane import control_plane

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"
MARK = "## The tables\n"


def main() -> int:
    """Run every case, and write its result."""
    text, mark, _ = PAGE.read_text().partition(MARK)
    with Sandbox() as sandbox, control_plane() as plane:
        os.environ.update(sandbox.environment() | plane.environment())
        tables = [_table(sandbox, scenario, times) for times in TIMES for scenario in SCENARIOS]
    PAGE.write_text(text + mark + "\n" + "\n".join(tables))
    return 0


def _table(sandbox: Sandbox, scenario: Scenario, times: int | None) -> str:
    return "\n".join([heading(scenario, times), "", *_rows(sandbox, scenario, times), ""])


def _rows(sandbox: Sandbox, scenario: Scenario, times: int | None) -> Iterator[str]:
    yield _row("call", *(kind.name for kind in KINDS))
    yield _row(*["---"] * (len(KINDS) + 1))
    for operation, face in scenario.calls:
        faults = [kind.at(operation, face, times) for kind in KINDS]
        yield _row(f"`{operation}`", *(_cell(sandbox, scenario, fault) for fault in faults))
        sys.stderr.write(f"{scenario.name}: {operation}\n")


def _cell(sandbox: Sandbox, scenario: Scenario, fault: Fault) -> str:
    sandbox.reset()
    sandbox.client("ecr-public").create_repository(repositoryName="acme/agent")
    with contextlib.redirect_stdout(io.StringIO()):
        return str(run(scenario, fault, Registry(sandbox)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
