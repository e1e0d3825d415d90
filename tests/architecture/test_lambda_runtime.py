"""The handler runs with only the Lambda runtime and its own folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.architecture.source import CHECKOUT

RUNTIME = ("boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""Top-level names in the Lambda runtime for Python, besides the standard library."""

PROGRAM = """
import importlib, importlib.abc, pkgutil, sys

folder, *names = sys.argv[1:]
allowed = {*sys.stdlib_module_names, *names, "lambda_handler"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"{name} is not in the Lambda runtime", name=name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, folder)
module = importlib.import_module("lambda_handler.entrypoint")
assert module.__file__.startswith(folder), module.__file__
assert callable(module.handler)
# Some modules are imported when a request needs them.
for found in pkgutil.walk_packages([f"{folder}/lambda_handler"], "lambda_handler."):
    importlib.import_module(found.name)
print(*sorted(name for name in sys.modules if name.startswith("lambda_handler")))
"""


def load_entrypoint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Import the entrypoint from *folder* in a fresh, isolated interpreter."""
    command = [sys.executable, "-I", "-B", "-W", "error", "-c", PROGRAM, str(folder), *RUNTIME]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={}, timeout=60, check=False)


def copy_of_the_handler(folder: Path) -> Path:
    shutil.copytree(
        CHECKOUT / "lambda_handler", folder / "lambda_handler", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def test_the_entrypoint_needs_only_the_runtime(tmp_path: Path) -> None:
    loaded = load_entrypoint(copy_of_the_handler(tmp_path))

    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert "lambda_handler.entrypoint" in loaded.stdout.split()


def test_refuses_a_handler_that_needs_more(tmp_path: Path) -> None:
    folder = copy_of_the_handler(tmp_path)
    with (folder / "lambda_handler" / "oci" / "digest.py").open("a", encoding="utf-8") as file:
        file.write("\nimport click\n")

    loaded = load_entrypoint(folder)

    assert "click is not in the Lambda runtime" in loaded.stderr
