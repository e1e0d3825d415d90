"""Published images, read with crane, regctl and oras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import Image
from tests.support.s3 import Bucket

from .conftest import Publisher, two_platforms
from .test_referrers import artifact, tag_of

PEERS = ("crane", "regctl", "oras")
MISSING = [tool for tool in PEERS if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (tests/peers/install)"),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each tool a configuration folder for this test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("DOCKER_", "REGCTL_"))]:
        monkeypatch.delenv(name)


def run(*command: str) -> bytes:
    result = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def regctl(publisher: Publisher, *arguments: str) -> bytes:
    """Run regctl, configured for the hosts of this machine."""
    host = publisher.uri("acme/agent").partition("/")[0]
    run("regctl", "registry", "set", host, "--tls", "disabled", "--skip-check")
    return run("regctl", *arguments)


@pytest.fixture
def assembled(publisher: Publisher) -> Image:
    """An index that the function assembled from two copies."""
    images = [publisher.push(child, tag) for child, tag in zip(two_platforms().children, "ab", strict=True)]
    uri = publisher.uri("up/stream")
    parts = [
        {"Source": {"Image": {"Reference": f"{uri}:{tag}"}}, "Platform": platform}
        for tag, platform in zip("ab", ("linux/amd64", "linux/arm64"), strict=True)
    ]
    annotations = {"org.opencontainers.image.version": "1"}
    publisher.publish({"Index": {"Manifests": parts, "Annotations": annotations}}, "1")
    return Image(manifest=b"", media_type="", children=tuple(images))


def test_crane_validates_an_assembled_index(publisher: Publisher, assembled: Image) -> None:
    reference = f"{publisher.uri('acme/agent')}:1"

    run("crane", "validate", "--remote", reference, "--insecure")

    for child, platform in zip(assembled.children, ("linux/amd64", "linux/arm64"), strict=True):
        digest = run("crane", "digest", reference, "--platform", platform, "--insecure").decode().strip()
        assert digest == child.digest


def test_regctl_reads_platforms_and_annotations_of_an_assembled_index(publisher: Publisher, assembled: Image) -> None:
    reference = f"{publisher.uri('acme/agent')}:1"

    index = json.loads(regctl(publisher, "manifest", "get", reference, "--format", "raw-body"))

    assert [entry["digest"] for entry in index["manifests"]] == [child.digest for child in assembled.children]
    assert index["annotations"] == {"org.opencontainers.image.version": "1"}
    digest = regctl(publisher, "image", "digest", reference, "--platform", "linux/arm64").decode().strip()
    assert digest == assembled.children[1].digest


def test_oras_discovers_the_copied_referrers(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")
    signature = publisher.push(artifact("signature", b"1", subject=image))
    sbom = publisher.push(artifact("sbom", b"packages", subject=image.children[0]))

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert discovered(publisher, "1") == {signature.digest}
    assert discovered(publisher, image.children[0].digest) == {sbom.digest}


def discovered(publisher: Publisher, reference: str) -> set[str]:
    mark = "@" if reference.startswith("sha256:") else ":"
    uri = f"{publisher.uri('acme/agent')}{mark}{reference}"
    found: dict[str, Any] = json.loads(run("oras", "discover", "--plain-http", "--format", "json", uri))
    return {each["digest"] for each in found.get("referrers", found.get("manifests", []))}


def test_regctl_finds_the_digest_tags_that_cosign_wrote(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")
    publisher.push(artifact("signature", b"1"), tag_of(image, ".sig"))

    publisher.copy("v1", "1", IncludeReferrers="true")

    tags = regctl(publisher, "tag", "ls", publisher.uri("acme/agent")).decode().split()
    assert sorted(tags) == sorted(["1", tag_of(image, ".sig")])


def test_a_tarball_of_crane_keeps_its_layers(publisher: Publisher, bucket: Bucket, tmp_path: Path) -> None:
    """They are compressed, as in the registry."""
    image = publisher.push(two_platforms().children[0], "one")
    packed = tmp_path / "image.tar"
    run("crane", "pull", f"{publisher.uri('up/stream')}:one", str(packed), "--insecure")

    publisher.publish(bucket.put("image.tar", packed.read_bytes()), "1")

    run("crane", "validate", "--remote", f"{publisher.uri('acme/agent')}:1", "--insecure")
    assert layers(publisher.pull("1")) == layers(image)


def test_a_docker_save_keeps_the_layers_of_the_image(publisher: Publisher, bucket: Bucket, tmp_path: Path) -> None:
    """They are uncompressed in such an archive, and stay uncompressed."""
    publisher.push(two_platforms().children[0], "one")
    packed, pulled = tmp_path / "image.tar", tmp_path / "pulled.tar"
    run("crane", "pull", f"{publisher.uri('up/stream')}:one", str(packed), "--format", "legacy", "--insecure")

    publisher.publish(bucket.put("image.tar", packed.read_bytes()), "1")
    run("crane", "pull", f"{publisher.uri('acme/agent')}:1", str(pulled), "--format", "legacy", "--insecure")

    assert unpacked_layers(pulled) == unpacked_layers(packed)


def layers(image: Image) -> list[str]:
    return [layer["digest"] for layer in json.loads(image.manifest)["layers"]]


def unpacked_layers(archive: Path) -> set[bytes]:
    """Return the layers of a docker save; tools name their folders with arbitrary ids."""
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(name) for name in tar.getnames() if name.endswith("/layer.tar")]
        return {file.read() for file in files if file}


def test_publishes_a_layout_of_crane_byte_for_byte(publisher: Publisher, bucket: Bucket, tmp_path: Path) -> None:
    image = publisher.push(two_platforms(), "whole")
    folder = tmp_path / "layout"
    run("crane", "pull", f"{publisher.uri('up/stream')}:whole", str(folder), "--format", "oci", "--insecure")
    packed = tmp_path / "image.tar"
    run("tar", "-C", str(folder), "-cf", str(packed), ".")

    publisher.publish(bucket.put("image.tar", packed.read_bytes()), "1")

    assert publisher.pull("1") == image


def test_publishes_a_layout_of_oras_with_its_referrers(publisher: Publisher, bucket: Bucket, tmp_path: Path) -> None:
    image = publisher.push(two_platforms(), "v1")
    signature = publisher.push(artifact("signature", b"1", subject=image))
    folder = tmp_path / "layout"
    uri = f"{publisher.uri('up/stream')}:v1"
    run("oras", "copy", "-r", "--from-plain-http", uri, "--to-oci-layout", f"{folder}:v1")
    packed = tmp_path / "image.tar"
    run("tar", "-C", str(folder), "-cf", str(packed), ".")

    publisher.publish(bucket.put("image.tar", packed.read_bytes()), "1", IncludeReferrers="true")

    assert publisher.pull("1") == image
    assert discovered(publisher, "1") == {signature.digest}
