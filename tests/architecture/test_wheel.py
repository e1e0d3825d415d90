"""The content and the metadata of the wheel and the source archive; `tests/cdk` installs them."""

from __future__ import annotations

import tarfile
import tomllib
from pathlib import Path

import pytest
import trove_classifiers
from packaging.requirements import Requirement

from tests.architecture.source import CHECKOUT
from tests.support.distribution import build, contents, metadata, source_archive_of, wheel_of


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it."""
    return build(tmp_path_factory.mktemp("dist"))


def _sources(top: str, under: str = "") -> set[str]:
    """List the Python files of a package of the checkout, as the wheel should name them."""
    return {f"{under}{path.relative_to(CHECKOUT).as_posix()}" for path in (CHECKOUT / top).rglob("*.py")}


def test_the_wheel_holds_the_library_and_the_handler_and_nothing_else(dist: Path) -> None:
    names = {name for name in contents(wheel_of(dist)) if ".dist-info/" not in name}
    python = {name for name in names if name.endswith(".py")}

    assert _sources("cdk_ecrpublic") | _sources("lambda_handler", "cdk_ecrpublic/_assets/") == python
    assert {"cdk_ecrpublic/py.typed", "cdk_ecrpublic/catalog/catalog.schema.json"} <= names
    gallery = "cdk_ecrpublic/sandbox/gallery"
    assert {f"{gallery}/templates/base.html", f"{gallery}/static/style.css"} <= names
    assert {"cdk_ecrpublic"} == {name.partition("/")[0] for name in names}
    assert [name for name in names if "__pycache__" in name or "/." in name] == []


def test_the_wheel_from_the_source_archive_equals_the_wheel_from_the_checkout(dist: Path, tmp_path: Path) -> None:
    direct = build(tmp_path, "--wheel")

    assert contents(wheel_of(direct)) == contents(wheel_of(dist))


def test_the_source_archive_holds_no_tests_and_no_link(dist: Path) -> None:
    with tarfile.open(source_archive_of(dist)) as archive:
        members = archive.getmembers()

    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert [member.name for member in members if member.name.split("/")[1] in ("tests", "demo", "docs")] == []


def test_the_wheel_has_the_expected_metadata_files(dist: Path) -> None:
    wheel = wheel_of(dist)
    files = {
        name.partition(".dist-info/")[2]: data.decode() for name, data in contents(wheel).items() if "-info" in name
    }

    assert wheel.name.endswith("-py3-none-any.whl")
    assert set(files) == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert files["entry_points.txt"].split() == [
        "[console_scripts]",
        "cdk-ecrpublic",
        "=",
        "cdk_ecrpublic.cli:main",
    ]
    assert files["licenses/LICENSE"] == (CHECKOUT / "LICENSE").read_text(encoding="utf-8")


def test_the_metadata_is_what_was_reviewed(dist: Path) -> None:
    """pip and package indexes use the metadata. A missing line would make the library unavailable to some users."""
    fields = metadata(wheel_of(dist))

    assert (fields["Name"], fields["Version"]) == ("cdk-ecrpublic", _project()["version"])
    assert (fields["License-Expression"], fields.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    assert fields["Requires-Python"] == ">=3.11"
    assert fields["Description-Content-Type"] == "text/markdown"
    assert str(fields.get_payload()).strip() == (CHECKOUT / "README.md").read_text(encoding="utf-8").strip()
    assert {"Framework :: AWS CDK :: 2", "Typing :: Typed"} <= set(fields.get_all("Classifier", []))
    # A URL in a published wheel cannot be changed, so there is none before the project has one.
    assert fields.get_all("Project-URL", []) == []


def test_the_package_index_knows_the_classifiers(dist: Path) -> None:
    """The index refuses an upload with an unknown classifier."""
    named = metadata(wheel_of(dist)).get_all("Classifier", [])

    assert [name for name in named if name not in trove_classifiers.classifiers] == []
    assert [name for name in named if name in trove_classifiers.deprecated_classifiers] == []


def test_an_app_needs_the_cdk_and_nothing_else(dist: Path) -> None:
    """The sandbox, the command line and catalogs declare all their dependencies."""
    requirements = [Requirement(line) for line in metadata(wheel_of(dist)).get_all("Requires-Dist", [])]
    extras = set(metadata(wheel_of(dist)).get_all("Provides-Extra", []))

    assert {str(each) for each in requirements if each.marker is None} == {
        "aws-cdk-lib<3,>=2.257",
        "constructs<11,>=10",
    }
    assert extras == {"catalog", "cli", "sandbox"}
    assert _of_extra(requirements, "catalog") == {"pyyaml"}
    assert _of_extra(requirements, "cli") == {"boto3", "click", "pyyaml", "rich", "urllib3"}
    assert _of_extra(requirements, "sandbox") - _of_extra(requirements, "cli") == {
        "cryptography",
        "hypercorn",
        "jinja2",
        "ministack",
        "starlette",
    }


def _of_extra(requirements: list[Requirement], extra: str) -> set[str]:
    return {each.name for each in requirements if each.marker and each.marker.evaluate({"extra": extra})}


def _project() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project
