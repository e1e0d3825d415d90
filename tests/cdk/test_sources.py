"""Every kind of source, deployed by the real cdk command line."""

from __future__ import annotations

import base64
import gzip
import sys

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image, pull, push
from tests.support.archives import NAME, layout_of, tar_of

from .conftest import Project

pytestmark = pytest.mark.cdk


def test_assembles_an_index_from_two_builds(project: Project) -> None:
    amd, arm = (build_one(project, platform) for platform in ("linux/amd64", "linux/arm64"))
    project.write_app(
        f"""
source = ImageSource.index(
    {{"linux/amd64": ImageSource.digest("{amd.digest}"), "linux/arm64": ImageSource.digest("{arm.digest}")}},
    annotations={{"org.opencontainers.image.version": "1.0.0"}},
)
PublicImage(self, "Release", repository=repository, source=source, tags=["1.0.0"],
            required_platforms=["linux/amd64", "linux/arm64"])
"""
    )

    project.deploy()

    assert pull(uri_of(project), "1.0.0").children == (amd, arm)


def test_copies_an_image_from_private_ecr(project: Project) -> None:
    image = build_image({"etc/name": b"private"}, platforms=("linux/amd64", "linux/arm64"))
    name = f"{project.repository}-private"
    push_to_private_ecr(project, name, image)
    project.write_app(
        f"""
from aws_cdk import aws_ecr as ecr
private = ecr.Repository.from_repository_name(self, "Private", "{name}")
PublicImage(self, "Copy", repository=repository, source=ImageSource.ecr(private, digest="{image.digest}"), tags=["1"])
"""
    )

    project.deploy()

    assert pull(uri_of(project), "1") == image


def test_copies_an_image_from_another_public_repository(project: Project) -> None:
    image = project.push("upstream", "3")
    project.sandbox.client("ecr-public").create_repository(repositoryName=f"{project.repository}-mirror")
    project.write_app(
        f"""
mirror = PublicRepository.from_repository_name(self, "Mirror", "{project.repository}-mirror")
PublicImage(self, "Copy", repository=mirror, source=ImageSource.public("{uri_of(project)}", tag="3"), tags=["3"])
"""
    )

    project.deploy()

    assert pull(f"{uri_of(project)}-mirror", "3") == image


def test_publishes_an_image_from_a_folder_of_a_build(project: Project) -> None:
    image = build_image({"etc/name": b"archived"}, platforms=("linux/amd64", "linux/arm64"))
    for name, content in layout_of((image, {})).items():
        path = project.folder / "image" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    project.write_app(
        """
PublicImage(self, "Release", repository=repository, source=ImageSource.archive("image"), tags=["1"])
"""
    )

    project.deploy()

    assert pull(uri_of(project), "1") == image


def test_publishes_an_image_from_an_archive_in_a_bucket(project: Project) -> None:
    image = build_image({"etc/name": b"stored"}, platforms=("linux/amd64", "linux/arm64"))
    bucket = f"releases-{project.repository.rpartition('/')[2]}"
    client = project.sandbox.client("s3")
    client.create_bucket(Bucket=bucket)
    packed = gzip.compress(tar_of(layout_of((image, {NAME: "agent:1"}), (build_image({"a": b"other"}), {}))))
    client.put_object(Bucket=bucket, Key="agent.tar.gz", Body=packed)
    project.write_app(
        f"""
from aws_cdk import aws_s3 as s3
bucket = s3.Bucket.from_bucket_name(self, "Releases", "{bucket}")
source = ImageSource.archive_object(bucket, "agent.tar.gz", reference="agent:1")
PublicImage(self, "Release", repository=repository, source=source, tags=["1"])
"""
    )

    project.deploy()

    assert pull(uri_of(project), "1") == image


def test_copies_an_image_that_the_cdk_builds(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cdk builds it with a stand-in for Docker, and pushes it to the private repository of the bootstrap stack."""
    state = project.folder / "docker-state"
    state.mkdir()
    docker = project.folder / "docker"
    docker.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.cdk.docker "$@"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("CDK_DOCKER", str(docker))
    monkeypatch.setenv("STAND_IN_STATE", str(state))
    (project.folder / "agent").mkdir()
    (project.folder / "agent" / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
    project.write_app(
        """
from aws_cdk import aws_ecr_assets as ecr_assets
asset = ecr_assets.DockerImageAsset(self, "Agent", directory="agent")
PublicImage(self, "Release", repository=repository, source=ImageSource.docker_asset(asset), tags=["1"])
"""
    )

    # The folder is relative to that of the process.
    project.deploy(own_process=True)

    assert pull(uri_of(project), "1") == build_image({"app/Dockerfile": b"FROM scratch\nCOPY . /app\n"})


def test_reports_missing_platforms_of_a_copy_before_writing_anything(project: Project) -> None:
    project.push("upstream", "3")
    project.sandbox.client("ecr-public").create_repository(repositoryName=f"{project.repository}-strict")
    project.write_app(
        f"""
strict = PublicRepository.from_repository_name(self, "Strict", "{project.repository}-strict")
PublicImage(self, "Copy", repository=strict, source=ImageSource.public("{uri_of(project)}", tag="3"), tags=["3"],
            required_platforms=["linux/s390x"])
"""
    )

    said = " ".join(project.fail_to_deploy().split())

    assert "RULE_VIOLATION: the image lacks linux/s390x of the RequiredPlatforms" in said
    images = project.sandbox.client("ecr-public").describe_images(repositoryName=f"{project.repository}-strict")
    assert images["imageDetails"] == []


def build_one(project: Project, platform: str) -> Image:
    image = build_image({"etc/platform": platform.encode()}, platforms=(platform,))
    push(uri_of(project), image, login=public_login(project))
    return image


def push_to_private_ecr(project: Project, name: str, *images: Image) -> None:
    client = project.sandbox.client("ecr")
    client.create_repository(repositoryName=name)
    token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    for image in images:
        push(f"{project.sandbox.registry_host}/{name}", image, login=base64.b64decode(token).decode())


def public_login(project: Project) -> str:
    data = project.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
    return base64.b64decode(data["authorizationToken"]).decode()


def uri_of(project: Project) -> str:
    described = project.sandbox.client("ecr-public").describe_repositories(repositoryNames=[project.repository])
    uri: str = described["repositories"][0]["repositoryUri"]
    return uri
