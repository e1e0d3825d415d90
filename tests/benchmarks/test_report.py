"""The report of the benchmarks, for measurements with and without a peer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import OURS, Tools
from benchmarks.report import Report
from benchmarks.results import Row, Section

UNITS = ("seconds", "failures", "ratio", "kept", "operations")


@pytest.fixture
def section() -> Section:
    good = {"seconds": 99.0, "failures": 0, "ratio": 0.99, "kept": True, "PutImage": 1000}
    bad = {"seconds": 150.0, "failures": 7, "ratio": 1.5, "kept": False, "PutImage": 1, "failed: why": 7}
    other = {"seconds": 3.0, "failures": 0, "DescribeImages": 2}
    rows = [Row("KEEP", {"deployment": [good], "update": [bad], "destroy": [other]})]
    return Section(title="Scale", note="How.", units=UNITS, ours="", rows=rows, remarks=["- update: 7 times `why`"])


def test_the_report_has_a_row_for_each_phase_and_says_whether_its_bound_is_kept(
    section: Section, tmp_path: Path
) -> None:
    lines = Report([section], Tools(tmp_path), 1).markdown().splitlines()

    start = lines.index("## Scale")
    assert lines[start + 2 :] == [
        "How.",
        "| | | time | failures | time, to the limit | bound | which |",
        "|---|---|--:|--:|--:|--:|--:|",
        "| KEEP | deployment | 99 s | 0 | 0.99 | kept | 1000 PutImage |",
        "|  | update | 150 s | 7 | 1.50 | **not kept** | PutImage |",
        "|  | destroy | 3 s | 0 |  |  | 2 DescribeImages |",
        "",
        "- update: 7 times `why`",
    ]


def test_the_report_compares_peers_with_ours(section: Section, tmp_path: Path) -> None:
    rows = [Row("one tag", {OURS: [{"seconds": 1.0}], "peer": [{"seconds": 2.0}]})]
    compared = Section(title="Retags", note="How.", units=("seconds",), ours=OURS, rows=rows)

    lines = Report([compared, section], Tools(tmp_path), 1).markdown().splitlines()

    assert "| | | time | time, to ours |" in lines
    assert "|  | peer | 2 s | 2.00 |" in lines
    assert "| | | time | failures | time, to the limit | bound | which |" in lines
