"""Build archives of images in the formats of container tools."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdk_ecrpublic.sandbox.images import Image

NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
LAYOUT = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()


@dataclass
class MemoryObject:
    """
    An object that records reads.

    Attributes:
        reads: The offset and the number of bytes of each read.
    """

    content: bytes
    name: str = "s3://bucket/image.tar"
    reads: list[list[int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        self.reads.append([start, 0])
        for first in range(start, min(stop, self.size), 64 * 1024):
            piece = self.content[first : min(first + 64 * 1024, stop)]
            self.reads[-1][1] += len(piece)
            yield piece


def tar_of(files: Mapping[str, bytes], *, links: Mapping[str, str] | None = None, **options: Any) -> bytes:
    """Pack files, and then symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return buffer.getvalue()


def layout_of(*images: tuple[Image, Mapping[str, str]]) -> dict[str, bytes]:
    """Return the files of an OCI image layout: images, each with its annotations in the index."""
    files = {"oci-layout": LAYOUT}
    entries = []
    for image, notes in images:
        descriptor = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
        entries.append({**descriptor, "annotations": dict(notes)} if notes else descriptor)
        files |= blobs_of(image)
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return files


def blobs_of(image: Image) -> dict[str, bytes]:
    """Return the blobs of an image, by their paths in a layout."""
    contents = {image.digest: image.manifest, **image.blobs}
    files = {f"blobs/sha256/{digest.removeprefix('sha256:')}": content for digest, content in contents.items()}
    for child in image.children:
        files |= blobs_of(child)
    return files


def saved(*layers: bytes, tags: Sequence[str] = ("agent:1.4",), packed: bool = False) -> dict[str, bytes]:
    """Return the files of a ``docker save`` of one image; crane and kaniko compress its layers."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    config_path = f"{hashlib.sha256(config).hexdigest()}.json"
    files = {config_path: config}
    paths = []
    for diff_id, layer in zip(diff_ids, layers, strict=True):
        path = f"{diff_id.removeprefix('sha256:')}/layer.tar" if not packed else f"{diff_id[7:]}.tar.gz"
        files[path] = gzip.compress(layer, mtime=0) if packed else layer
        paths.append(path)
    files["manifest.json"] = json.dumps([{"Config": config_path, "RepoTags": list(tags), "Layers": paths}]).encode()
    return files
