"""
Make a release on this machine: check, build, commit and tag it. Nothing is pushed or uploaded.

Usage: python -m scripts.release VERSION [--dry-run]

pyproject.toml and the first heading of CHANGELOG.md must state the version, the latter
as "(unreleased)". If a step fails, only files in dist/ have changed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from scripts import sbom
from scripts.upgrade import RECORDS, Upgrade, compare

CHECKOUT = Path(__file__).resolve().parents[1]
CHANGELOG = CHECKOUT / "CHANGELOG.md"
DIST = CHECKOUT / "dist"

QUESTION = "**Will this redeploy my images?**"


class ReleaseError(Exception):
    """The release cannot be made; the message says why, and what to do."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="make release", description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("version", metavar="VERSION", help="the version in pyproject.toml and CHANGELOG.md")
    parser.add_argument("--dry-run", action="store_true", help="do not commit or tag; change files in dist/ only")
    arguments = parser.parse_args()
    try:
        release(arguments.version, datetime.now(UTC), is_dry=arguments.dry_run)
    except ReleaseError as error:
        sys.exit(f"release: {error}")


def release(version: str, now: datetime, *, is_dry: bool) -> None:
    """
    Make the release of *version*, dated *now*.

    Raises:
        ReleaseError: A check, a test or a step failed.
    """
    check_state(version)
    with unless_kept() as keep:
        _run("recording what this version renders", sys.executable, "-m", "tests.contract.records", version)
        upgrade = compare(CHECKOUT, version, _git)
        notes = check_notes(version, upgrade)
        date_changelog(version, now)
        _run("make check", "make", "check")
        # ARGS of `make release` is not for pytest.
        _run("make test", "make", "test", "ARGS=")
        build(now)
        say(*upgrade.lines())
        if is_dry:
            say(f"dry run: {version} was neither committed nor tagged")
            return
        _git("add", "--", CHANGELOG.name, RECORDS)
        _git("commit", "--quiet", "--message", f"release: {version}", "--message", "\n".join(upgrade.lines()))
        keep()
    _git("tag", "--annotate", f"v{version}", "--cleanup=verbatim", "--message", f"{version}\n\n{notes}")
    say(f"v{version} is tagged, and dist/ is built; nothing was pushed or uploaded")


def check_state(version: str) -> None:
    """Check the version, the changelog and the checkout."""
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        refuse(f"{version!r} is not a version; expected major.minor.patch")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["version"] != version:
        refuse(f"pyproject.toml says {project['version']}, not {version}; set the version there, and commit it")
    if _heading() != f"{version} (unreleased)":
        refuse(f'CHANGELOG.md begins with "## {_heading()}"; expected "## {version} (unreleased)"')
    if changed := _git("status", "--porcelain"):
        refuse(f"the checkout has changes; commit or stash them:\n{changed}")
    if _git("tag", "--list", f"v{version}"):
        refuse(f"v{version} is already tagged; choose the next version")


def check_notes(version: str, upgrade: Upgrade) -> str:
    """
    Compare the changelog's answer with the records.

    Returns:
        The notes of the version.
    """
    notes = _sections()[0].partition("\n")[2].strip()
    answer = notes.partition(QUESTION)[2].strip()
    if not answer:
        refuse(f'CHANGELOG.md does not answer for {version}: "{QUESTION}"')
    is_denied = answer.lower().startswith("no")
    if upgrade.previous and bool(upgrade.redeployed) == is_denied:
        refuse("\n".join([f'CHANGELOG.md answers "{answer.splitlines()[0]}", but:', *upgrade.lines()]))
    return notes


def date_changelog(version: str, now: datetime) -> None:
    """Replace "(unreleased)" with the date."""
    text = CHANGELOG.read_text(encoding="utf-8")
    dated = text.replace(f"## {version} (unreleased)", f"## {version} ({now:%Y-%m-%d})", 1)
    CHANGELOG.write_text(dated, encoding="utf-8")


def build(now: datetime) -> None:
    """Build the wheel, the source archive and the bill of materials into dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run("building", sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), ".")
    sbom.write(DIST, now)
    say(*(f"dist/{path.name}" for path in sorted(DIST.iterdir())))


@contextmanager
def unless_kept() -> Iterator[Callable[[], None]]:
    """Restore the changelog and the records at the end, unless the yielded function was called."""
    kept: list[bool] = []
    try:
        yield lambda: kept.append(True)
    finally:
        if not kept:
            _git("restore", "--staged", "--worktree", "--source=HEAD", "--", CHANGELOG.name, RECORDS)
            _git("clean", "--quiet", "--force", "-d", "--", RECORDS)


def say(*lines: str) -> None:
    """Print lines at once, in order with the output of commands."""
    sys.stdout.write("".join(f"release: {line}\n" for line in lines))
    sys.stdout.flush()


def refuse(message: str) -> None:
    """
    Stop.

    Raises:
        ReleaseError: Always.
    """
    raise ReleaseError(message)


def _heading() -> str:
    return _sections()[0].partition("\n")[0]


def _sections() -> list[str]:
    """Split the changelog into versions, the newest first."""
    return re.split(r"^## ", CHANGELOG.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


def _run(what: str, *command: str) -> None:
    say(what)
    done = subprocess.run(  # noqa: S603 - commands of the checkout
        command, cwd=CHECKOUT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        refuse(f"{what} failed:\n{done.stdout.decode(errors='replace')}")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)  # noqa: S603 - git
    if done.returncode:
        refuse(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
