"""
The table of the live check in the documentation, and the evidence of AWS that it shows.

    python -m tests.live_check.evidence_table           # writes the table
    python -m tests.live_check.evidence_table FOLDER    # imports evidence first
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdk_ecrpublic.live_check.case import Case
from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.compare import Difference, Verdict, compare
from cdk_ecrpublic.live_check.recording import Recording

FOLDER = Path(__file__).parent
CHECKOUT = FOLDER.parents[1]
EVIDENCE = FOLDER / "aws.json"
PAGE = CHECKOUT / "docs" / "explanation" / "sandbox-fidelity.md"
BEGIN, END = "<!-- the live check: begin -->\n", "<!-- the live check: end -->\n"


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What AWS responded.

    Attributes:
        date: The day of the run; empty if there was none.
        recordings: The recordings of AWS.
    """

    date: str = ""
    recordings: Sequence[Recording] = ()

    @classmethod
    def read(cls, path: Path = EVIDENCE) -> Evidence:
        if not path.exists():
            return cls()
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["date"], [Recording.from_data(each) for each in data["cases"]])

    @property
    def measured(self) -> dict[str, str]:
        """What the table says about each case that was measured."""
        return {each.case: f"measured on AWS, {self.date}" for each in self.recordings if not each.stopped}

    def disagreements(self, ours: Sequence[Recording]) -> list[Difference]:
        """Return the cases in which the sandbox behaves differently from AWS."""
        measured = {each.case: each for each in self.recordings if not each.stopped}
        both = [each for each in ours if each.case in measured]
        return [each for each in compare(both, list(measured.values())) if each.verdict is not Verdict.SAME]


def table(evidence: Evidence, cases: Sequence[Case] = CASES) -> str:
    """Return the table: what rests on which cases, and whether they were measured."""
    by_row: dict[str, list[Case]] = {}
    for case in cases:
        for row in (*case.fidelity, *(f"`{setting}`" for setting in case.settings)):
            by_row.setdefault(row, [])
            by_row[row] += [case] if case not in by_row[row] else []
    rows = [f"| {row} | {_cases(found)} | {_status(found, evidence.measured)} |" for row, found in by_row.items()]
    questions = [f"| `{case.name}` | {case.question} |" for case in cases]
    head = ["| row or setting | cases | evidence |", "|---|---|---|"]
    return "\n".join([*head, *rows, "", "| case | question |", "|---|---|", *questions, ""])


def page(text: str, evidence: Evidence) -> str:
    """Return the page with the table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(evidence)}\n{END}{after}"


def _cases(cases: Sequence[Case]) -> str:
    return ", ".join(f"`{case.name}`" for case in cases)


def _status(cases: Sequence[Case], measured: Mapping[str, str]) -> str:
    found = list(dict.fromkeys(measured[case.name] for case in cases if case.name in measured))
    return ", ".join(found) or "not measured"


def main(folder: str = "") -> None:
    if folder:
        shutil.copyfile(Path(folder) / EVIDENCE.name, EVIDENCE)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), Evidence.read()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
