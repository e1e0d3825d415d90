"""The page about the fidelity of the sandbox, compared with the sandbox."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from cdk_ecrpublic.sandbox import Settings
from cdk_ecrpublic.sandbox.operations import API_OPERATIONS

PAGE = (Path(__file__).parents[2] / "docs/explanation/sandbox-fidelity.md").read_text(encoding="utf-8")


def first_column(heading: str) -> list[str]:
    """Return the names in the first column of the table under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_names_every_operation() -> None:
    assert set(API_OPERATIONS) <= set(first_column("The API"))


def test_names_every_setting_and_no_other() -> None:
    assert first_column("Settings") == [item.name for item in fields(Settings)]
