"""
Images in an archive: an OCI image layout or a ``docker save``, in a tar file that may be gzipped.

The archive lies in S3 and is read there, by ranges: never whole, never
unpacked. All that is held of it is a list of its files, some states of the
decompressor, and a piece of at most 1 MiB for each stream.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import NoReturn, Protocol

from ..errors import InvalidArchiveError
from ..oci import Descriptor, Digest, Manifest
from .docker import MANIFEST_FILE, DockerSave
from .files import Files
from .inflate import GZIP_MAGIC, Inflated
from .layout import INDEX_FILE, LAYOUT_FILE, ImageLayout
from .stored import ByteRanges, StoredObject
from .tar import list_members

_OTHER_FORMATS = {
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"PK\x03\x04": "a zip file",
}


class Archive(Protocol):
    """An archive of images; an origin of what it holds."""

    def find(self, reference: str) -> Manifest:
        """
        Read the image that *reference* stands for.

        Args:
            reference: A name or a digest, as the archive has it, or the end
                of one name: ``agent:1.4`` or ``1.4`` of
                ``docker.io/library/agent:1.4``. Empty for the only image;
                signatures and the like, and parts of
                an index, do not count.

        Raises:
            InvalidArchiveError: There is none, or more than one; lists what there is.
        """

    def has_tag(self, tag: str) -> bool:
        """Whether an image has exactly this tag."""

    def tagged(self, tag: str) -> Manifest | None:
        """Read the image that has exactly this tag; None where none has."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what the archive holds that refers to *subject*: signatures, say."""

    def manifest(self, digest: Digest) -> Manifest:
        """
        Read a manifest, exact to the byte.

        Raises:
            NotFoundError: It is not there.
        """

    def listed(self, entry: Descriptor) -> Manifest:
        """
        Read a manifest that another lists, exact to the byte.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It has another size.
        """

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob's bytes, in pieces of at most 1 MiB.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: The archive is broken, or was replaced meanwhile.
        """


def open_archive(stored: StoredObject) -> Archive:
    """
    Find out what is in an archive.

    Where Docker wrote a layout and its own format into one archive, the
    layout counts, unless it lists nothing: it has the manifests, and so the
    digests.

    Raises:
        InvalidArchiveError: Neither of the two, or no tar file at all.
        IntegrityError: It is broken, or was replaced meanwhile.
    """
    tar = _content(stored)
    files = Files(tar, list_members(tar))
    if LAYOUT_FILE in files and INDEX_FILE in files:
        layout = ImageLayout(files)
        # Docker 25.0.0 lists nothing in the layout of what it saves by digest.
        return DockerSave(files) if layout.is_empty and MANIFEST_FILE in files else layout
    if MANIFEST_FILE in files:
        return DockerSave(files)
    return _refuse(files)


def _content(stored: StoredObject) -> ByteRanges:
    with closing(stored.read(0, min(8, stored.size))) as pieces:
        magic = b"".join(pieces)
    for start, kind in _OTHER_FORMATS.items():
        if magic.startswith(start):
            message = f"{stored.name} is {kind}; expected a tar file, as it is or compressed with gzip"
            raise InvalidArchiveError(message)
    return Inflated(stored) if magic.startswith(GZIP_MAGIC) else stored


def _refuse(files: Files) -> NoReturn:
    message = (
        f"{files.name} holds neither an OCI image layout ({LAYOUT_FILE} and {INDEX_FILE}) nor a docker save "
        f"({MANIFEST_FILE})"
    )
    inside = next((path for path in files.extents if path.endswith((f"/{INDEX_FILE}", f"/{MANIFEST_FILE}"))), None)
    folder = inside and inside.rpartition("/")[0]
    hint = f"its folder {folder!r} may; pack that folder's content: tar -C {folder} -cf image.tar ." if folder else None
    raise InvalidArchiveError(message, hint=hint)


__all__ = ["Archive", "StoredObject", "open_archive"]
