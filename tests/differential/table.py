"""Run every case with our handler and with every tool, and write the table: ``make differential-table``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cdk_ecrpublic.sandbox import Sandbox
from tests.differential.cases import CASES
from tests.differential.stage import NONE, REFUSED, Case, staged
from tests.differential.tools import PEERS, Handler, empty, handler, missing
from tests.support.control_plane import control_plane

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "other-registries.md"
MARK = "## The table\n"
OURS = "cdk-ecrpublic"
COLUMNS = ("case", OURS, *PEERS, "why cdk-ecrpublic differs")


@contextmanager
def playing() -> Iterator[tuple[Sandbox, Handler]]:
    """Start a sandbox to publish to and the other services of our handler, and set the environment."""
    with Sandbox() as sandbox, control_plane() as plane:
        os.environ.update(sandbox.environment() | plane.environment())
        with handler("acme/agent") as ours:
            yield sandbox, ours


def ours(case: Case, sandbox: Sandbox, play: Handler, folder: Path) -> str:
    """Run a case with our handler."""
    sandbox.reset()
    sandbox.client("ecr-public").create_repository(repositoryName="acme/agent")
    with staged(case, empty(folder)) as stage:
        return play(case, stage)


def theirs(case: Case, name: str, folder: Path) -> str:
    """Run a case with another tool."""
    with staged(case, empty(folder)) as stage:
        return PEERS[name](case, stage)


def differs(found: str, others: Mapping[str, str]) -> bool:
    """Whether our result differs from that of every tool that has one."""
    kinds = {kind(each) for each in others.values() if each != NONE}
    return bool(kinds) and kind(found) not in kinds


def kind(found: str) -> str:
    """Return a result without details such as the reason of a refusal."""
    return REFUSED if found.startswith(REFUSED) else found.partition(",")[0].removesuffix(" in part")


def documented() -> dict[tuple[str, str], dict[str, str]]:
    """Read the table: cells by kind and case, and then by column."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    heading = ""
    for line in PAGE.read_text().partition(MARK)[2].splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("| ") and not line.startswith(("| case", "| ---")):
            row = [cell.strip() for cell in line.strip("|").split(" | ")]
            cells[heading, row[0]] = dict(zip(COLUMNS[1:], row[1:], strict=True))
    return cells


def main() -> int:
    """Run every case, and write its result."""
    if absent := missing():
        sys.stderr.write(f"not installed: {', '.join(absent)} (tests/peers/install)\n")
        return 1
    text, mark, _ = PAGE.read_text().partition(MARK)
    with playing() as (sandbox, play), tempfile.TemporaryDirectory() as folder:
        tables = [
            "\n".join(_table(heading, sandbox, play, Path(folder) / str(number)))
            for number, heading in enumerate(CASES)
        ]
    PAGE.write_text(f"{text}{mark}\n" + "\n".join(tables))
    return 0


def _table(heading: str, sandbox: Sandbox, play: Handler, folder: Path) -> Iterator[str]:
    yield f"### {heading}\n"
    yield _row(*COLUMNS)
    yield _row(*["---"] * len(COLUMNS))
    for number, case in enumerate(CASES[heading]):
        place = folder / str(number)
        others = {name: theirs(case, name, place / name) for name in PEERS}
        found = ours(case, sandbox, play, place / "ours")
        sys.stderr.write(f"{case.name}: {found} {others}\n")
        yield _row(case.name, found, *others.values(), case.reason)
    yield ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
