"""Image configs and archive files with any content give an image or a typed error."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler.archive import Archive, open_archive
from lambda_handler.errors import ImageError
from lambda_handler.oci import Digest, Manifest, Platform
from lambda_handler.oci.assemble import CONFIG_TYPE
from lambda_handler.publish.content import content_to_copy, platforms_of
from tests.fuzz.hostile import JSON, TEXTS, changed, damaged, outcome, written
from tests.support.archives import NAME, MemoryObject, layout_of, saved, tar_of
from tests.support.memory import MemoryRepository

CONFIG = {"architecture": "arm64", "os": "linux", "variant": "v8", "rootfs": {"type": "layers", "diff_ids": []}}
CONFIGS = st.just(CONFIG)


@settings(max_examples=200)
@given(written(JSON) | written(changed(CONFIGS)) | damaged(written(CONFIGS)) | st.binary())
@example(b"[" * 100_000)
@example(b'{"os": 1' + b"0" * 5000 + b"}")
def test_any_config_names_a_platform_or_is_refused(content: bytes) -> None:
    repository = MemoryRepository()
    image = repository.add(content)
    data = json.loads(image.content)
    data["config"]["mediaType"] = CONFIG_TYPE
    root = Manifest.parse(json.dumps(data).encode())

    found = outcome(lambda: platforms_of(root, repository))

    assert isinstance(found, ImageError) or all(isinstance(platform, Platform) for platform in found)


IMAGES = [build_image({"etc/n": text}) for text in (b"1", b"2")]
LAYOUT = layout_of((IMAGES[0], {NAME: "1.4"}), (IMAGES[1], {NAME: "latest"}))
SAVED = saved(b"one" * 300, b"two" * 300)


def readable(archive: Archive, reference: str) -> Manifest:
    """Find an image, and read it completely as a copy does."""
    root = archive.find(reference)
    for manifest in content_to_copy(root, archive, ()).copied:
        for blob in manifest.blobs:
            assert all(len(piece) <= 1024 * 1024 for piece in archive.blob(blob))
    return root


@st.composite
def changed_files(draw: st.DrawFn, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Change one or two files: their JSON if they are JSON, or else any of their bytes."""
    result = dict(files)
    for path in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        try:
            data: Any = json.loads(files[path])
        except ValueError:
            data = None
        valid = st.just(files[path])
        result[path] = draw(
            damaged(valid) | written(JSON) | (written(changed(st.just(data))) if data is not None else damaged(valid))
        )
    return result


@settings(max_examples=150)
@given(st.one_of(changed_files(LAYOUT), changed_files(SAVED)), st.sampled_from(["", "1.4", "agent:1.4"]) | TEXTS)
def test_any_files_of_an_archive_are_read_as_an_image_or_refused(files: dict[str, bytes], reference: str) -> None:
    for pack in (bytes, gzip.compress):
        content = pack(tar_of(files))
        root = outcome(lambda content=content: readable(open_archive(MemoryObject(content)), reference))  # type: ignore[misc]

        assert isinstance(root, ImageError) or Digest.of(root.content) == root.digest


@settings(max_examples=150)
@given(damaged(st.sampled_from([tar_of(SAVED), gzip.compress(tar_of(LAYOUT))])))
def test_any_bytes_are_read_as_an_archive_or_refused(content: bytes) -> None:
    root = outcome(lambda: readable(open_archive(MemoryObject(content)), ""))

    assert isinstance(root, Manifest | ImageError)
