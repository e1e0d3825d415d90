"""Images that other tools build, published from their archives and read back with skopeo and crane."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.oci import Digest
from tests.support.builders import BUILDERS, TEXT, Builder, run
from tests.support.s3 import Bucket

from .conftest import Publisher
from .test_referrers import referrers

MISSING = [tool for tool in ("skopeo", "crane") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian, or tests/peers/install)"),
]


def parameters() -> list[Any]:
    return [
        pytest.param(builder, id=builder.name, marks=pytest.mark.skipif(bool(builder.missing), reason=builder.missing))
        for builder in BUILDERS
    ]


@pytest.mark.parametrize("builder", parameters())
def test_publishes_a_built_image_as_the_tool_wrote_it(
    publisher: Publisher, bucket: Bucket, tmp_path: Path, builder: Builder
) -> None:
    archive = builder.build(tmp_path)

    publisher.publish(bucket.put("image.tar", archive.read_bytes()), "1", IncludeReferrers="true")

    uri = f"{publisher.uri('acme/agent')}:1"
    published, files = publisher.pull("1"), members(archive)
    assert run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{uri}") == published.manifest
    assert blobs(published) <= {str(Digest.of(content)) for content in files.values()}
    if "index.json" in files:
        roots = {entry["digest"] for entry in json.loads(files["index.json"])["manifests"]}
        assert (published.digest in roots) is builder.is_whole
        assert referrers(publisher, published) == roots - {published.digest} or not builder.is_whole
    # crane could read only layers that are compressed with gzip; skopeo reads and compares all of them.
    run("crane", "validate", "--remote", uri, "--insecure", "--fast")
    run("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{uri}", f"dir:{tmp_path}/back")
    if builder.has_file:
        exported = run("crane", "export", uri, "-", "--platform", "linux/amd64", "--insecure")
        assert content_of("hello", exported) == TEXT


def members(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive."""
    with tarfile.open(archive) as tar:
        return {member.name.removeprefix("./"): _read(tar, member) for member in tar if member.isfile()}


def content_of(name: str, archive: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return _read(tar, next(member for member in tar if member.name.lstrip("./") == name))


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def blobs(image: Image) -> set[str]:
    """Return the digests of all blobs of an image and of its children."""
    return set(image.blobs).union(*(blobs(child) for child in image.children))
