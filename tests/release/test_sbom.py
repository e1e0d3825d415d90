"""The bill of materials lists the dependencies of an installation, and none for the function."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from scripts import sbom
from tests.architecture.source import modules
from tests.support.distribution import build, contents, metadata, wheel_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OF_THE_RUNTIME = {"boto3", "botocore", "urllib3"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"), "--wheel")


@pytest.fixture(scope="module")
def listed(dist: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(sbom.write(dist, NOON).read_text(encoding="utf-8"))
    return parsed


def scoped(listed: dict[str, Any], scope: str) -> set[str]:
    return {each["name"] for each in listed["components"] if each["scope"] == scope and each["type"] == "library"}


def test_describes_the_wheel(dist: Path, listed: dict[str, Any]) -> None:
    ours = listed["metadata"]["component"]

    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    assert ours["purl"] == f"pkg:pypi/cdk-ecrpublic@{metadata(wheel_of(dist))['Version']}"
    assert ours["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(wheel_of(dist).read_bytes()).hexdigest()},
    ]


def test_is_reproducible(dist: Path) -> None:
    assert sbom.write(dist, NOON).read_bytes() == sbom.write(dist, NOON).read_bytes()


def test_lists_everything_that_an_installation_brings(dist: Path, listed: dict[str, Any]) -> None:
    """It has every requirement of the wheel in the tested version, and all transitive requirements."""
    requirements = [Requirement(line) for line in metadata(wheel_of(dist)).get_all("Requires-Dist", [])]
    versions = {each["name"]: each["version"] for each in listed["components"]}

    assert {"aws-cdk-lib", "constructs", "jsii", "attrs"} <= scoped(listed, "required")
    assert {"boto3", "click", "ministack", "pyyaml"} <= scoped(listed, "optional")
    assert {each.name for each in requirements} <= set(versions)
    assert [each.name for each in requirements if versions[each.name] not in each.specifier] == []
    assert versions["aws-cdk-lib"] == distribution("aws-cdk-lib").version


def test_every_dependency_is_a_component(listed: dict[str, Any]) -> None:
    names = {each["bom-ref"] for each in [*listed["components"], listed["metadata"]["component"]]}
    edges = {each["ref"]: each.get("dependsOn", []) for each in listed["dependencies"]}

    assert set(edges) == names
    assert {to for each in edges.values() for to in each} <= names
    assert {"lambda_handler", "aws-cdk-lib"} <= set(edges["cdk-ecrpublic"])


def test_the_function_contains_no_third_party_code(dist: Path, listed: dict[str, Any]) -> None:
    """It imports only itself and what Lambda provides, and the list says that it has no dependencies."""
    imported = {name.partition(".")[0] for module in modules("lambda_handler") for name in module.imports()}
    (handler,) = [each for each in listed["components"] if each["name"] == "lambda_handler"]
    (edges,) = [each.get("dependsOn", []) for each in listed["dependencies"] if each["ref"] == "lambda_handler"]
    assets = {Path(name).parts[2] for name in contents(wheel_of(dist)) if name.startswith("cdk_ecrpublic/_assets/")}

    assert imported - set(sys.stdlib_module_names) - {"lambda_handler"} <= OF_THE_RUNTIME
    assert assets == {"lambda_handler"}
    assert handler["properties"] == [{"name": "cdk-ecrpublic:third-party-code", "value": "none"}]
    assert edges == []
