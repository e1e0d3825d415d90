"""The wheel holds the library and the handler's source, and works where nothing else of the project is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.architecture.source import CHECKOUT

USERS_APP = """
import json, pathlib, sys

target, app_folder = sys.argv[1:]
sys.path[:0] = [app_folder, target]

import lambda_handler
assert lambda_handler.WHOSE == "the user's own"

import aws_cdk
import cdk_ecrpublic
assert cdk_ecrpublic.__file__.startswith(target), cdk_ecrpublic.__file__

app = aws_cdk.App(outdir=str(pathlib.Path(app_folder) / "cdk.out"))
stack = aws_cdk.Stack(app, "Release")
cdk_ecrpublic.PublicImage(
    stack, "Image",
    repository=cdk_ecrpublic.PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
    source=cdk_ecrpublic.ImageSource.digest("sha256:" + "9f" * 32),
    tags=["1.4.2"],
)
app.synth()
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it."""
    return _build(tmp_path_factory.mktemp("dist"))


def _build(folder: Path, *arguments: str) -> Path:
    _run("-m", "build", "--no-isolation", "--outdir", str(folder), *arguments, str(CHECKOUT))
    return folder


def _run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _wheel(folder: Path) -> Path:
    return next(folder.glob("*.whl"))


def _contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _sources(top: str, under: str = "") -> set[str]:
    """List the Python files of a package of the checkout, as the wheel should name them."""
    return {f"{under}{path.relative_to(CHECKOUT).as_posix()}" for path in (CHECKOUT / top).rglob("*.py")}


def test_the_wheel_holds_the_library_and_the_handler_and_nothing_else(dist: Path) -> None:
    names = {name for name in _contents(_wheel(dist)) if ".dist-info/" not in name}
    python = {name for name in names if name.endswith(".py")}

    assert _sources("cdk_ecrpublic") | _sources("lambda_handler", "cdk_ecrpublic/_assets/") == python
    assert {"cdk_ecrpublic/py.typed", "cdk_ecrpublic/catalog/catalog.schema.json"} <= names
    assert {"cdk_ecrpublic"} == {name.partition("/")[0] for name in names}
    assert [name for name in names if "__pycache__" in name or "/." in name] == []


def test_the_wheel_from_the_source_archive_is_the_wheel_from_the_checkout(dist: Path, tmp_path: Path) -> None:
    direct = _build(tmp_path, "--wheel")

    assert _contents(_wheel(direct)) == _contents(_wheel(dist))


def test_the_source_archive_holds_no_tests_and_no_link(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        members = archive.getmembers()

    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert [member.name for member in members if member.name.split("/")[1] in ("tests", "demo", "docs")] == []


@pytest.mark.cdk
def test_a_users_app_with_a_lambda_handler_of_its_own_synthesizes(dist: Path, tmp_path: Path) -> None:
    target, app = tmp_path / "installed", tmp_path / "app"
    _run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(_wheel(dist)))
    (app / "lambda_handler").mkdir(parents=True)
    (app / "lambda_handler" / "__init__.py").write_text('WHOSE = "the user\'s own"\n', encoding="utf-8")

    _run("-I", "-c", USERS_APP, str(target), str(app))

    assets = [path for path in (app / "cdk.out").glob("asset.*/*") if path.is_dir()]
    assert [path.name for path in assets] == ["lambda_handler"]
    assert (assets[0] / "entrypoint.py").read_bytes() == (CHECKOUT / "lambda_handler/entrypoint.py").read_bytes()
