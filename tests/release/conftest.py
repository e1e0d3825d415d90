"""A copy of the checkout as a separate Git repository, whose `make` only records its targets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.records import RELEASED, versions
from tests.support.distribution import CHECKOUT

MAKE = """#!/bin/sh
echo "$@" >>"$MADE"
[ "$1" != "$BROKEN" ] || { echo "make: $1 is broken"; exit 1; }
"""

IDENTITY = {
    "GIT_AUTHOR_NAME": "A Maintainer",
    "GIT_AUTHOR_EMAIL": "maintainer@example.com",
    "GIT_COMMITTER_NAME": "A Maintainer",
    "GIT_COMMITTER_EMAIL": "maintainer@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass(frozen=True)
class Maintainer:
    """A maintainer with a checkout."""

    folder: Path
    tools: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **IDENTITY},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, subject: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)

    def release(self, *arguments: str, broken: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command; the target *broken* of `make` fails."""
        return self._run("scripts.release", *arguments, BROKEN=broken)

    def record(self, version: str) -> subprocess.CompletedProcess[str]:
        """Write the records of a version."""
        return self._run("tests.contract.records", version)

    def _run(self, module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.tools), os.environ["PATH"]])
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**os.environ, **IDENTITY, "PATH": path, "MADE": str(self.tools / "made"), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def made(self) -> list[str]:
        """List the targets that `make` was called with."""
        path = self.tools / "made"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a file."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def state(self) -> tuple[str, str, str]:
        """Return what a release may change: the newest commit, the tags, and uncommitted changes."""
        return self.git("rev-parse", "HEAD"), self.git("tag"), self.git("status", "--porcelain")


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    maintainer = Maintainer(tmp_path / "checkout", tmp_path / "tools")
    maintainer.tools.mkdir()
    make = maintainer.tools / "make"
    make.write_text(MAKE, encoding="utf-8")
    make.chmod(0o755)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        target = maintainer.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
    maintainer.git("init", "--quiet", "--initial-branch=main")
    as_before_a_release(maintainer)
    maintainer.commit("everything")
    return maintainer


def as_before_a_release(maintainer: Maintainer) -> None:
    """Set the copy to 0.1.0, which is not released and renders what the newest records contain."""
    for path, line, said in (
        ("pyproject.toml", 'version = "', 'version = "0.1.0"'),
        ("CHANGELOG.md", "## ", "## 0.1.0 (unreleased)"),
    ):
        file = maintainer.folder / path
        lines = file.read_text(encoding="utf-8").splitlines()
        first = next(number for number, each in enumerate(lines) if each.startswith(line))
        lines[first] = said
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    released = maintainer.folder / RELEASED.relative_to(CHECKOUT)
    newest = (released / versions()[-1]).rename(maintainer.tools / "newest")
    shutil.rmtree(released)
    released.mkdir()
    newest.rename(released / "0.1.0")
