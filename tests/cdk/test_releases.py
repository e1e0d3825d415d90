"""The lifecycle of a release for a user: the real cdk command line, and the real zip in a Lambda worker."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import pull

from .conftest import Project

pytestmark = pytest.mark.cdk

NOWHERE = "sha256:" + "0" * 64


def release(digest: str, *tags: str, name: str = "Release") -> str:
    return (
        f'PublicImage(self, "{name}", repository=repository, '
        f'source=ImageSource.digest("{digest}"), tags={list(tags)!r})'
    )


def test_a_release_is_deployed_reviewed_and_moved_and_outlives_its_stack(project: Project) -> None:
    first, second = project.push("first"), project.push("second")
    project.write_app(release(first.digest, "1.0.0", "1.0", "latest"))
    project.deploy()
    assert project.tags() == dict.fromkeys(("1.0", "1.0.0", "latest"), first.digest)

    project.write_app(release(second.digest, "1.0.1", "1.0", "latest"))
    diff = project.cdk("diff").stdout
    for line in ('[-]   "1.0.0"', '[+]   "1.0.1"', f"[-] {first.digest}", f"[+] {second.digest}"):
        assert line in diff
    assert "ECRPublicImageHandler" not in diff
    project.deploy()
    after = {"1.0": second.digest, "1.0.0": first.digest, "1.0.1": second.digest, "latest": second.digest}
    assert project.tags() == after

    assert project.cdk("destroy", "--force").returncode == 0
    assert project.tags() == after


def test_a_published_image_is_complete_and_equal_byte_for_byte(project: Project) -> None:
    image = project.push("whole")
    project.write_app(release(image.digest, "1"))

    project.deploy()

    uri = project.sandbox.client("ecr-public").describe_repositories(repositoryNames=[project.repository])
    assert pull(uri["repositories"][0]["repositoryUri"], "1") == image


def test_an_unchanged_app_writes_nothing(project: Project) -> None:
    project.write_app(release(project.push("same").digest, "1", "latest"))
    project.deploy()
    project.sandbox.requests.clear()

    project.deploy()

    assert project.sandbox.requests.count("PutImage") == 0


def test_refresh_applies_the_same_declaration_again(project: Project) -> None:
    image, other = project.push("declared"), project.push("by hand")
    project.write_app(release(image.digest, "latest"))
    project.deploy()
    project.push("by hand", "latest")
    assert project.tags() == {"latest": other.digest}

    project.write_app(release(image.digest, "latest").replace("tags=", 'refresh="1", tags='))
    project.deploy()

    assert project.tags() == {"latest": image.digest}


def test_a_failed_deployment_restores_every_tag_and_says_what_to_do(project: Project) -> None:
    good, better = project.push("good"), project.push("better")
    project.write_app(release(good.digest, "1", "latest"))
    project.deploy()

    project.write_app(
        f"first = {release(better.digest, '1', 'latest')}\n"
        f"second = {release(NOWHERE, 'debug', name='Debug')}\n"
        "second.node.add_dependency(first)"
    )
    said = " ".join(project.fail_to_deploy().split())

    assert project.tags() == {"1": good.digest, "latest": good.digest}
    assert f"NOT_FOUND: the image {NOWHERE} does not exist in repository '{project.repository}'" in said
    assert "Hint: push the image to this repository before deploying, or correct the digest" in said


def test_a_failed_first_deployment_leaves_no_stack_behind(project: Project) -> None:
    project.push("something")
    project.write_app(release(NOWHERE, "1"))

    said = project.fail_to_deploy()

    assert "NOT_FOUND" in said
    assert project.tags() == {}
    status = project.sandbox.client("cloudformation").describe_stacks(StackName="Test")["Stacks"][0]["StackStatus"]
    assert status == "ROLLBACK_COMPLETE"


def test_a_service_that_fails_once_is_retried(project: Project) -> None:
    image = project.push("patience")
    project.write_app(release(image.digest, "1"))
    project.sandbox.faults.add(Fault(operation="PutImage", code="ThrottlingException", repository=project.repository))

    project.deploy()

    assert project.tags() == {"1": image.digest}


def test_a_repository_and_its_first_manifest_are_created_together(project: Project) -> None:
    """The manifest is large and not ASCII, so it goes through S3 into a repository of the same stack."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "annotations": {"org.opencontainers.image.description": "größer als sechzehn KiB " * 1000},
    }
    (project.folder / "index.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
    project.write_app(
        f'own = PublicRepository(self, "Own", repository_name="{project.repository}-own", description="of the stack")\n'
        'source = ImageSource.manifest_file("index.json")\n'
        'image = PublicImage(self, "Image", repository=own, source=source, tags=["1"])\n'
        'CfnOutput(self, "Digest", value=image.image_digest)'
    )

    said = project.deploy()

    own = project.sandbox.client("ecr-public").describe_repositories(repositoryNames=[f"{project.repository}-own"])
    pulled = pull(own["repositories"][0]["repositoryUri"], "1")
    assert pulled.manifest == (project.folder / "index.json").read_bytes()
    assert f"Test.Digest = {pulled.digest}" in said


def test_an_app_can_have_its_own_lambda_handler_package(project: Project) -> None:
    folder = project.folder / "lambda_handler"
    folder.mkdir()
    (folder / "__init__.py").write_text('MINE = "the app\'s own"')
    image = project.push("mine")
    project.write_app("import lambda_handler\nassert lambda_handler.MINE\n" + release(image.digest, "1"))

    # This process has already imported the function.
    assert project.cdk("deploy", "--require-approval", "never", own_process=True).returncode == 0

    assert project.tags() == {"1": image.digest}


def test_options_of_the_provider_change_the_function_in_place(project: Project) -> None:
    image = project.push("options")
    project.write_app(release(image.digest, "1"))
    project.deploy()

    project.write_app(
        "from aws_cdk import Duration\n"
        'PublicImageProvider(self, "Options", memory_size=1024, timeout=Duration.minutes(2))\n'
        + release(image.digest, "2")
    )
    project.deploy()

    assert project.tags() == {"1": image.digest, "2": image.digest}
