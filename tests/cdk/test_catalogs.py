"""The lifecycle of catalogs: deploying, changing the file, and deleting, which changes nothing in the registry."""

from __future__ import annotations

import json

import pytest

from .conftest import Project

pytestmark = pytest.mark.cdk


def write_images(project: Project, name: str, images: dict[str, list[str]]) -> None:
    """Write a bare list of one image, with its digests and tags. It is JSON, which is also YAML."""
    (project.folder / name).write_text(json.dumps([{"name": project.repository, "dmap": images}]))


def test_catalogs_are_deployed_and_changed_and_images_outlive_their_stack(project: Project) -> None:
    """One catalog is in the stack itself, and one in a nested stack with its own function."""
    first, second = project.push("first"), project.push("second")
    alias = project.sandbox.client("ecr-public").describe_registries()["registries"][0]["aliases"][0]["name"]
    project.write_app(
        "from cdk_ecrpublic import PublicImageCatalog\n"
        f'where = "public.ecr.aws/{alias}"\n'
        'PublicImageCatalog.from_file(self, "Catalog", "images.yaml", destination=where)\n'
        'nested = PublicImageCatalog.from_file(self, "Nested", "nested.yaml", destination=where, stacks=3)\n'
        f'CfnOutput(self, "Stable", value=nested.image("{project.repository}", "stable").image_uri)'
    )
    write_images(project, "images.yaml", {first.digest: ["1.0.0", "latest"]})
    write_images(project, "nested.yaml", {first.digest: ["stable"]})
    said = project.deploy()
    assert project.tags() == dict.fromkeys(("1.0.0", "latest", "stable"), first.digest)
    assert f"{project.repository}@{first.digest}" in said

    write_images(project, "images.yaml", {first.digest: ["1.0.0"], second.digest: ["1.0.1", "latest"]})
    project.deploy()
    after = {"1.0.0": first.digest, "stable": first.digest, "1.0.1": second.digest, "latest": second.digest}
    assert project.tags() == after

    assert project.cdk("destroy", "--force").returncode == 0
    assert project.tags() == after
