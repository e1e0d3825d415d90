"""The fidelity page names the case of each assumption; code and evidence must agree."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.compare import compare
from cdk_ecrpublic.live_check.evidence import write
from cdk_ecrpublic.live_check.policy import policy
from cdk_ecrpublic.live_check.recording import Recording
from cdk_ecrpublic.live_check.report import Report
from cdk_ecrpublic.live_check.session import Session
from cdk_ecrpublic.sandbox import Settings
from tests.live_check.conftest import BY_NAME, USUAL, record
from tests.live_check.evidence_table import CHECKOUT, PAGE, Evidence, page, table


def test_the_table_on_the_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert text == page(text, Evidence.read()), "run make live-table"


def test_every_setting_is_in_the_table() -> None:
    rows = {line.split("|")[1].strip() for line in table(Evidence()).splitlines() if line.startswith("|")}

    assert [item.name for item in fields(Settings) if f"`{item.name}`" not in rows] == []


def test_the_sandbox_agrees_with_the_evidence(usual: tuple[list[Recording], Session]) -> None:
    found = Evidence.read().disagreements(usual[0])

    assert [(each.case, each.verdict, each.steps) for each in found] == []


def test_evidence_that_disagrees_with_the_sandbox_is_detected(tmp_path: Path) -> None:
    cases = [BY_NAME["upload-in-chunks"], BY_NAME["put-again"]]
    theirs, session = record(cases, Settings(patch_status=202))
    ours, _ = record(cases)
    report = Report(left="sandbox", right="AWS", date="2026-12-01", cases=cases, differences=compare(ours, theirs))
    write(tmp_path, report, session.transport.trace, {})

    evidence = Evidence.read(tmp_path / "aws.json")

    assert [each.case for each in evidence.disagreements(ours)] == ["upload-in-chunks"]
    assert "| `patch_status` | `upload-in-chunks` | measured on AWS, 2026-12-01 |" in table(evidence)
    assert "| `mount` | `start-uploads` | not measured |" in table(evidence)
    assert evidence.disagreements(theirs) == []


def test_evidence_of_a_case_that_stopped_is_not_used(tmp_path: Path) -> None:
    stopped = Recording(case="put-again", stopped="the budget is spent").as_data()
    path = tmp_path / "aws.json"
    path.write_text(json.dumps({"date": "2026-12-01", "cases": [stopped]}))

    assert Evidence.read(path).measured == {}


def test_without_evidence_no_case_counts_as_measured(tmp_path: Path) -> None:
    assert Evidence.read(tmp_path / "aws.json").measured == {}


@pytest.mark.parametrize("operation", sorted({"PutImage", "CreateRepository", "BatchDeleteImage"}))
def test_the_policy_limits_writes_to_the_run(operation: str) -> None:
    (statement,) = [each for each in policy("1" * 12)["Statement"] if f"ecr-public:{operation}" in each["Action"]]

    assert statement["Resource"] == "arn:aws:ecr-public::111111111111:repository/cdk-ecrpublic-live-check/*"


def test_the_policy_on_the_page_is_that_of_the_command() -> None:
    text = (CHECKOUT / "docs" / "how-to" / "live-check.md").read_text(encoding="utf-8")

    assert json.dumps(policy("123456789012"), indent=2) in text


def test_the_default_cases_include_the_most_important_ones() -> None:
    names = {case.name for case in USUAL}

    assert names >= {"put-again", "read-after-write", "remove-by-digest-and-tag", "use-other-host"}


SECTIONS = ("## The API", "### PutImage, case by case", "## The registry", "## Settings")

HEADS = ("operation", "case", "route", "setting")

WITHOUT_A_CASE = {
    "`GetRegistryCatalogData`, `PutRegistryCatalogData`": "they change the account's registry",
    "another account, allowed by a repository policy": "it needs a second account",
}


def test_every_row_about_ecr_public_rests_on_a_case() -> None:
    lines = PAGE.read_text(encoding="utf-8").partition("## The live check")[0].splitlines()
    section, rows = "", []
    for line in lines:
        section = line if line.startswith("#") else section
        if section in SECTIONS and line.startswith("| "):
            rows.append(line.split("|")[1].strip().removeprefix("\N{EN DASH} "))
    claimed = {name for case in CASES for name in (*case.fidelity, *(f"`{each}`" for each in case.settings))}

    missing = [row for row in rows if row not in claimed and row not in HEADS]
    assert sorted(missing) == sorted(WITHOUT_A_CASE)
