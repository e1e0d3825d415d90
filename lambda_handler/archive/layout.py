"""
OCI image layouts.

Source:
    OCI image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..errors import IntegrityError, InvalidArchiveError, InvalidDigestError, InvalidManifestError
from ..oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest, ManifestMediaType
from ..oci.bounded_json import check_keys, parse_json
from .agreement import check_held, check_order
from .files import Files, path_of
from .naming import Named, choose, merged

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"

ENTRIES_MAX = 2_000
"""How many images an archive may list; each may have to be read."""

DEPTH_MAX = 4
"""How deep an image may stand in indexes, to be named by its digest."""

NAME = "org.opencontainers.image.ref.name"
"""The annotation of OCI: a tag mostly, or a whole name."""

CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation of containerd and Docker: a whole name."""

_LAYOUT_MAX_BYTES = 4096
_VERSION = "1.0.0"
_COSIGN_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z]+)?")
"""A tag that names what it refers to: cosign's, and the referrers tag of OCI's distribution-spec."""


class ImageLayout:
    """
    The images of a layout, each exact to the byte; as an origin it gives what the layout holds.

    Raises:
        InvalidArchiveError: Not a layout of version 1.0.0.
    """

    def __init__(self, files: Files) -> None:
        _check_version(files)
        self._files = files
        self._entries = _entries(files)
        self._listed = {entry.digest: entry for entry in self._entries}
        self._subjects: dict[Digest, Digest | None] = {}

    @property
    def is_empty(self) -> bool:
        """Whether it lists no images."""
        return not self._entries

    def find(self, reference: str) -> Manifest:
        """
        Read the image that *reference* stands for; see ``choose``.

        Raises:
            InvalidArchiveError: There is none, or more than one.
        """
        if (part := self._part(reference)) is not None:
            return part
        images = merged([Named(digest=entry.digest, names=_names(entry)) for entry in self._entries])
        if not reference and len(images) > 1:
            # Some tools list the parts of an index beside it.
            parts = {part for image in images for part in self._parts_of(image)}
            images = [image for image in images if image.digest not in parts and not self._is_referrer(image)]
        return self.manifest(choose(images, reference, self._files.name).digest)

    def _part(self, reference: str) -> Manifest | None:
        """Read what an index of the archive lists, by its digest; None where it is no such thing."""
        with suppress(InvalidDigestError):
            wanted = Digest.parse(reference)
            if wanted not in self._listed:
                found = next((entry for entry in self._below() if entry.digest == wanted), None)
                return self.listed(found) if found else None
        return None

    def _below(self) -> Iterator[Descriptor]:
        """Give all that indexes of the archive list, as far as the archive holds them."""
        level: Sequence[Descriptor] = [entry for entry in self._entries if entry.is_index]
        for _ in range(DEPTH_MAX):
            held = [entry for entry in level[:ENTRIES_MAX] if path_of(entry.digest) in self._files]
            children = [child for entry in held for child in self._read(entry).children]
            yield from children
            level = [child for child in children if child.is_index]

    def has_tag(self, tag: str) -> bool:
        """Whether an image has exactly this tag."""
        return self._tagged(tag) is not None

    def tagged(self, tag: str) -> Manifest | None:
        """Read the image that has exactly this tag; None where none has."""
        found = self._tagged(tag)
        return self.listed(found) if found else None

    def _tagged(self, tag: str) -> Descriptor | None:
        return next((entry for entry in self._entries if entry.annotations.get(NAME) == tag), None)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return the entries whose manifests say that they refer to *subject*."""
        return tuple(entry for entry in self._entries if self._subject_of(entry.digest) == subject)

    def manifest(self, digest: Digest) -> Manifest:
        """
        Read a manifest, exact to the byte.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It has other bytes.
        """
        if entry := self._listed.get(digest):
            return self.listed(entry)
        return Manifest.parse(self._files.read(path_of(digest), MANIFEST_MAX_BYTES), expected=digest)

    def listed(self, entry: Descriptor) -> Manifest:
        """
        Read a manifest that the index or another manifest lists.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It has another size, or other bytes.
        """
        manifest = self._read(entry)
        check_held(manifest, self._files)
        check_order(manifest, self._files)
        return manifest

    def _read(self, entry: Descriptor) -> Manifest:
        path = self._sized(entry)
        # A manifest may leave its media type to those that refer to it.
        return Manifest.parse(self._files.read(path, MANIFEST_MAX_BYTES), entry.media_type, expected=entry.digest)

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob.

        Raises:
            NotFoundError: It is not there.
            IntegrityError: It has another size, or the archive is broken.
        """
        yield from self._files.stream(self._sized(blob))

    def _sized(self, entry: Descriptor) -> str:
        """Return the path of what is listed, if it is as long as the list says."""
        path = path_of(entry.digest)
        if (size := self._files.size(path)) != entry.size:
            message = f"{path} in {self._files.name} has {size} bytes; what lists it says {entry.size}"
            raise IntegrityError(message)
        return path

    def _parts_of(self, image: Named) -> set[Digest]:
        """Return which of the images an image lists as its parts."""
        return self._listed.keys() & {child.digest for child in self.manifest(image.digest).children}

    def _is_referrer(self, image: Named) -> bool:
        return any(map(_COSIGN_TAG.fullmatch, image.names)) or self._subject_of(image.digest) is not None

    def _subject_of(self, digest: Digest) -> Digest | None:
        if digest not in self._subjects:
            subject = self._read(self._listed[digest]).subject
            self._subjects[digest] = None if subject is None else subject.digest
        return self._subjects[digest]


def _check_version(files: Files) -> None:
    content = files.read(LAYOUT_FILE, _LAYOUT_MAX_BYTES)
    try:
        data: Any = parse_json(content)
        check_keys(data, ("imageLayoutVersion",), "")
        version = data["imageLayoutVersion"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{LAYOUT_FILE} in {files.name} names no version"
        raise InvalidArchiveError(message) from error
    if version != _VERSION:
        message = f"{LAYOUT_FILE} in {files.name} names the version {version!r:.40}; {_VERSION} can be read"
        raise InvalidArchiveError(message)


def _entries(files: Files) -> Sequence[Descriptor]:
    """Read the index; an entry that is no manifest is none of our business."""
    content = files.read(INDEX_FILE, MANIFEST_MAX_BYTES)
    try:
        index = Manifest.parse(content, ManifestMediaType.OCI_INDEX)
    except InvalidManifestError as error:
        message = f"{INDEX_FILE} in {files.name}: {error.message}"
        raise InvalidArchiveError(message) from error
    if len(index.children) > ENTRIES_MAX:
        message = f"{INDEX_FILE} in {files.name} lists {len(index.children)} images; at most {ENTRIES_MAX} are allowed"
        raise InvalidArchiveError(message)
    return [entry for entry in index.children if entry.media_type in set(ManifestMediaType)]


def _names(entry: Descriptor) -> tuple[str, ...]:
    names = (entry.annotations.get(CONTAINERD_NAME), entry.annotations.get(NAME))
    return tuple(dict.fromkeys(name for name in names if name))
