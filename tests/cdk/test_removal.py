"""Rollbacks of moved sources, renames, and removal, with the real cdk command line."""

from __future__ import annotations

import pytest

from .conftest import Project

pytestmark = pytest.mark.cdk

NOWHERE = "sha256:" + "0" * 64
IMPORTS = "from aws_cdk import RemovalPolicy\nfrom cdk_ecrpublic import OnTagRemoved\n"


def image(source: str, *tags: str, name: str = "Release", **options: str) -> str:
    given = "".join(f", {key}={value}" for key, value in options.items())
    return f'PublicImage(self, "{name}", repository=repository, source={source}, tags={list(tags)!r}{given})\n'


def digest(value: str) -> str:
    return f'ImageSource.digest("{value}")'


def failing_after(first: str) -> str:
    """Declare images that succeed and then one that does not exist, so that CloudFormation rolls back."""
    broken = image(digest(NOWHERE), "debug", name="Broken")
    return f"first = {first}broken = {broken}broken.node.add_dependency(first)"


def images(project: Project) -> set[str]:
    answer = project.sandbox.client("ecr-public").describe_images(repositoryName=project.repository)
    return {each["imageDigest"] for each in answer["imageDetails"]}


def parameters(project: Project) -> list[str]:
    path = f"/cdk-ecrpublic/state/{project.sandbox.account}/{project.repository.replace('/', '--')}"
    answer = project.sandbox.client("ssm").get_parameters_by_path(Path=path, Recursive=True)
    return [each["Name"] for each in answer["Parameters"]]


def test_a_rollback_restores_the_image_that_a_source_tag_had_at_deployment(project: Project) -> None:
    first = project.push("first", "stable")
    project.write_app(image('ImageSource.tag("stable")', "latest"))
    project.deploy()
    project.push("second", "stable")
    assert len(parameters(project)) == 1

    project.write_app(failing_after(image('ImageSource.tag("stable")', "latest", refresh='"again"')))
    project.fail_to_deploy()

    assert project.tags()["latest"] == first.digest
    assert project.cdk("destroy", "--force").returncode == 0
    assert project.tags()["latest"] == first.digest
    assert parameters(project) == []


def test_a_preview_is_removed_with_its_stack(project: Project) -> None:
    release, preview = project.push("release", "1.0"), project.push("preview")
    project.write_app(
        IMPORTS + image(digest(preview.digest), "pr-7", "pr-7-abc", removal_policy="RemovalPolicy.DESTROY")
    )
    project.deploy()
    assert set(project.tags()) == {"1.0", "pr-7", "pr-7-abc"}

    result = project.cdk("destroy", "--force")

    assert result.returncode == 0, result.stdout
    assert project.tags() == {"1.0": release.digest}
    assert images(project) == {release.digest, *(child.digest for child in release.children)}
    assert parameters(project) == []


def test_a_removed_construct_still_has_the_permissions_for_its_removal(project: Project) -> None:
    """The function's policy is updated before CloudFormation cleans up."""
    kept, preview = project.push("kept"), project.push("preview")
    rest = image(
        'ImageSource.manifest(\'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}\')'
    )
    options = {"removal_policy": "RemovalPolicy.DESTROY"}
    project.write_app(IMPORTS + rest + image(digest(preview.digest), "pr-7", name="Preview", **options))
    project.deploy()

    project.write_app(IMPORTS + rest)
    project.deploy()

    assert project.tags() == {}
    assert preview.digest not in images(project)
    assert kept.digest in images(project)


def test_a_dropped_tag_is_removed_and_restored_by_a_rollback(project: Project) -> None:
    first = project.push("first", "build-1")
    options = {"on_tag_removed": "OnTagRemoved.UNTAG"}
    project.write_app(IMPORTS + image(digest(first.digest), "1", "2", **options))
    project.deploy()

    project.write_app(IMPORTS + failing_after(image(digest(first.digest), "1", **options)))
    project.fail_to_deploy()
    assert set(project.tags()) == {"1", "2", "build-1"}

    project.write_app(IMPORTS + image(digest(first.digest), "1", **options))
    project.deploy()
    assert set(project.tags()) == {"1", "build-1"}


def test_a_renamed_construct_keeps_its_tags(project: Project) -> None:
    first = project.push("first")
    options = {"removal_policy": "RemovalPolicy.DESTROY"}
    project.write_app(IMPORTS + image(digest(first.digest), "1", "latest", name="Before", **options))
    project.deploy()

    project.write_app(IMPORTS + image(digest(first.digest), "1", "latest", name="After", **options))
    project.deploy()

    assert project.tags() == {"1": first.digest, "latest": first.digest}
    assert len(parameters(project)) == 1
    assert project.cdk("destroy", "--force").returncode == 0
    assert images(project) == set()


def test_a_tag_moves_from_one_construct_to_another(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    options = {"on_tag_removed": "OnTagRemoved.UNTAG"}
    one, two = digest(first.digest), digest(second.digest)
    project.write_app(
        IMPORTS + image(one, "1", "latest", name="One", **options) + image(two, "2", name="Two", **options)
    )
    project.deploy()

    project.write_app(
        IMPORTS + image(one, "1", name="One", **options) + image(two, "2", "latest", name="Two", **options)
    )
    project.deploy()

    assert project.tags() == {"1": first.digest, "2": second.digest, "latest": second.digest}


def test_an_immutable_tag_stops_a_deployment_before_anything_is_written(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    options = {"immutable_tags": '["1.*"]'}
    project.write_app(image(digest(first.digest), "1.0", "latest", **options))
    project.deploy()

    project.write_app(image(digest(second.digest), "latest", "1.0", **options))
    said = " ".join(project.fail_to_deploy().split())

    assert f"tag '1.0' is immutable: it points to {first.digest} and must not move to {second.digest}" in said
    assert project.tags() == {"1.0": first.digest, "latest": first.digest}
