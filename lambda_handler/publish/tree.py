"""
Read the manifests below an image. The source may be malicious.

At most the declared size of a manifest is read, and the size must be right.
The number of manifests, their sizes and their references are limited for all
of them together.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..concurrency import map_concurrently
from ..errors import ImageError, IntegrityError, InvalidManifestError, NotFoundError
from ..oci import Descriptor, Digest, Manifest
from .ports import ChildReader

DEPTH_MAX = 4
"""How deep indexes may nest. Two levels are already rare; the limit stops a malicious source."""

MANIFESTS_MAX = 2_000
"""How many manifests one image may have in total. 200 platforms with attestations are 400."""

MANIFESTS_MAX_BYTES = 16 * 1024 * 1024
"""Their size limit in total. A manifest of a hundred layers has 20 KiB."""

REFERENCES_MAX = 10_000
"""How many layers, configs and manifests they may list in total. 200 platforms of fifty layers are 10,000."""

MAX_CONCURRENT_READS = 8
"""How many manifests are read concurrently."""

BATCH_BYTES = 2 * 1024 * 1024
"""How many bytes one batch of concurrent reads may have: a hundred ordinary manifests. A batch has at least one."""


@dataclass(slots=True)
class Allowance:
    """
    Counts the manifests of one image against the limits above. Thread-safe.

    Raises:
        InvalidManifestError: A limit is exceeded; each method raises it.
    """

    of: str = "the image"
    _manifests: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _references: int = field(default=0, init=False)
    _taking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, entries: Iterable[Descriptor]) -> None:
        """Count manifests before they are read, with their declared sizes."""
        sizes = [entry.size for entry in entries]
        self._count(len(sizes), sum(sizes))

    def take_unlisted(self, manifest: Manifest) -> None:
        """Count a manifest that no index lists, and what it refers to."""
        self._count(1, manifest.size)
        self.take_references(manifest)

    def take_references(self, manifest: Manifest) -> None:
        """Count the blobs and children of a manifest."""
        with self._taking:
            self._references += len(manifest.children) + len(manifest.blobs)
        if self._references > REFERENCES_MAX:
            message = f"{self.of} has more than {REFERENCES_MAX} layers, configs and manifests in total"
            raise InvalidManifestError(message)

    def _count(self, manifests: int, size: int) -> None:
        with self._taking:
            self._manifests += manifests
            self._bytes += size
        if self._manifests > MANIFESTS_MAX or self._bytes > MANIFESTS_MAX_BYTES:
            message = f"{self.of} has more than {MANIFESTS_MAX} manifests, or {MANIFESTS_MAX_BYTES} bytes of them"
            raise InvalidManifestError(message)


def collect_descendants(
    index: Manifest,
    origin: ChildReader,
    parts: dict[Digest, Manifest],
    allowance: Allowance,
    depth: int = DEPTH_MAX,
) -> frozenset[Digest]:
    """
    Add the manifests below *index* to *parts*, children before their parents.

    Returns:
        The digests that the outermost index lists but the origin does not have.

    Raises:
        InvalidManifestError: Indexes nest too deep, or exceed the allowance.
        IntegrityError: A child has another digest or size than *index* says.
        NotFoundError: The origin does not have a child of an inner index.
    """
    absent: dict[Digest, NotFoundError] = {}
    wanted = _wanted(index, parts)
    if wanted and depth == 0:
        message = f"indexes are nested more than {DEPTH_MAX} deep below the image"
        raise InvalidManifestError(message)
    allowance.take(wanted)
    by = f"the index {index.digest}"
    for batch in _batches(wanted):
        children = map_concurrently(
            lambda entry: _found(entry, by, origin, allowance), batch, max_workers=MAX_CONCURRENT_READS
        )
        for entry, child in zip(batch, children, strict=True):
            if isinstance(child, Manifest):
                collect_descendants(child, origin, parts, allowance, depth - 1)
                parts[child.digest] = child
            else:
                absent[entry.digest] = child
    for error in absent.values():
        if depth < DEPTH_MAX:
            raise error
    return frozenset(absent)


def collect_with_descendants(
    root: Manifest, origin: ChildReader, parts: dict[Digest, Manifest], allowance: Allowance
) -> None:
    """
    Add *root* and all manifests below it to *parts*.

    Raises:
        NotFoundError: The origin does not have a child.
    """
    if absent := collect_descendants(root, origin, parts, allowance):
        message = f"{root.digest} lists {', '.join(sorted(map(str, absent)))}, which its source does not have"
        raise NotFoundError(message, operation="reading the referrers of an image")
    parts[root.digest] = root


def _found(entry: Descriptor, by: str, origin: ChildReader, allowance: Allowance) -> Manifest | NotFoundError:
    try:
        return read_listed(entry, by, origin, allowance)
    except NotFoundError as error:
        return error


def read_listed(entry: Descriptor, by: str, origin: ChildReader, allowance: Allowance) -> Manifest:
    """
    Read a listed manifest, which *allowance* has already counted.

    Args:
        by: The name of the list, for messages.

    Raises:
        The same as ``ChildReader.listed``.
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
    """Return the entries that have not been read yet, without duplicates."""
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
