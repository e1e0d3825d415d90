"""
What is in a tar file, and where.

Only headers are read. What they say comes from outside, so all of it is
bounded: how many there are, how long a name or an extended header is, how far
links lead.

Source:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block";
    GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ..errors import InvalidArchiveError, shown
from .stored import ByteRanges

HEADERS_MAX = 20_000
"""How many headers a file may have; an image of a hundred layers has some three hundred."""

EXTENDED_MAX_BYTES = 1024 * 1024
"""The longest extended header. Extended attributes make the longest ones, of 64 KiB each."""

NAME_MAX_CHARACTERS = 1024

LINKS_MAX = 8
"""How many links one after the other are followed."""

_BLOCK = 512
_WINDOW_BYTES = 64 * 1024
_WITHOUT_DATA = frozenset(
    {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
)
_LENGTH_DIGITS = 8
_OUTSIDE = ".."
_SPARSE = "sparse"
"""Stands for all of the keys by which GNU tar marks a sparse member."""

_EXTENSIONS: Mapping[bytes, str] = {
    tarfile.XHDTYPE: "",
    tarfile.SOLARIS_XHDTYPE: "",
    tarfile.XGLTYPE: "",
    tarfile.GNUTYPE_LONGNAME: "path",
    tarfile.GNUTYPE_LONGLINK: "linkpath",
}
"""Headers that say more of the next member, and which key GNU's have among those of pax."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a member's bytes are: *size* of them, from *offset* on."""

    offset: int
    size: int


def list_members(tar: ByteRanges) -> Mapping[str, Extent]:
    """
    Find the files of a tar file.

    Links to other members stand for those. Of two members of one name the
    later one counts. A name that leads out of the archive is left out.

    Returns:
        The extents by name, without ``./``: ``blobs/sha256/9f2c…``.

    Raises:
        InvalidArchiveError: Not a tar file, cut off, beyond a bound, or with
            sparse members.
    """
    files: dict[str, Extent] = {}
    links: dict[str, str] = {}
    for member in _members(tar):
        path = _normal(member.name)
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
    """The bytes about the header that is looked at; it only moves forward."""

    def __init__(self, tar: ByteRanges) -> None:
        self.tar = tar
        self._start, self._content = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        """Read *size* bytes, or fewer where the file ends."""
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
    """Go from header to header; what an extended header says is about the next member."""
    window, offset, extended = _Window(tar), 0, dict[str, str]()
    for _ in range(HEADERS_MAX):
        header = _header(window, offset)
        if header is None:
            return
        size = _size(tar, offset, header, extended)
        data, padded = offset + _BLOCK, -(-size // _BLOCK) * _BLOCK
        if header.type in _EXTENSIONS:
            extended |= _extension(window, header, data)
        else:
            _refuse_sparse(tar, header, extended)
            yield _member(tar, header, extended, Extent(data, size))
            extended = {}
        offset = data + (0 if header.type in _WITHOUT_DATA else padded)
    _refuse(tar, f"has more than {HEADERS_MAX} headers")


def _header(window: _Window, offset: int) -> tarfile.TarInfo | None:
    """Read a header; None at the end of the archive."""
    block = window.read(offset, _BLOCK)
    if len(block) == _BLOCK and not block.strip(b"\0"):
        return None
    if not block and offset and b"".join(window.tar.read(offset - 1, offset)):
        return None
    if len(block) < _BLOCK and offset:
        _refuse(window.tar, f"is cut off: it ends before byte {offset + len(block) + 1}, in the middle of a member")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        what = "a broken header" if offset else "no tar file: no header"
        message = f"{window.tar.name} has {what} at byte {offset} ({error})"
        raise InvalidArchiveError(message) from error


def _size(tar: ByteRanges, offset: int, header: tarfile.TarInfo, extended: Mapping[str, str]) -> int:
    """Return how long the member is; sizes above 8 GiB stand in an extended header."""
    text = extended.get("size", "") if header.type not in _EXTENSIONS else ""
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else header.size  # noqa: PLR2004 - 64 bits
    if size < 0:
        _refuse(tar, f"has a member of {size} bytes, at byte {offset}")
    return size


def _extension(window: _Window, header: tarfile.TarInfo, offset: int) -> Mapping[str, str]:
    if header.type == tarfile.XGLTYPE:
        # About the whole archive: a comment, mostly. It can name neither a member nor its size.
        return {}
    if header.size > EXTENDED_MAX_BYTES:
        _refuse(window.tar, f"has a header of {header.size} bytes, at byte {offset}; {EXTENDED_MAX_BYTES} are allowed")
    content = window.read(offset, header.size)
    key = _EXTENSIONS[header.type]
    if key:
        return {key: content.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    return dict(_records(window.tar, content, offset))


def _records(tar: ByteRanges, content: bytes, offset: int) -> Iterator[tuple[str, str]]:
    """Read the records of a pax header, ``<length> <key>=<value>`` a line, of the keys that say what or where."""
    start = 0
    while start < len(content) and content[start]:
        digits = content[start : start + _LENGTH_DIGITS].partition(b" ")[0]
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = content[start + len(digits) + 1 : end].partition(b"=")
        if not equals or end > len(content) or not value.endswith(b"\n"):
            _refuse(tar, f"has a broken extended header at byte {offset}")
        if key.startswith(b"GNU.sparse."):
            yield _SPARSE, ""
        if key in {b"path", b"linkpath", b"size"}:
            yield key.decode(), value[:-1].decode("utf-8", "surrogateescape")
        start = end


def _member(tar: ByteRanges, header: tarfile.TarInfo, extended: Mapping[str, str], extent: Extent) -> _Member:
    name, target = extended.get("path", header.name), extended.get("linkpath", header.linkname)
    for text in (name, target):
        if len(text) > NAME_MAX_CHARACTERS:
            _refuse(tar, f"has a name of {len(text)} characters: {shown(text)}; {NAME_MAX_CHARACTERS} are allowed")
    if header.issym():
        return _Member(name=name, link=_from_folder_of(name, target))
    if header.islnk():
        return _Member(name=name, link=target)
    return _Member(name=name, extent=extent if header.type not in _WITHOUT_DATA else None)


def _from_folder_of(name: str, target: str) -> str:
    """Return what a symbolic link stands for; an absolute one leads out of the archive."""
    return _OUTSIDE if target.startswith("/") else f"{name.rpartition('/')[0]}/{target}"


def _refuse_sparse(tar: ByteRanges, header: tarfile.TarInfo, extended: Mapping[str, str]) -> None:
    if header.type == tarfile.GNUTYPE_SPARSE or _SPARSE in extended:
        _refuse(tar, f"has a sparse member, {shown(header.name)}; write it again without tar's --sparse")


def _follow(path: str, files: Mapping[str, Extent], links: Mapping[str, str]) -> Extent | None:
    for _ in range(LINKS_MAX):
        path = _normal(links.get(path, _OUTSIDE)) or ""
        if path in files:
            return files[path]
    return None


def _normal(name: str) -> str | None:
    """Return a name without ``.`` and ``..``; None for one that leads out of the archive."""
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
