"""Memory use is small, even for a large archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import tracemalloc
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lambda_handler.archive import open_archive
from lambda_handler.errors import InvalidArchiveError
from tests.support.archives import LAYOUT, MemoryObject, saved, tar_of

MIB = 1024 * 1024
LAYER_BYTES = 256 * MIB


@dataclass
class FileObject:
    """A file on disk that stands in for an object in S3."""

    path: Path
    name: str = "s3://bucket/image.tar.gz"

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        with self.path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(min(MIB, stop - file.tell())):
                yield chunk


class Layer(io.RawIOBase):
    """A layer that is generated while it is read: the same mebibyte again and again."""

    def __init__(self) -> None:
        self.noise = random.Random(1).randbytes(MIB)  # noqa: S311 - the same bytes in every run
        self.hasher, self.position = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        chunk = self.noise[self.position :][:size]
        self.position = (self.position + len(chunk)) % MIB
        self.hasher.update(chunk)
        return chunk


def pack(path: Path) -> str:
    """Write the archive; return the digest of its layer."""
    content = Layer()
    files = saved(b"stand-in")
    layer = next(name for name in files if name.endswith("/layer.tar"))
    with gzip.open(path, "wb", compresslevel=1) as plain, tarfile.open(fileobj=plain, mode="w|") as tar:
        for name, small in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = LAYER_BYTES if name == layer else len(small)
            tar.addfile(entry, content if name == layer else io.BytesIO(small))
    return content.hasher.hexdigest()


def test_a_large_gzipped_archive_is_streamed(tmp_path: Path) -> None:
    digest = pack(tmp_path / "image.tar.gz")
    tracemalloc.start()
    try:
        archive = open_archive(FileObject(tmp_path / "image.tar.gz"))
        (layer,) = archive.find("agent:1.4").blobs[1:]
        hasher = hashlib.sha256()
        for chunk in archive.blob(layer):
            hasher.update(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert hasher.hexdigest() == digest
    assert peak < 24 * MIB


def test_a_search_in_many_indexes_keeps_one_of_them_in_memory() -> None:
    """The children of one index take ten times as much memory as its JSON."""
    kind = "application/vnd.oci.image.index.v1+json"
    child = '{"mediaType":"a","digest":"sha256:%s","size":1}' % ("e" * 64)
    indexes = [
        f'{{"schemaVersion":2,"mediaType":"{kind}","x":{number},"manifests":[{",".join([child] * 9_000)}]}}'.encode()
        for number in range(12)
    ]
    digests = [hashlib.sha256(index).hexdigest() for index in indexes]
    entries = [
        {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(index)}
        for digest, index in zip(digests, indexes, strict=True)
    ]
    listed = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    files = {f"blobs/sha256/{digest}": index for digest, index in zip(digests, indexes, strict=True)}
    archive = open_archive(MemoryObject(tar_of({**files, "oci-layout": LAYOUT, "index.json": listed})))

    tracemalloc.start()
    with pytest.raises(InvalidArchiveError, match="contains no image named"):
        archive.find(f"sha256:{'f' * 64}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 24 * MIB
