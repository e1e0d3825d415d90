"""
The manifests below an image, read from where an enemy may have put them.

Nothing that is said about sizes is believed: an entry's size is the most that
is read for it, and it has to be right. How many there are, how long they are
and to how much they refer is counted over all of them together.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..concurrency import map_concurrently
from ..errors import ImageError, IntegrityError, InvalidManifestError, NotFoundError
from ..oci import Descriptor, Digest, Manifest
from .ports import Lists

DEPTH_MAX = 4
"""How deep indexes may nest. Two levels are rare already; this ends what does not end."""

MANIFESTS_MAX = 2_000
"""How many manifests one image may have in all: 200 platforms with attestations are 400."""

MANIFESTS_MAX_BYTES = 16 * 1024 * 1024
"""How much memory they may take together; a manifest of a hundred layers has 20 KiB."""

REFERENCES_MAX = 10_000
"""How many layers, configs and manifests they may list in all: 200 platforms of a hundred layers."""

READERS = 8
"""How many manifests are read at once."""

BATCH_BYTES = 2 * 1024 * 1024
"""How many bytes are read at once, but for a manifest that is longer itself: a hundred ordinary ones."""


@dataclass(slots=True)
class Allowance:
    """
    What the manifests of one image may come to, however they are found; several threads may take of it.

    Raises:
        InvalidManifestError: It is used up; from each method.
    """

    of: str = "the image"
    _manifests: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _references: int = field(default=0, init=False)
    _taking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, entries: Iterable[Descriptor]) -> None:
        """Count manifests before they are read, as long as they are said to be."""
        sizes = [entry.size for entry in entries]
        self._count(len(sizes), sum(sizes))

    def take_unlisted(self, manifest: Manifest) -> None:
        """Count a manifest of unknown size."""
        self._count(1, manifest.size)
        self.take_references(manifest)

    def take_references(self, manifest: Manifest) -> None:
        """Count what a manifest lists."""
        with self._taking:
            self._references += len(manifest.children) + len(manifest.blobs)
        if self._references > REFERENCES_MAX:
            message = f"{self.of} has more than {REFERENCES_MAX} layers, configs and manifests in all"
            raise InvalidManifestError(message)

    def _count(self, manifests: int, size: int) -> None:
        with self._taking:
            self._manifests += manifests
            self._bytes += size
        if self._manifests > MANIFESTS_MAX or self._bytes > MANIFESTS_MAX_BYTES:
            message = f"{self.of} has more than {MANIFESTS_MAX} manifests, or {MANIFESTS_MAX_BYTES} bytes of them"
            raise InvalidManifestError(message)


def descend(
    index: Manifest, origin: Lists, parts: dict[Digest, Manifest], allowance: Allowance, depth: int = DEPTH_MAX
) -> frozenset[Digest]:
    """
    Read what is below *index* into *parts*, children before their parents.

    Returns:
        What the outermost index lists, and the origin does not hold.

    Raises:
        InvalidManifestError: Indexes nest too deep, or there is too much of them.
        IntegrityError: A child is not what *index* says of it.
        NotFoundError: A child of an inner index is not at the origin.
    """
    absent: dict[Digest, NotFoundError] = {}
    wanted = _wanted(index, parts)
    if wanted and depth == 0:
        message = f"indexes are nested more than {DEPTH_MAX} deep below the image"
        raise InvalidManifestError(message)
    allowance.take(wanted)
    by = f"the index {index.digest}"
    for batch in _batches(wanted):
        children = map_concurrently(lambda entry: _found(entry, by, origin, allowance), batch, max_workers=READERS)
        for entry, child in zip(batch, children, strict=True):
            if isinstance(child, Manifest):
                descend(child, origin, parts, allowance, depth - 1)
                parts[child.digest] = child
            else:
                absent[entry.digest] = child
    for error in absent.values():
        if depth < DEPTH_MAX:
            raise error
    return frozenset(absent)


def descend_whole(root: Manifest, origin: Lists, parts: dict[Digest, Manifest], allowance: Allowance) -> None:
    """
    Read *root* and what is below it into *parts*, all of it.

    Raises:
        NotFoundError: A child is not at the origin.
    """
    if absent := descend(root, origin, parts, allowance):
        message = f"{root.digest} lists {', '.join(sorted(map(str, absent)))}, which its source does not hold"
        raise NotFoundError(message, operation="reading what refers to an image")
    parts[root.digest] = root


def _found(entry: Descriptor, by: str, origin: Lists, allowance: Allowance) -> Manifest | NotFoundError:
    try:
        return read_listed(entry, by, origin, allowance)
    except NotFoundError as error:
        return error


def read_listed(entry: Descriptor, by: str, origin: Lists, allowance: Allowance) -> Manifest:
    """
    Read a manifest of a list, for which *allowance* was taken.

    Args:
        by: What lists it, for messages.

    Raises:
        The same as ``Lists.listed``.
    """
    try:
        manifest = origin.listed(entry)
    except IntegrityError as error:
        message = f"{by} lists {entry.digest} with {entry.size} bytes: {error.message}"
        raise IntegrityError(message) from error
    except ImageError as error:
        error.add_context(f"{by} lists {entry.digest}")
        raise
    allowance.take_references(manifest)
    return manifest


def _wanted(index: Manifest, parts: dict[Digest, Manifest]) -> Sequence[Descriptor]:
    """Return the entries that were not read yet, each once."""
    wanted: dict[Digest, Descriptor] = {}
    for child in index.children:
        known = parts.get(child.digest)
        size = wanted.setdefault(child.digest, child).size if known is None else known.size
        if size != child.size:
            message = (
                f"the index {index.digest} lists {child.digest} with {child.size} bytes, and elsewhere it has {size}"
            )
            raise IntegrityError(message)
    return list(wanted.values())


def _batches(entries: Sequence[Descriptor]) -> Iterator[Sequence[Descriptor]]:
    batch, size = list[Descriptor](), 0
    for entry in entries:
        if batch and size + entry.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch
