"""Reading tar files in all formats, and refusing hostile ones."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Generator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.archive import tar
from lambda_handler.archive.inflate import GzipContent
from lambda_handler.archive.tar import Extent, list_members
from lambda_handler.errors import ImageError, InvalidArchiveError
from tests.support.archives import MemoryObject, tar_of

LONG = "folder-of-a-long-name/" * 20 + "file"


def contents(packed: bytes) -> dict[str, bytes]:
    """List a tar file, and read each file at the listed position."""
    members = list_members(MemoryObject(packed))
    return {name: packed[extent.offset : extent.offset + extent.size] for name, extent in members.items()}


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    for key, value in more.items():
        setattr(info, key, value)
    return info


def archive(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002 - tarfile's name
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as packed:
        for info, content in entries:
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def header(name: str = "a", size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    return entry(name, kind, size=size).tobuf(tarfile.GNU_FORMAT)


def pax(**records: str) -> bytes:
    """Return an extended header alone."""
    return entry("a", pax_headers=records).tobuf(tarfile.PAX_FORMAT)[:-512]


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_lists_the_files_of_every_tar_format(style: int) -> None:
    files = {"index.json": b"{}", "./oci-layout": b"x" * 512, "blobs//sha256/a": b"y" * 1025, "empty": b""}

    assert contents(tar_of(files, format=style)) == {
        "index.json": b"{}",
        "oci-layout": b"x" * 512,
        "blobs/sha256/a": b"y" * 1025,
        "empty": b"",
    }


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_long_names_and_long_links(style: int) -> None:
    packed = tar_of({LONG: b"1", "übergroß": b"2"}, links={"link": LONG}, format=style)

    assert contents(packed) == {LONG: b"1", "übergroß": b"2", "link": b"1"}


def test_ignores_a_global_extended_header() -> None:
    packed = tar_of({"a": b"1"}, format=tarfile.PAX_FORMAT, pax_headers={"comment": "by a tool", "path": "hostile"})

    assert contents(packed) == {"a": b"1"}


def test_the_later_of_two_members_with_the_same_name_wins() -> None:
    assert contents(archive((entry("a"), b"old"), (entry("./a"), b"new"))) == {"a": b"new"}


@pytest.mark.parametrize(
    ("later", "found"),
    [
        (entry("a", tarfile.SYMTYPE, "b"), {"a": b"2", "b": b"2"}),
        (entry("a", tarfile.SYMTYPE, "nothing"), {"b": b"2"}),
        (entry("a", tarfile.DIRTYPE), {"b": b"2"}),
    ],
)
def test_the_later_member_wins_even_if_it_has_another_type(later: tarfile.TarInfo, found: dict[str, bytes]) -> None:
    files = [(entry("a"), b"1"), (entry("b"), b"2")]

    assert contents(archive(*files, (later, b""))) == found
    assert contents(archive((later, b""), *files)) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_omits_members_that_are_not_files(kind: bytes) -> None:
    assert contents(archive((entry("folder", kind), b""), (entry("a"), b"1"))) == {"a": b"1"}


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("b/layer.tar", tarfile.SYMTYPE, "../a/layer.tar"),
        ("b", tarfile.SYMTYPE, "a/layer.tar"),
        ("b", tarfile.SYMTYPE, "./b/../a//layer.tar"),
        ("b/layer.tar", tarfile.LNKTYPE, "a/layer.tar"),
        ("b/layer.tar", tarfile.LNKTYPE, "./a/layer.tar"),
    ],
)
def test_follows_links(name: str, kind: bytes, target: str) -> None:
    packed = archive((entry(name, kind, target), b""), (entry("a/layer.tar"), b"layer"))

    assert contents(packed)[name] == b"layer"


@pytest.mark.parametrize("target", ["../outside", "/a", "nothing", "b", "c"])
def test_omits_dangling_links(target: str) -> None:
    loop = [(entry("b", tarfile.SYMTYPE, target), b""), (entry("c", tarfile.SYMTYPE, "b"), b"")]

    assert contents(archive((entry("a"), b"1"), *loop)) == {"a": b"1"}


def test_limits_the_length_of_a_chain_of_links() -> None:
    chain = [(entry(str(number), tarfile.SYMTYPE, str(number - 1)), b"") for number in range(1, tar.LINKS_MAX + 2)]

    found = contents(archive((entry("0"), b"1"), *chain))

    assert sorted(found) == [str(number) for number in range(tar.LINKS_MAX + 1)]


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/.."])
def test_omits_names_that_lead_outside_the_archive(name: str) -> None:
    assert contents(archive((entry(name), b"1"), (entry("/etc/a"), b"2"))) == {"etc/a": b"2"}


def test_accepts_an_archive_without_zero_blocks_at_the_end() -> None:
    assert contents(archive((entry("a"), b"1"))[:1024]) == {"a": b"1"}


def test_reads_a_size_above_8_gib() -> None:
    """The data itself is never read, so the stand-in has none."""

    class Huge(MemoryObject):
        def read(self, start: int, stop: int) -> Generator[bytes, None, None]:
            yield self.content[start:stop] if start < self.size else b"\0" * min(stop - start, 4096)

    for first in (header("a", 2**33 + 5), pax(size=str(2**33 + 5)) + header("a", 0)):
        assert list_members(Huge(first)) == {"a": Extent(len(first), 2**33 + 5)}


def sparse_of_gnu() -> bytes:
    return header("a", 0, tarfile.GNUTYPE_SPARSE) + bytes(1024)


def large_pax() -> bytes:
    record = b"1048576 a="
    return header("a", 2**20, tarfile.XHDTYPE) + record + b"x" * (2**20 - len(record) - 1) + b"\n"


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "is not a tar file: no header at byte 0"),
    "short": (lambda: b"x" * 100, "is not a tar file"),
    "text": (lambda: b"hello " * 1000, "is not a tar file: no header at byte 0"),
    "invalid header": (lambda: header() + b"x" * 512, "an invalid header at byte 512"),
    "truncated in a header": (lambda: header() + header()[:100], "truncated: it ends at byte 612"),
    "truncated in a file": (lambda: header("a", 5000) + b"x" * 4000, "truncated"),
    "negative size": (lambda: header("a", -1), "a member with the size -1"),
    "huge name": (lambda: header("a", 2**30, tarfile.GNUTYPE_LONGNAME), "a header of 1073741824 bytes at byte 512"),
    "huge pax header": (lambda: header("a", 2**20 + 1, tarfile.XHDTYPE), "a header of 1048577 bytes"),
    "long name": (lambda: archive((entry("a" * 1025), b"")), "a name of 1025 characters: 'aaa"),
    "long link": (lambda: archive((entry("a", tarfile.SYMTYPE, "b" * 1025), b"")), "a name of 1025 characters"),
    "invalid pax header": (
        lambda: header("a", 8, tarfile.XHDTYPE) + b"9 a=b\n\0\0".ljust(512),
        "an invalid extended header",
    ),
    "pax record of length zero": (
        lambda: header("a", 8, tarfile.XHDTYPE) + b"0 a=b\n\0\0".ljust(512),
        "an invalid extended header",
    ),
    "pax without value": (lambda: header("a", 4, tarfile.XHDTYPE) + b"4 a\n".ljust(512), "an invalid extended header"),
    "sparse in the GNU format": (sparse_of_gnu, "a sparse member, 'a'; create the archive without"),
    "sparse in the pax format": (lambda: pax(**{"GNU.sparse.major": "1"}) + header(), "a sparse member"),
    "too many headers": (lambda: header() * (tar.HEADERS_MAX + 1), "more than 20000 headers"),
    "too many bytes of pax headers": (
        lambda: large_pax() * 17 + header(),
        "more than 16777216 bytes of extended headers",
    ),
    "too many pax headers": (lambda: pax(path="a") * (tar.HEADERS_MAX + 1), "more than 20000 headers"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_refuses_an_invalid_tar_file(kind: str) -> None:
    make, said = HOSTILE[kind]

    with pytest.raises(InvalidArchiveError, match=said) as failure:
        list_members(MemoryObject(make()))

    assert str(failure.value).startswith("s3://bucket/image.tar ")


def test_lists_thousands_of_members() -> None:
    files = {f"blobs/sha256/{number:064x}": bytes(number % 700) for number in range(5_000)}

    assert contents(tar_of(files)) == files


def test_reads_the_headers_and_skips_the_data() -> None:
    stored = MemoryObject(tar_of({name: bytes(10_000_000) for name in "abc"}))

    list_members(stored)

    assert sum(read for _, read in stored.reads) < 5 * 65_536


@given(st.sampled_from([b"", header("a", 10) + bytes(512)]), st.binary(max_size=2000))
def test_any_bytes_are_read_as_a_tar_file_or_refused(before: bytes, noise: bytes) -> None:
    with suppress(ImageError):
        list_members(MemoryObject(before + noise))


@given(st.integers(0, 3071), st.integers(0, 255))
def test_any_changed_byte_is_detected_or_harmless(place: int, value: int) -> None:
    packed = bytearray(pax(path="b") + header("a", 10) + b"0123456789".ljust(512, b"\0") + bytes(1024))
    packed[place] = value
    with suppress(ImageError):
        list_members(MemoryObject(bytes(packed)))


@given(st.binary(max_size=500))
def test_any_bytes_are_read_as_a_gzip_file_or_refused(noise: bytes) -> None:
    with suppress(ImageError):
        list_members(GzipContent(MemoryObject(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + noise)))
