"""Local archives, read as the function reads archives in S3."""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..._assets.lambda_handler.archive import StoredObject

_PIECE_BYTES = 1024 * 1024
_BLOCK = 512
_END = bytes(2 * _BLOCK)


class LocalArchive(StoredObject, Protocol):
    """An archive that the CDK can upload as a file."""

    def write(self, folder: Path) -> Path:
        """Return the file, which is created in *folder* if necessary."""


def open_path(path: Path) -> LocalArchive:
    """
    Open an archive, or the folder of an OCI image layout.

    Raises:
        OSError: The file or folder does not exist.
    """
    return LayoutFolder(path) if path.is_dir() else ArchiveFile(path)


class ArchiveFile:
    """A tar file."""

    def __init__(self, path: Path) -> None:
        self.name, self.size = str(path), path.stat().st_size
        self._path = path

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """Stream the bytes from *start* up to *stop*."""
        yield from _read(self._path, start, min(stop, self.size))

    def write(self, folder: Path) -> Path:  # noqa: ARG002 - the file exists already
        """Return the file itself, after following links."""
        return self._path.resolve()


@dataclass(frozen=True, slots=True)
class _Segment:
    """A part of the tar file: bytes, or the content of a file."""

    start: int
    size: int
    content: bytes | Path

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of this part between two positions of the tar file."""
        first, last = max(start - self.start, 0), min(stop - self.start, self.size)
        if first >= last:
            return
        if isinstance(self.content, bytes):
            yield self.content[first:last]
        else:
            yield from _read(self.content, first, last)


class LayoutFolder:
    """
    The folder of an OCI image layout, presented as a tar file.

    The same content always gives the same bytes: names are sorted, and times
    and owners are omitted. Symbolic links are followed, because Bazel creates
    layouts that consist of links.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self.size = str(folder), 0
        self._segments: list[_Segment] = []
        for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
            self._add(path.relative_to(folder).as_posix(), path)
        self._append(_END, len(_END))

    def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """Stream the tar file's bytes from *start* up to *stop*."""
        for segment in self._segments:
            yield from segment.read(start, stop)

    def write(self, folder: Path) -> Path:
        """Write the tar file."""
        path = folder / "image.tar"
        with path.open("wb") as file:
            file.writelines(self.read(0, self.size))
        return path

    def _add(self, name: str, path: Path) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = path.stat().st_size
        header = entry.tobuf(tarfile.PAX_FORMAT)
        self._append(header, len(header))
        self._append(path, entry.size)
        padding = bytes(-entry.size % _BLOCK)
        self._append(padding, len(padding))

    def _append(self, content: bytes | Path, size: int) -> None:
        self._segments.append(_Segment(self.size, size, content))
        self.size += size


def _files(folder: Path) -> Iterator[Path]:
    """Find the files of a layout; other files are not packed."""
    for pattern in ("oci-layout", "index.json", "blobs/*/*"):
        yield from (path for path in folder.glob(pattern) if path.is_file())


def _read(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(_PIECE_BYTES, stop - start))):
            start += len(piece)
            yield piece
