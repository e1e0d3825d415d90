"""
Images in an archive: an OCI image layout or ``docker save`` output, in a tar file that may be gzipped.

The archive stays in S3 and is read by byte ranges; it is never downloaded or
unpacked as a whole. Memory holds only the list of its files, a few states of
the decompressor, and one chunk of at most 1 MiB for each stream.
"""

from __future__ import annotations

from contextlib import closing
from typing import NoReturn

from ..errors import InvalidArchiveError
from .docker import MANIFEST_FILE, DockerSave
from .files import Files
from .inflate import GZIP_MAGIC, GzipContent
from .layout import INDEX_FILE, LAYOUT_FILE, ImageLayout
from .stored import ByteRanges, StoredObject
from .tar import list_members

_OTHER_FORMATS = {
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"PK\x03\x04": "a zip file",
}


Archive = ImageLayout | DockerSave
"""An archive of images: an upstream that also finds an image by its reference."""


def open_archive(stored: StoredObject) -> Archive:
    """
    Detect the format of an archive and open it.

    If Docker wrote both formats into one archive, the OCI layout is used,
    because it has the manifests and therefore the digests. If that layout
    lists no image, the ``docker save`` format is used.

    Raises:
        InvalidArchiveError: The archive has neither format, or is not a tar file.
        IntegrityError: The archive is corrupt, or was replaced while it was read.
    """
    tar = _content(stored)
    files = Files(tar, list_members(tar))
    if LAYOUT_FILE in files and INDEX_FILE in files:
        layout = ImageLayout(files)
        # Docker 25.0.0 writes an empty layout for images that are saved by digest.
        return DockerSave(files) if layout.is_empty and MANIFEST_FILE in files else layout
    if MANIFEST_FILE in files:
        return DockerSave(files)
    return _refuse(files)


def _content(stored: StoredObject) -> ByteRanges:
    with closing(stored.read(0, min(8, stored.size))) as chunks:
        magic = b"".join(chunks)
    for start, kind in _OTHER_FORMATS.items():
        if magic.startswith(start):
            message = f"{stored.name} is {kind}; expected a tar file, plain or compressed with gzip"
            raise InvalidArchiveError(message)
    return GzipContent(stored) if magic.startswith(GZIP_MAGIC) else stored


def _refuse(files: Files) -> NoReturn:
    message = (
        f"{files.name} contains neither an OCI image layout ({LAYOUT_FILE} and {INDEX_FILE}) nor docker save output "
        f"({MANIFEST_FILE})"
    )
    inside = next((path for path in files.extents if path.endswith((f"/{INDEX_FILE}", f"/{MANIFEST_FILE}"))), None)
    folder = inside and inside.rpartition("/")[0]
    hint = f"its folder {folder!r} may; archive the content of that folder: tar -C {folder} -cf image.tar ."
    raise InvalidArchiveError(message, hint=hint if folder else None)


__all__ = ["Archive", "StoredObject", "open_archive"]
