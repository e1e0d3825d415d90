"""
Find the files of a tar file and their positions.

Only headers are read. They are untrusted input, so everything in them has a
limit: the number of headers, the lengths of names and extended headers, and
the number of links to follow.

References:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block";
    GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ..errors import InvalidArchiveError, truncated_repr
from .stored import ByteRanges

HEADERS_MAX = 20_000
"""How many headers a tar file may have; an image with a hundred layers has about three hundred."""

EXTENDED_MAX_BYTES = 1024 * 1024
"""The longest extended header. The longest real ones carry extended attributes of 64 KiB each."""

EXTENDED_TOTAL_BYTES = 16 * 1024 * 1024
"""The limit for all extended headers together. Reading them takes time, and they compress a thousandfold."""

NAME_MAX_CHARACTERS = 1024

LINKS_MAX = 8
"""How many links in a row are followed."""

_BLOCK = 512
_WINDOW_BYTES = 64 * 1024
_WITHOUT_DATA = frozenset(
    {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
)
_LENGTH_DIGITS = 8
_OUTSIDE = ".."
_SPARSE = "sparse"
"""Replaces all keys with which GNU tar marks a sparse member."""

_EXTENSIONS: Mapping[bytes, str] = {
    tarfile.XHDTYPE: "",
    tarfile.SOLARIS_XHDTYPE: "",
    tarfile.XGLTYPE: "",
    tarfile.GNUTYPE_LONGNAME: "path",
    tarfile.GNUTYPE_LONGLINK: "linkpath",
}
"""Types of headers that extend the next header, and the pax key that a GNU header corresponds to."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The position of a member's bytes: *size* bytes at *offset*."""

    offset: int
    size: int


