"""``plan`` and ``verify`` before and after deployments with the real cdk command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import build_image, push_image

from .conftest import Project, environment
from .test_releases import release
from .test_sources import push_to_private_ecr

pytestmark = pytest.mark.cdk


def tool(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run cdk-ecrpublic in the project's folder."""
    return subprocess.run(
        [sys.executable, "-m", "cdk_ecrpublic.cli", *arguments],
        cwd=project.folder,
        env=environment(project.sandbox),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def plan(project: Project, *options: str) -> dict[str, Any]:
    """Synthesize and plan; return the only image."""
    assert project.cdk("synth", "--quiet").returncode == 0
    result = tool(project, "plan", "--format", "json", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    (image,) = json.loads(result.stdout)["images"]
    assert isinstance(image, dict)
    return image


def test_a_release_is_planned_deployed_and_verified(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    project.write_app(release(first.digest, "1.0", "latest"))
    assert plan(project)["state"] == "changed"
    project.deploy()
    assert plan(project)["state"] == "unchanged"

    project.write_app(release(second.digest, "1.1", "latest"))
    planned = plan(project)
    assert [(tag["tag"], tag["action"]) for tag in planned["tags"]] == [("1.1", "create"), ("latest", "move")]
    assert tool(project, "verify").returncode == 1
    project.deploy()

    assert {tag["tag"]: tag["after"] for tag in planned["tags"]}.items() <= project.tags().items()
    assert tool(project, "verify").returncode == 0


def test_a_tag_that_was_moved_by_hand_is_noticed_and_stays_until_refresh(project: Project) -> None:
    """CloudFormation sends no request for an unchanged declaration."""
    image, by_hand = project.push("first"), project.push("by hand")
    project.write_app(release(image.digest, "1.0"))
    project.deploy()
    push_image(project.sandbox, project.repository, by_hand, ["1.0"])

    verified = tool(project, "verify")
    drifted = plan(project)
    project.deploy()

    assert verified.returncode == 1
    assert f"tag 1.0 points to {by_hand.digest}, but should point to {image.digest}" in verified.stdout
    assert drifted["state"] == "drifted"
    assert "set `refresh` to apply it again" in drifted["problems"][0]
    assert project.tags() == {"1.0": by_hand.digest}
    project.write_app(release(image.digest, "1.0").replace("tags=", 'refresh="1", tags='))
    assert plan(project)["state"] == "changed"
    project.deploy()
    assert project.tags() == {"1.0": image.digest}


def test_shows_tags_that_will_be_removed(project: Project) -> None:
    image = project.push("first")
    untag = "on_tag_removed=OnTagRemoved.UNTAG, tags="
    project.write_app(_import(release(image.digest, "1.0", "old").replace("tags=", untag)))
    project.deploy()
    project.write_app(_import(release(image.digest, "1.0").replace("tags=", untag)))

    planned = plan(project)
    project.deploy()

    assert [(tag["tag"], tag["action"]) for tag in planned["tags"]] == [("1.0", "unchanged"), ("old", "remove")]
    assert project.tags() == {"1.0": image.digest}


PRIVATE = """
from aws_cdk import aws_ecr as ecr
private = ecr.Repository.from_repository_name(self, "Private", "{name}")
PublicImage(self, "Copy", repository=repository, source=ImageSource.ecr(private, digest="{digest}"), tags=["1"])
"""


def test_an_environment_agnostic_stack_can_be_reviewed(project: Project) -> None:
    """Its account and Region come from the credentials, as for ``cdk deploy``."""
    image, name = build_image({"etc/name": b"private"}), f"{project.repository}-private"
    push_to_private_ecr(project, name, image)
    project.write_app(PRIVATE.format(name=name, digest=image.digest))

    planned = plan(project)
    project.deploy()

    assert (planned["state"], planned["problems"]) == ("changed", [])
    assert plan(project)["state"] == "unchanged"
    assert tool(project, "verify").returncode == 0
    project.sandbox.client("ecr-public").batch_delete_image(
        repositoryName=project.repository, imageIds=[{"imageTag": "1"}]
    )
    assert tool(project, "verify").returncode == 1
    assert plan(project)["state"] == "drifted"


NESTED = """
from aws_cdk import NestedStack
tag = CfnParameter(self, "Tag", default="never")
nested = NestedStack(self, "Nested")
repository = PublicRepository.from_repository_name(nested, "Repository", "{name}")
PublicImage(nested, "Release", repository=repository, source=ImageSource.digest("{digest}"), tags=[tag.value_as_string])
"""


def test_a_nested_stack_with_a_parameter_is_reviewed_as_deployed(project: Project) -> None:
    image, by_hand = project.push("first"), project.push("by hand")
    project.write_app(NESTED.format(name=project.repository, digest=image.digest))
    told = ("--parameters", "Tag=2.0")

    planned = plan(project, *told)
    assert project.cdk("deploy", "--require-approval", "never", *told).returncode == 0

    assert [(tag["tag"], tag["action"]) for tag in planned["tags"]] == [("2.0", "create")]
    assert plan(project)["state"] == "unchanged", "CloudFormation keeps the given values"
    assert tool(project, "verify").returncode == 0
    push_image(project.sandbox, project.repository, by_hand, ["2.0"])
    assert plan(project)["state"] == "drifted"
    assert plan(project, "--parameters", "Tag=2.1")["tags"][0]["tag"] == "2.1"


def _import(body: str) -> str:
    return f"from cdk_ecrpublic import OnTagRemoved\n{body}"
