"""The documentation builds without warnings, and its pages load nothing from the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.cli.output.markdown import MARKER
from tests.architecture.source import CHECKOUT

FETCHED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'\s>]+)""")
FETCHED_BY_LINK = re.compile(
    r"""<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=["']?((?:https?:)?//[^"'\s>]+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built strictly: a broken link is an error."""
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(folder)],
        cwd=CHECKOUT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (build.returncode, build.stderr) == (0, "")
    return folder


def fetched(page: str) -> list[str]:
    """List the addresses that a browser loads to show *page*. Links do not count."""
    return FETCHED.findall(page) + FETCHED_BY_LINK.findall(page)


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}

    assert "index.html" in pages
    assert {name: found for name, page in pages.items() if (found := fetched(page))} == {}


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://example.com/mermaid.js">',
        "<script src=//example.com/a.js>",
        '<link rel="stylesheet" href="https://example.com/font.css">',
        '<link href="https://example.com/font.css" rel=stylesheet>',
        '<img alt="badge" src="https://example.com/badge.svg">',
    ],
)
def test_finds_what_a_page_would_load(tag: str) -> None:
    assert len(fetched(tag)) == 1


@pytest.mark.parametrize("tag", ['<a href="https://example.com/">', '<script src="assets/a.js">'])
def test_ignores_links_and_local_files(tag: str) -> None:
    assert fetched(tag) == []


def test_the_index_of_decisions_names_every_page() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in sorted(folder.glob("0*.md")) if f"]({path.name})" not in index] == []


def test_every_test_that_a_page_names_exists() -> None:
    page = (CHECKOUT / "docs" / "explanation" / "defects-of-peers.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    named = {tuple(name.split("::")) for row in rows for name in re.findall(r"`([a-z_/]+\.py::\w+)`", row)}

    assert [row for row in rows if ".py::" not in row] == []
    assert len(rows) == len(set(rows)) >= 30
    assert [name for name in named if f"def {name[1]}(" not in (CHECKOUT / "tests" / name[0]).read_text("utf-8")] == []


def test_the_page_of_the_command_line_has_every_command_and_option() -> None:
    page = (CHECKOUT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))

    assert sections.keys() == cli.commands.keys()
    for name, command in cli.commands.items():
        shown = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
        documented = set(re.findall(r"--[a-z][a-z-]*", sections[name]))
        assert {option for each in shown for option in each.opts} == documented


def test_the_workflow_on_the_page_uses_existing_commands_and_options() -> None:
    """People copy this YAML. Its command exists, with all options."""
    page = (CHECKOUT / "docs" / "how-to" / "review.md").read_text(encoding="utf-8")
    (workflow,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    steps = workflow["jobs"]["plan"]["steps"]
    script = "\n".join(step.get("run", "") for step in steps)

    ((name, options),) = re.findall(r"^\s*cdk-ecrpublic (\w+) (.*?) >", script, re.MULTILINE)
    known = {option for parameter in cli.commands[name].params for option in parameter.opts}
    assert {word for word in options.split() if word.startswith("--")} <= known
    assert MARKER in script


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    """mkdocs checks the pages in ``docs/``."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (CHECKOUT / page).read_text(encoding="utf-8"))

    assert [link for link in links if not (CHECKOUT / link).exists()] == []
