"""Committed files: no paths of one machine, no download hosts, all commands documented, all versions pinned."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source import CHECKOUT

FORBIDDEN = {
    # Written so that the patterns do not match this file.
    "a download host": re.compile(
        r"pypi[.]org|python[h]osted|registry[.]npmjs|proxy[.]golang|deb[.]debian[.]|(?:security|ftp)[.]debian[.]"
    ),
    "the origin of a package": re.compile(r'"resolve[d]":'),
    "a path of one machine": re.compile(r"(?<![\w.$}~-])/(home|root|work|Users)/\w"),
}


def committed_files() -> list[Path]:
    """List the files that git tracks; links are not followed."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    paths = [CHECKOUT / name for name in names.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def findings(text: str) -> list[str]:
    """List what must not be committed in *text*, as ``line: what``."""
    return [
        f"{number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(line)
    ]


def test_no_file_names_a_download_host_or_a_path_of_one_machine() -> None:
    found = {
        str(path.relative_to(CHECKOUT)): lines
        for path in committed_files()
        if (lines := findings(path.read_text(encoding="utf-8", errors="replace")))
    }

    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://pypi|.org/simple",
        '"resolved|": "https|://host.example/aws-cdk.tgz"',
        "open('/home|/jane/project')",
        "see /root|/notes",
    ],
)
def test_finds_what_must_not_be_committed(line: str) -> None:
    """The bar in each line prevents a match in this file."""
    assert len(findings(line.replace("|", ""))) == 1


@pytest.mark.parametrize("line", ["${HOME}/ro|ot/x", "lambda/wo|rk/x", "https|://host.example/home/page"])
def test_accepts_other_paths(line: str) -> None:
    assert findings(line.replace("|", "")) == []


def test_make_without_a_target_explains_every_target() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    printed = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    explained = re.findall(r"^  make (\S+) +\S", printed, re.MULTILINE)

    assert targets == explained


def test_the_contributors_guide_names_every_target() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    guide = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert [
        name for name in re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE) if f"make {name}" not in guide
    ] == []


def _project() -> dict[str, dict[str, object]]:
    parsed: dict[str, dict[str, object]] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return parsed


def _requirements() -> list[Requirement]:
    """Collect every requirement of pyproject.toml: to run, to build, for each extra, for a checkout."""
    found: list[Requirement] = []

    def collect(node: object) -> None:
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            if isinstance(item, str):
                found.append(Requirement(item))
            else:
                collect(item)

    parsed = _project()
    collect([parsed["project"]["dependencies"], parsed["project"]["optional-dependencies"]])
    collect([parsed["build-system"]["requires"], parsed["dependency-groups"]])
    return [requirement for requirement in found if requirement.name != "cdk-ecrpublic"]


def _pins() -> dict[str, list[str]]:
    lines = (CHECKOUT / "requirements/constraints.txt").read_text(encoding="utf-8").splitlines()
    pins: dict[str, list[str]] = {}
    for requirement in (Requirement(line) for line in lines if line and not line.startswith("#")):
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{requirement} is not pinned"
        pins.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    return pins


@pytest.mark.parametrize("requirement", _requirements(), ids=str)
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    versions = _pins()[canonicalize_name(requirement.name)]

    assert [version for version in versions if version not in requirement.specifier] == []


def test_the_cdk_command_line_is_pinned() -> None:
    asked = json.loads((CHECKOUT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    locked = json.loads((CHECKOUT / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert asked == {"aws-cdk": locked["node_modules/aws-cdk"]["version"]}
    assert locked["node_modules/aws-cdk"]["integrity"].startswith("sha512-")


def test_the_changelog_says_of_each_release_whether_it_redeploys() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]

    assert releases
    assert [text.splitlines()[0] for text in releases if "**Will this redeploy my images?**" not in text] == []
    assert f"## {_project()['project']['version']} " in changelog