def list_members(tar: ByteRanges) -> Mapping[str, Extent]:
    """
    Find the files of a tar file.

    A link to another member resolves to that member. If two members have the
    same name, the later one is used. Names outside the archive are ignored.

    Returns:
        The extents by name, without ``./``: ``blobs/sha256/9f2c…``.

    Raises:
        InvalidArchiveError: The file is not a tar file, is truncated, exceeds
            a limit, or has sparse members.
    """
    files: dict[str, Extent] = {}
    links: dict[str, str] = {}
    for member in _members(tar):
        path = normal_path(member.name)
        if path is None:
            continue
        files.pop(path, None)
        links.pop(path, None)
        if member.link is not None:
            links[path] = member.link
        elif member.extent is not None:
            files[path] = member.extent
    return files | {path: extent for path in links if (extent := _follow(path, files, links)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: str
    extent: Extent | None = None
    link: str | None = None


class _Window:
    """A buffer around the current header; it only moves forward."""

    def __init__(self, tar: ByteRanges) -> None:
        self.tar = tar
        self._start, self._content = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        """Read *size* bytes, or fewer at the end of the file."""
        if not self._start <= offset <= self._start + len(self._content):
            self._content = b""
        else:
            self._content = self._content[offset - self._start :]
        self._start = offset
        if len(self._content) < size:
            first = offset + len(self._content)
            self._content += b"".join(self.tar.read(first, offset + max(size, _WINDOW_BYTES)))
        return self._content[:size]


def _members(tar: ByteRanges) -> Iterator[_Member]:
    """Iterate over the members; an extended header applies to the member that follows it."""
    window, offset, extended, extended_bytes = _Window(tar), 0, dict[str, str](), 0
    for _ in range(HEADERS_MAX):
        header = _header(window, offset)
        if header is None:
            return
        size = _size(tar, offset, header, extended)
        data, padded = offset + _BLOCK, -(-size // _BLOCK) * _BLOCK
        if header.type in _EXTENSIONS:
            extended |= _extension(window, header, data)
            extended_bytes += size
            if extended_bytes > EXTENDED_TOTAL_BYTES:
                _refuse(tar, f"has more than {EXTENDED_TOTAL_BYTES} bytes of extended headers")
        else:
            _refuse_sparse(tar, header, extended)
            yield _member(tar, header, extended, Extent(data, size))
            extended = {}
        offset = data + (0 if header.type in _WITHOUT_DATA else padded)
    _refuse(tar, f"has more than {HEADERS_MAX} headers")


def _header(window: _Window, offset: int) -> tarfile.TarInfo | None:
    """Read a header; return None at the end of the archive."""
    block = window.read(offset, _BLOCK)
    if len(block) == _BLOCK and not block.strip(b"\0"):
        return None
    if not block and offset and b"".join(window.tar.read(offset - 1, offset)):
        return None
    if len(block) < _BLOCK and offset:
        _refuse(window.tar, f"is truncated: it ends at byte {offset + len(block)}, inside a member")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        what = "has an invalid header" if offset else "is not a tar file: no header"
        message = f"{window.tar.name} {what} at byte {offset} ({error})"
        raise InvalidArchiveError(message) from error


def _size(tar: ByteRanges, offset: int, header: tarfile.TarInfo, extended: Mapping[str, str]) -> int:
    """Return the size of the member; sizes above 8 GiB are in an extended header."""
    text = extended.get("size", "") if header.type not in _EXTENSIONS else ""
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else header.size  # noqa: PLR2004 - 64 bits
    if size < 0:
        _refuse(tar, f"has a member with the size {size} at byte {offset}")
    return size


def _extension(window: _Window, header: tarfile.TarInfo, offset: int) -> Mapping[str, str]:
    if header.type == tarfile.XGLTYPE:
        # Applies to the whole archive, usually a comment. It can set neither the name nor the size of a member.
        return {}
    if header.size > EXTENDED_MAX_BYTES:
        _refuse(
            window.tar,
            f"has a header of {header.size} bytes at byte {offset}; at most {EXTENDED_MAX_BYTES} are allowed",
        )
    content = window.read(offset, header.size)
    key = _EXTENSIONS[header.type]
    if key:
        return {key: content.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    return dict(_records(window.tar, content, offset))


def _records(tar: ByteRanges, content: bytes, offset: int) -> Iterator[tuple[str, str]]:
    """Read the records of a pax header, ``<length> <key>=<value>`` per line, for names, link targets and sizes."""
    start = 0
    while start < len(content) and content[start]:
        digits = content[start : start + _LENGTH_DIGITS].partition(b" ")[0]
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = content[start + len(digits) + 1 : end].partition(b"=")
        if not equals or end > len(content) or not value.endswith(b"\n"):
            _refuse(tar, f"has an invalid extended header at byte {offset}")
        if key.startswith(b"GNU.sparse."):
            yield _SPARSE, ""
        if key in {b"path", b"linkpath", b"size"}:
            yield key.decode(), value[:-1].decode("utf-8", "surrogateescape")
        start = end


def _member(tar: ByteRanges, header: tarfile.TarInfo, extended: Mapping[str, str], extent: Extent) -> _Member:
    name, target = extended.get("path", header.name), extended.get("linkpath", header.linkname)
    for text in (name, target):
        if len(text) > NAME_MAX_CHARACTERS:
            _refuse(
                tar, f"has a name of {len(text)} characters: {truncated_repr(text)}; {NAME_MAX_CHARACTERS} are allowed"
            )
    if header.issym():
        return _Member(name=name, link=_from_folder_of(name, target))
    if header.islnk():
        return _Member(name=name, link=target)
    return _Member(name=name, extent=extent if header.type not in _WITHOUT_DATA else None)


def _from_folder_of(name: str, target: str) -> str:
    """Return the target of a symbolic link; an absolute target is outside the archive."""
    return _OUTSIDE if target.startswith("/") else f"{name.rpartition('/')[0]}/{target}"


def _refuse_sparse(tar: ByteRanges, header: tarfile.TarInfo, extended: Mapping[str, str]) -> None:
    if header.type == tarfile.GNUTYPE_SPARSE or _SPARSE in extended:
        _refuse(tar, f"has a sparse member, {truncated_repr(header.name)}; create the archive without tar's --sparse")


def _follow(path: str, files: Mapping[str, Extent], links: Mapping[str, str]) -> Extent | None:
    for _ in range(LINKS_MAX):
        path = normal_path(links.get(path, _OUTSIDE)) or ""
        if path in files:
            return files[path]
    return None


def normal_path(name: str) -> str | None:
    """Return a name without ``.`` and ``..``; None if it is outside the archive."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _refuse(tar: ByteRanges, why: str) -> NoReturn:
    message = f"{tar.name} {why}"
    raise InvalidArchiveError(message)
