"""skopeo with the sandbox: another container tool pushes, lists, reads and copies."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import ManifestMediaType
from cdk_ecrpublic.sandbox import SandboxProcess, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push, push_image, resolve_tags, tags_of

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        shutil.which("skopeo") is None, reason="skopeo is not installed (Debian: apt-get install skopeo)"
    ),
]

REPOSITORY = "acme/agent"
PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass(frozen=True)
class Skopeo:
    """skopeo, logged in or not, with a separate folder for its files."""

    folder: Path
    process: SandboxProcess

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["skopeo", arguments[0], "--authfile", str(self.folder / "auth.json"), *arguments[1:]]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False, timeout=60)

    def output(self, *arguments: str) -> bytes:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    def copy(self, source: str, destination: str, *options: str) -> None:
        self.output("copy", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, destination)

    def read(self, command: str, image: str) -> Any:
        return json.loads(self.output(command, "--tls-verify=false", image))

    def login(self, service: str = "ecr-public") -> subprocess.CompletedProcess[bytes]:
        password = login_of(self.process, service).partition(":")[2]
        return self.run("login", "--tls-verify=false", "-u", "AWS", "-p", password, self.process.registry_host)


def login_of(process: SandboxProcess, service: str = "ecr-public") -> str:
    data = process.client(service).get_authorization_token()["authorizationData"]
    return base64.b64decode((data if service == "ecr-public" else data[0])["authorizationToken"]).decode()


@pytest.fixture(scope="module")
def process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def skopeo(process: SandboxProcess, tmp_path: Path) -> Skopeo:
    """Skopeo, not logged in, and an ECR Public with one empty repository."""
    process.reset()
    process.client("ecr-public").create_repository(repositoryName=REPOSITORY)
    return Skopeo(tmp_path, process)


@pytest.fixture
def image(skopeo: Skopeo) -> Image:
    """An index, pushed under two tags."""
    image = build_image({"etc/release": b"1\n"}, platforms=PLATFORMS)
    push_image(skopeo.process, REPOSITORY, image, ["1.4.2", "latest"])
    return image


@pytest.fixture
def uri(skopeo: Skopeo) -> str:
    described = skopeo.process.client("ecr-public").describe_repositories(repositoryNames=[REPOSITORY])
    return f"docker://{described['repositories'][0]['repositoryUri']}"


@pytest.mark.usefixtures("image")
def test_lists_tags(skopeo: Skopeo, uri: str) -> None:
    assert sorted(skopeo.read("list-tags", uri)["Tags"]) == ["1.4.2", "latest"]


def test_reads_the_bytes_that_were_pushed(skopeo: Skopeo, image: Image, uri: str) -> None:
    raw = skopeo.output("inspect", "--raw", "--tls-verify=false", f"{uri}:latest")

    assert raw == image.manifest
    assert skopeo.read("inspect", f"{uri}:latest")["Digest"] == image.digest


def test_pulls_every_platform(skopeo: Skopeo, image: Image, uri: str) -> None:
    skopeo.copy(f"{uri}:latest", "oci:pulled:latest", "--all", "--preserve-digests")

    blobs = {path.name: path.read_bytes() for path in (skopeo.folder / "pulled/blobs/sha256").iterdir()}
    assert len(blobs) == 1 + len(PLATFORMS) * 2 + 1
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in blobs.items())
    assert blobs[image.digest.removeprefix("sha256:")] == image.manifest


@pytest.mark.parametrize("kind", [ManifestMediaType.OCI_MANIFEST, ManifestMediaType.DOCKER_MANIFEST])
def test_pushes_what_it_pulled(skopeo: Skopeo, uri: str, kind: ManifestMediaType) -> None:
    image = build_image({"etc/release": b"2\n"}, platforms=PLATFORMS, media_type=kind)
    push_image(skopeo.process, REPOSITORY, image, ["source"])
    skopeo.copy(f"{uri}:source", "dir:pulled", "--all", "--preserve-digests")
    skopeo.process.reset()
    skopeo.process.client("ecr-public").create_repository(repositoryName=REPOSITORY)
    skopeo.login()

    skopeo.copy("dir:pulled", f"{uri}:pushed", "--all", "--preserve-digests")

    assert resolve_tags(skopeo.process, REPOSITORY) == {"pushed": image.digest}


@pytest.mark.usefixtures("image")
def test_converts_to_docker(skopeo: Skopeo, uri: str) -> None:
    skopeo.login()

    skopeo.copy(f"{uri}:latest", f"{uri}:docker", "--format", "v2s2")

    detail = skopeo.process.client("ecr-public").describe_images(
        repositoryName=REPOSITORY, imageIds=[{"imageTag": "docker"}]
    )["imageDetails"][0]
    assert detail["imageManifestMediaType"] == ManifestMediaType.DOCKER_MANIFEST


def test_logs_in_with_the_password(skopeo: Skopeo) -> None:
    assert skopeo.login().returncode == 0


def test_cannot_log_in_with_a_wrong_password(skopeo: Skopeo) -> None:
    result = skopeo.run("login", "--tls-verify=false", "-u", "AWS", "-p", "wrong", skopeo.process.registry_host)

    assert result.returncode != 0
    assert "400" in result.stderr.decode()


def test_cannot_push_without_a_login(skopeo: Skopeo, image: Image, uri: str) -> None:
    result = skopeo.run("copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"{uri}:latest", f"{uri}:stranger")

    assert "denied" in result.stderr.decode()
    assert resolve_tags(skopeo.process, REPOSITORY) == {"1.4.2": image.digest, "latest": image.digest}


@pytest.mark.parametrize("settings", [Settings(patch_status=202), Settings(manifest_put_location=True)])
def test_pushes_with_either_response_to_a_chunk(skopeo: Skopeo, image: Image, uri: str, settings: Settings) -> None:
    skopeo.copy(f"{uri}:latest", "dir:pulled", "--all", "--preserve-digests")
    skopeo.process.settings = settings
    skopeo.login()

    skopeo.copy("dir:pulled", f"{uri}:pushed", "--all", "--preserve-digests")

    assert resolve_tags(skopeo.process, REPOSITORY)["pushed"] == image.digest


def test_copies_between_private_and_public(skopeo: Skopeo, image: Image, uri: str) -> None:
    approved = build_image({"etc/release": b"approved\n"}, platforms=PLATFORMS)
    private = skopeo.process.client("ecr")
    private.create_repository(repositoryName="private/app")
    where = f"{skopeo.process.registry_host}/private/app"
    push(where, approved, ["approved"], login=login_of(skopeo.process, "ecr"))
    skopeo.login()

    skopeo.copy(f"docker://{where}:approved", f"{uri}:1.5.0", "--all", "--preserve-digests")
    skopeo.copy(f"{uri}:1.4.2", f"docker://{where}:back", "--all", "--preserve-digests")

    assert resolve_tags(skopeo.process, REPOSITORY)["1.5.0"] == approved.digest
    assert tags_of(where) == {"approved": approved.digest, "back": image.digest}
    private.delete_repository(repositoryName="private/app", force=True)


def test_deletes_nothing(skopeo: Skopeo, image: Image, uri: str) -> None:
    skopeo.login()

    result = skopeo.run("delete", "--tls-verify=false", f"{uri}:latest")

    assert result.returncode != 0
    assert resolve_tags(skopeo.process, REPOSITORY)["latest"] == image.digest
