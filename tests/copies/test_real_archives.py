"""Archives that skopeo wrote, published and pulled back."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox.images import Image
from tests.support.archives import NAME, layout_of
from tests.support.s3 import Bucket

from .conftest import Publisher, two_platforms

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("skopeo") is None, reason="not installed: skopeo (Debian: skopeo)"),
]

NAMED = "ghcr.io/acme/agent:1.4"


@pytest.fixture
def image() -> Image:
    return two_platforms(size=100_000)


@pytest.fixture
def folder(tmp_path: Path, image: Image) -> Path:
    """Return the address of a layout in a folder, as skopeo expects it."""
    for name, content in layout_of((image, {NAME: "1.4"})).items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "layout"


def copy(source: str, destination: str, *options: str) -> None:
    command = ["skopeo", "--override-os", "linux", "--override-arch", "amd64", "copy", *options, source, destination]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


def test_publishes_an_oci_archive_with_all_platforms(
    publisher: Publisher, bucket: Bucket, image: Image, folder: Path
) -> None:
    packed = folder.with_name("image.tar")
    copy(f"oci:{folder}:1.4", f"oci-archive:{packed}:{NAMED}", "--all")

    publisher.publish(bucket.put("image.tar", packed.read_bytes()), "1.4")

    assert publisher.pull("1.4") == image


def test_publishes_a_gzipped_oci_archive(publisher: Publisher, bucket: Bucket, image: Image, folder: Path) -> None:
    packed = folder.with_name("image.tar")
    copy(f"oci:{folder}:1.4", f"oci-archive:{packed}:{NAMED}")

    publisher.publish(bucket.put("image.tar.gz", gzip.compress(packed.read_bytes())), "1.4")

    assert publisher.pull("1.4") == image.children[0]


def test_publishes_a_tar_file_of_an_oci_layout(
    publisher: Publisher, bucket: Bucket, image: Image, folder: Path
) -> None:
    written, packed = folder.with_name("written"), folder.with_name("image.tar")
    copy(f"oci:{folder}:1.4", f"oci:{written}:1.4", "--all")
    copy(f"oci:{folder}:1.4", f"oci:{written}:amd")
    subprocess.run(["tar", "-C", written, "-cf", packed, "."], check=True)
    source = bucket.put("image.tar", packed.read_bytes())
    source["Archive"] = {"Bucket": "archives", "Key": "image.tar", "Reference": "1.4"}

    publisher.publish(source, "1.4")

    assert publisher.pull("1.4") == image


def test_publishes_a_docker_archive(publisher: Publisher, bucket: Bucket, image: Image, folder: Path) -> None:
    packed = folder.with_name("saved.tar")
    copy(f"oci:{folder}:1.4", f"docker-archive:{packed}:{NAMED}")

    publisher.publish(bucket.put("saved.tar", packed.read_bytes()), "1.4")

    pulled, original = publisher.pull("1.4"), image.children[0]
    manifest = json.loads(pulled.manifest)
    layers = [pulled.blobs[layer["digest"]] for layer in manifest["layers"]]
    assert layers == [
        gzip.decompress(original.blobs[layer["digest"]]) for layer in json.loads(original.manifest)["layers"]
    ]
    assert json.loads(pulled.blobs[manifest["config"]["digest"]])["architecture"] == "amd64"
    back = folder.with_name("back")
    copy(f"docker://{publisher.uri('acme/agent')}:1.4", f"dir:{back}", "--src-tls-verify=false", "--preserve-digests")
    assert (back / "manifest.json").read_bytes() == pulled.manifest
