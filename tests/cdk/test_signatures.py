"""Signed releases with the real cdk command line, their rollback, and one that is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Repository
from cdk_ecrpublic.sandbox.images import Image
from cdk_ecrpublic.sandbox.testing.client import RegistryClient
from tests.support.cosign import MISSING, Cosign

from .conftest import CHECKOUT, Project
from .test_review import plan, tool

pytest.importorskip("cryptography", reason="the KMS of the sandbox signs with it")

pytestmark = [pytest.mark.cdk, pytest.mark.timeout(300)]

RELEASE = """
from aws_cdk import aws_kms as kms
from cdk_ecrpublic import ReleaseRule, RequiredSignature, Signing
key = kms.Key.from_key_arn(self, "Key", "{key}")
release = PublicImage(
    self, "Release", repository=repository, source=ImageSource.digest("{digest}"), tags=["latest"]{options}
)
"""

FAILING = """
absent = ImageSource.digest("sha256:" + "0" * 64)
broken = PublicImage(self, "Broken", repository=repository, source=absent, tags=["debug"])
broken.node.add_dependency(release)
"""

OWN_KEY = """
from aws_cdk import aws_kms as kms
from cdk_ecrpublic import Signing
key = kms.Key(self, "Key", key_spec=kms.KeySpec.ECC_NIST_P256, key_usage=kms.KeyUsage.SIGN_VERIFY)
PublicImage(
    self, "Release", repository=repository, source=ImageSource.digest("{digest}"), tags=["latest"],
    sign_with=Signing.kms(key, children=True),
)
"""

SIGNED = ", sign_with=Signing.kms(key)"
REQUIRED = ", rules=[ReleaseRule.required_signatures([RequiredSignature.kms(key)])]"


@pytest.fixture
def key(project: Project) -> str:
    """The ARN of a signing key."""
    made = project.sandbox.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    arn: str = made["KeyMetadata"]["Arn"]
    return arn


def release(image: Image, key: str, options: str) -> str:
    return RELEASE.format(digest=image.digest, key=key, options=options)


def uri(project: Project) -> str:
    described = project.sandbox.client("ecr-public").describe_repositories(repositoryNames=[project.repository])
    found: str = described["repositories"][0]["repositoryUri"]
    return found


def signatures(project: Project, image: Image) -> list[str]:
    return RegistryClient(Repository.parse(uri(project)), None).referrers(image.digest)


def test_a_signed_release_and_its_rollback(project: Project, key: str, tmp_path: Path) -> None:
    first, second = project.push("first"), project.push("second")
    project.write_app(release(first, key, SIGNED))
    planned = plan(project)
    assert planned["writes"]["signatures"] == [first.digest]
    assert "signs 1 image" in tool(project, "plan").stdout
    project.deploy()
    assert plan(project)["state"] == "unchanged"
    assert tool(project, "verify").returncode == 0

    project.write_app(release(second, key, SIGNED) + FAILING)
    project.fail_to_deploy()

    described = project.sandbox.client("cloudformation").describe_stacks(StackName="Test")
    assert described["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert project.tags() == {"latest": first.digest}
    assert [len(signatures(project, each)) for each in (first, second)] == [1, 1]
    if not MISSING:
        (tmp_path / "cosign").mkdir()
        cosign = Cosign(project.sandbox, tmp_path / "cosign")
        for reference in (f"{uri(project)}:latest", f"{uri(project)}@{second.digest}"):
            assert cosign.accepts(reference, key.rpartition("/")[2], "bundle")
    # The failed release is then deployed successfully, and is not signed again.
    project.write_app(release(second, key, SIGNED))
    assert plan(project)["writes"]["signatures"] == []
    project.deploy()
    assert project.tags() == {"latest": second.digest}
    assert len(signatures(project, second)) == 1


def test_an_unsigned_release_is_refused_before_anything_is_written(project: Project, key: str) -> None:
    first, second = project.push("first"), project.push("second")
    project.write_app(release(first, key, ""))
    project.deploy()
    project.write_app(release(second, key, REQUIRED))

    planned = refused(project)
    failed = project.fail_to_deploy()

    problem = f"the image {second.digest} has no signature in {uri(project)}; one made with {key} is required"
    assert planned == [problem]
    assert problem in " ".join(failed.split())
    assert project.tags() == {"latest": first.digest}


def test_a_signed_source_is_released(project: Project, key: str) -> None:
    image = project.push("first")
    project.write_app(release(image, key, SIGNED))
    project.deploy()
    project.write_app(release(image, key, f"{SIGNED}{REQUIRED}, refresh='1'"))

    planned = plan(project)
    project.deploy()

    (signature,) = signatures(project, image)
    assert planned["notes"] == [f"the image {image.digest} is signed with {key} (the referrer {signature})"]
    assert planned["writes"]["signatures"] == []


def test_a_missing_signature_is_noticed(project: Project, key: str) -> None:
    image = project.push("first")
    project.write_app(release(image, key, SIGNED))
    project.deploy()
    (signature,) = signatures(project, image)
    project.sandbox.client("ecr-public").batch_delete_image(
        repositoryName=project.repository, imageIds=[{"imageDigest": signature}]
    )

    verified = tool(project, "verify")

    assert verified.returncode == 1
    assert f"{image.digest} has no valid signature made with {key}" in " ".join(verified.stdout.split())


def test_signs_with_a_key_of_the_same_stack(project: Project) -> None:
    image = project.push("first")
    project.write_app(OWN_KEY.format(digest=image.digest))
    before = plan_any(project)

    project.deploy()

    assert before["state"] == "unknown"
    assert [len(signatures(project, each)) for each in (image, *image.children)] == [1, 1, 1]
    assert tool(project, "verify").returncode == 0


def test_without_access_to_the_key_the_rest_of_the_plan_is_shown(project: Project, key: str) -> None:
    image = project.push("first")
    project.write_app(release(image, key, SIGNED))
    assert project.cdk("synth", "--quiet").returncode == 0
    host, alias, *_ = uri(project).split("/")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    result = subprocess.run(
        [sys.executable, "-m", "cdk_ecrpublic.cli", "plan", "--registry", f"{host}/{alias}"],
        cwd=project.folder,
        env={**kept, "PYTHONPATH": str(CHECKOUT), "AWS_EC2_METADATA_DISABLED": "true"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "latest  create" in result.stdout
    assert "it is not known whether the image will be signed, or is signed already" in " ".join(result.stdout.split())


def refused(project: Project) -> list[str]:
    """Plan an image that is refused, and return the reason."""
    planned = plan_any(project)
    assert planned["state"] == "refused"
    problems: list[str] = planned["problems"]
    return problems


def plan_any(project: Project) -> Any:
    """Plan an image, whatever its state."""
    assert project.cdk("synth", "--quiet").returncode == 0
    (image,) = json.loads(tool(project, "plan", "--format", "json").stdout)["images"]
    return image
