"""Build the wheel and the source archive, and create clean virtual environments to install them into."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LOCK = CHECKOUT / "requirements" / "constraints.txt"


def build(folder: Path, *arguments: str) -> Path:
    """Build the checkout into *folder*: the source archive, and the wheel from it, unless *arguments* say otherwise."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), *arguments, str(CHECKOUT))
    return folder


def run(*command: str, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Run *command*, which must succeed, and return its output."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_of(folder: Path) -> Path:
    """Return the only wheel in *folder*."""
    (wheel,) = folder.glob("*.whl")
    return wheel


def source_archive_of(folder: Path) -> Path:
    """Return the only source archive in *folder*."""
    (archive,) = folder.glob("*.tar.gz")
    return archive


def contents(wheel: Path) -> dict[str, bytes]:
    """Read every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    """Parse a wheel's METADATA."""
    (text,) = (data for name, data in contents(wheel).items() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(text.decode())


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment that contains nothing from the checkout."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> CleanEnvironment:
        """Create an environment that contains only pip."""
        venv.create(folder, with_pip=True, symlinks=True)
        return cls(folder)

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def install(self, *requirements: str) -> None:
        """
        Install with the environment's own pip, in the versions that the checkout is tested with.

        Use the wheels that ``make setup`` has downloaded, or else the index that
        pip is configured for.
        """
        command = (self.python, "-m", "pip", "install", "--quiet", "--no-compile", *requirements)
        run(*command, environment={**os.environ, **_offline(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"})

    def variables(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the variables of a shell in which it is activated: those of *base*, except those for the checkout."""
        ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        kept = {name: value for name, value in base.items() if name not in ours}
        path = os.pathsep.join([str(self.folder / "bin"), kept["PATH"]])
        return {**kept, "PATH": path, "VIRTUAL_ENV": str(self.folder)}


def _offline() -> dict[str, str]:
    """Return the pip options for the folder of wheels of ``scripts/setup``, which has the same name there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    wheels = cache / "cdk-ecrpublic" / "wheels" / f"{key}-{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    pinned = {"PIP_CONSTRAINT": str(LOCK)}
    return {**pinned, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)} if wheels.is_dir() else pinned
