"""
What one run leaves for the next: the links of manifests, and the removals that have begun.

Manifests never change, so each is read once in its life. A repository with
100,000 images is read in several runs.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..oci import Digest
from .inventory import Links

VERSION = 1

CONTENT_MAX_BYTES = 64 * 1024 * 1024
"""The size limit of an uncompressed object. The links of 100,000 images are about 20 MB."""

_COMPRESSION_LEVEL = 1
"""Digests hardly compress: higher levels take longer and save nothing."""

LINKS_PREFIX, REMOVALS_PREFIX, REPORTS_PREFIX = "links/", "removals/", "reports/"
"""The kinds of objects in the bucket. The state is read and written, reports are only written."""

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zlib.error, RecursionError)


def encode_links(links: Mapping[Digest, Links]) -> bytes:
    """
    Encode the links of manifests, compressed.

    Shape:
        ``{"version": 1, "links": {"<hex>": {"c": ["<hex>"], "s": "<hex>"}}}``
    """
    return _encoded({"links": {digest.hex: _link(each) for digest, each in links.items()}})


def decode_links(content: bytes | None) -> dict[Digest, Links]:
    """Decode the links of manifests. If they cannot be read, there are none, and the manifests are read again."""
    try:
        return {
            _digest(hexadecimal): Links(
                children=tuple(map(_digest, each.get("c", ()))),
                subject=_digest(each["s"]) if "s" in each else None,
            )
            for hexadecimal, each in _decoded(content)["links"].items()
        }
    except _UNREADABLE:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """
    The removals that have begun in a repository.

    Attributes:
        pending: The parts that a run was about to remove, each with the images
            that it is a part of. A part whose index was removed before it looks
            like an ordinary image.
        removing: The tagged images of a batch that is being removed, each with
            its tags. If one of them exists without a tag, the tag is put back.
    """

    pending: Mapping[Digest, frozenset[Digest]] = field(default_factory=dict)
    removing: Mapping[Digest, frozenset[str]] = field(default_factory=dict)

    def with_pending(self, parts: Mapping[Digest, frozenset[Digest]]) -> Begun:
        """Add parts that are about to be removed."""
        return Begun(pending={**self.pending, **parts}, removing=self.removing)

    def without_pending(self, gone: Iterable[Digest]) -> Begun:
        """Leave out parts that are gone."""
        gone = frozenset(gone)
        pending = {part: whole for part, whole in self.pending.items() if part not in gone}
        return Begun(pending=pending, removing=self.removing)

    def with_batch(self, batch: Mapping[Digest, frozenset[str]], done: Iterable[Digest]) -> Begun:
        """Add a batch that is about to be removed, instead of one that is done."""
        done = frozenset(done)
        removing = {digest: tags for digest, tags in self.removing.items() if digest not in done}
        return Begun(pending=self.pending, removing={**removing, **batch})

    def encode(self) -> bytes:
        """
        Encode the removals, compressed.

        Shape:
            ``{"version": 1, "pending": {"<hex>": ["<hex>"]}, "removing": {"<hex>": ["<tag>"]}}``
        """
        pending = {part.hex: sorted(each.hex for each in whole) for part, whole in self.pending.items()}
        removing = {digest.hex: sorted(tags) for digest, tags in self.removing.items()}
        return _encoded({"pending": pending, "removing": removing})

    @classmethod
    def decode(cls, content: bytes | None) -> Begun:
        """Decode removals. If they cannot be read, there are none: the images are decided about by the rules alone."""
        try:
            data = _decoded(content)
            pending = {_digest(part): frozenset(map(_digest, whole)) for part, whole in data["pending"].items()}
            removing = {_digest(each): frozenset(map(str, tags)) for each, tags in data["removing"].items()}
            return cls(pending=pending, removing=removing)
        except _UNREADABLE:
            return cls()


def _encoded(data: Mapping[str, object]) -> bytes:
    text = json.dumps({"version": VERSION, **data}, separators=(",", ":"))
    return gzip.compress(text.encode(), _COMPRESSION_LEVEL, mtime=0)


def _decoded(content: bytes | None) -> Any:  # noqa: ANN401 - JSON
    """Decode an object; raise one of ``_UNREADABLE`` if it is of another version, or not what was encoded."""
    # At most the limit: a longer object is invalid JSON.
    data = json.loads(zlib.decompressobj(wbits=31).decompress(content or b"", CONTENT_MAX_BYTES))
    if data["version"] != VERSION:
        message = "another version"
        raise ValueError(message)
    return data


def _link(links: Links) -> dict[str, object]:
    children = {"c": [child.hex for child in links.children]} if links.children else {}
    return {**children, **({"s": links.subject.hex} if links.subject else {})}


def _digest(hexadecimal: str) -> Digest:
    return Digest.parse(f"sha256:{hexadecimal}")
