"""
The software bill of materials of a release: CycloneDX 1.6, as JSON.

It lists the dependencies of ``pip install cdk-ecrpublic`` and of each extra, in the
versions that were tested, and the Lambda function, which has no dependencies.

Usage: python -m scripts.sbom DIST
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME = "cdk-ecrpublic"
HANDLER = "lambda_handler"
HANDLER_ORIGIN = "cdk-ecrpublic:third-party-code"
"""A property of the function's component: the third-party code in it."""


def write(dist: Path, released: datetime) -> Path:
    """
    Describe the wheel in *dist*, next to it.

    Args:
        released: The time stamp of the file. The same wheel and the same time give
            the same file.
    """
    (wheel,) = dist.glob("*.whl")
    version = wheel.name.split("-")[1]
    bom = describe(version, hashlib.sha256(wheel.read_bytes()).hexdigest(), released)
    path = dist / f"{NAME}-{version}.cdx.json"
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    path.write_text(outputter.output_as_string(indent=2) + "\n", encoding="utf-8")
    return path


def describe(version: str, sha256: str, released: datetime) -> Bom:
    """Create the bill of materials for the wheel of *version* with this digest."""
    ours = Component(
        name=NAME,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=NAME,
        purl=PackageURL("pypi", name=NAME, version=version),
        licenses=[LicenseExpression("Apache-2.0")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{ours.purl}#{sha256}"))
    bom.metadata.timestamp = released
    bom.metadata.component = ours
    required = closure(NAME)
    components = {name: _component(name, is_required=name in required) for name in closure(NAME, *_extras())}
    handler = _handler(version)
    bom.components.update([handler, *components.values()])
    for name, component in components.items():
        bom.register_dependency(component, [components[each] for each in sorted(_direct(name))])
    bom.register_dependency(handler)
    direct = sorted(_direct(NAME, *_extras()))
    bom.register_dependency(ours, [handler, *(components[each] for each in direct)])
    return bom


def closure(name: str, *extras: str) -> set[str]:
    """Collect the transitive dependencies of *name* by canonical name, without *name* itself."""
    found: set[str] = set()
    left = _direct(name, *extras)
    while left:
        each = left.pop()
        found.add(each)
        left |= _direct(each) - found
    return found - {name}


def _direct(name: str, *extras: str) -> set[str]:
    requirements = [Requirement(text) for text in distribution(name).requires or []]
    names: set[str] = {canonicalize_name(each.name) for each in _applicable(requirements, extras)}
    return names - {name}


def _applicable(requirements: Iterable[Requirement], extras: Iterable[str]) -> Iterator[Requirement]:
    environments = [{"extra": extra} for extra in ("", *extras)]
    for each in requirements:
        if each.marker is None or any(each.marker.evaluate(environment) for environment in environments):
            yield each


def _extras() -> list[str]:
    return distribution(NAME).metadata.get_all("Provides-Extra") or []


def _component(name: str, *, is_required: bool) -> Component:
    installed = distribution(name)
    return Component(
        name=name,
        version=installed.version,
        type=ComponentType.LIBRARY,
        bom_ref=name,
        scope=ComponentScope.REQUIRED if is_required else ComponentScope.OPTIONAL,
        purl=PackageURL("pypi", name=name, version=installed.version),
        licenses=_licenses(installed),
    )


def _licenses(installed: Distribution) -> list[License]:
    """Return the license in the metadata of a package: an SPDX expression, or else the first line of the text."""
    if expression := _said(installed, "License-Expression"):
        return [LicenseExpression(expression)]
    name = _said(installed, "License").partition("\n")[0]
    return [DisjunctiveLicense(name=name)] if name not in ("", "UNKNOWN") else []


def _said(installed: Distribution, field: str) -> str:
    values: list[str] = installed.metadata.get_all(field) or [""]
    return values[0].strip()


def _handler(version: str) -> Component:
    return Component(
        name=HANDLER,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=HANDLER,
        scope=ComponentScope.REQUIRED,
        description="Runs in AWS Lambda, with the Python, botocore and urllib3 of the Lambda runtime",
        licenses=[LicenseExpression("Apache-2.0")],
        properties=[Property(name=HANDLER_ORIGIN, value="none")],
    )


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]), datetime.now().astimezone())}\n")
