"""
OCI image layouts.

References:
    OCI image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..errors import (
    ImageError,
    IntegrityError,
    InvalidArchiveError,
    InvalidDigestError,
    InvalidManifestError,
    NotFoundError,
)
from ..oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest, ManifestMediaType
from ..oci.bounded_json import check_keys, parse_config, parse_json
from .files import CONFIG_MAX_BYTES, OPERATION, Files, path_of
from .naming import named_images, select_image

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"

ENTRIES_MAX = 2_000
"""How many images an archive may list; finding one may read all of them."""

DEPTH_MAX = 4
"""How deep in nested indexes an image is found by its digest."""

NAME = "org.opencontainers.image.ref.name"
"""OCI's annotation: usually a tag, sometimes a full name."""

CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation of containerd and Docker: a full name."""

_LAYOUT_MAX_BYTES = 4096
_VERSION = "1.0.0"
_COSIGN_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z]+)?")
"""A tag that contains the digest of its subject: cosign's tags and the referrers tag of the OCI distribution-spec."""


class ImageLayout:
    """
    The images of an OCI image layout, byte for byte.

    Raises:
        InvalidArchiveError: Not an image layout of version 1.0.0.
    """

    def __init__(self, files: Files) -> None:
        _check_version(files)
        self._files = files
        self._entries = _entries(files)
        self._listed = {entry.digest: entry for entry in self._entries}
        self._subjects: dict[Digest, Digest | None] = {}

    def __str__(self) -> str:
        return self._files.name

    @property
    def is_empty(self) -> bool:
        """Whether the layout lists no image."""
        return not self._entries

    def find(self, reference: str) -> Manifest:
        """
        Read the image that *reference* names; see ``select_image``.

        An empty reference ignores referrers, such as signatures, and the
        parts of an index.

        Raises:
            InvalidArchiveError: No image matches, or several do.
        """
        if (part := self._part(reference)) is not None:
            return part
        images = named_images((entry.digest, _names(entry)) for entry in self._entries)
        if not reference and len(images) > 1:
            # Some tools list the images of an index in addition to the index.
            parts = {part for digest in images for part in self._parts_of(digest)}
            images = {
                digest: names
                for digest, names in images.items()
                if digest not in parts and not self._is_referrer(digest, names)
            }
        return self.manifest(select_image(images, reference, self._files.name))

    def _part(self, reference: str) -> Manifest | None:
        """Read a manifest that only an index of the archive lists, by its digest; None if there is none."""
        with suppress(InvalidDigestError):
            wanted = Digest.parse(reference)
            if wanted not in self._listed:
                found = next((entry for entry in self._below() if entry.digest == wanted), None)
                return self.listed(found) if found else None
        return None

    def _below(self) -> Iterator[Descriptor]:
        """Yield the entries of all indexes, and of the indexes below them that the archive contains."""
        level = [entry for entry in self._entries if entry.is_index]
        for _ in range(DEPTH_MAX):
            following: list[Descriptor] = []
            for child in self._children(level):
                yield child
                if child.is_index and len(following) < ENTRIES_MAX:
                    following.append(child)
            level = following

    def _children(self, indexes: Iterable[Descriptor]) -> Iterator[Descriptor]:
        """Yield the entries of indexes, one index at a time: those of 2,000 indexes would not fit into memory."""
        held = {entry.digest: entry for entry in indexes if path_of(entry.digest) in self._files}
        for entry in list(held.values())[:ENTRIES_MAX]:
            yield from self._read(entry).children

    def has_tag(self, tag: str) -> bool:
        """Whether an entry has exactly this tag."""
        return self._tagged(tag) is not None

    def tagged(self, tag: str) -> Manifest | None:
        """Read the manifest with exactly this tag; None if there is none."""
        found = self._tagged(tag)
        return self.listed(found) if found else None

    def _tagged(self, tag: str) -> Descriptor | None:
        return next((entry for entry in self._entries if entry.annotations.get(NAME) == tag), None)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return the entries whose manifests have the subject *subject*."""
        return tuple(entry for entry in self._entries if self._subject_of(entry.digest) == subject)

    def manifest(self, digest: Digest) -> Manifest:
        """Read a manifest, byte for byte."""
        if entry := self._listed.get(digest):
            return self.listed(entry)
        return Manifest.parse(self._files.read(path_of(digest), MANIFEST_MAX_BYTES), expected=digest)

    def listed(self, entry: Descriptor) -> Manifest:
        """Read a manifest that an index lists, and check that the archive is consistent."""
        manifest = self._read(entry)
        _check_content_present(manifest, self._files)
        _check_layer_order(manifest, self._files)
        return manifest

    def _read(self, entry: Descriptor) -> Manifest:
        path = self._sized(entry)
        try:
            # A manifest without a mediaType has the one in its descriptor.
            return Manifest.parse(self._files.read(path, MANIFEST_MAX_BYTES), entry.media_type, expected=entry.digest)
        except ImageError as error:
            error.add_context(f"{path} in {self._files.name}")
            raise

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob."""
        yield from self._files.stream(self._sized(blob))

    def _sized(self, entry: Descriptor) -> str:
        """Return the path of the content of a descriptor, after comparing its size."""
        path = path_of(entry.digest)
        if (size := self._files.size(path)) != entry.size:
            message = f"{path} in {self._files.name} has {size} bytes, but its descriptor says {entry.size}"
            raise IntegrityError(message)
        return path

    def _parts_of(self, digest: Digest) -> set[Digest]:
        """Return the images of the layout that the index with this digest lists."""
        return self._listed.keys() & {child.digest for child in self.manifest(digest).children}

    def _is_referrer(self, digest: Digest, names: Iterable[str]) -> bool:
        return any(map(_COSIGN_TAG.fullmatch, names)) or self._subject_of(digest) is not None

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
        why = f": {error}" if isinstance(error, ValueError) else ""
        message = f"{LAYOUT_FILE} in {files.name} has no imageLayoutVersion{why}"
        raise InvalidArchiveError(message) from error
    if version != _VERSION:
        message = f"{LAYOUT_FILE} in {files.name} has the version {version!r:.40}; only {_VERSION} is supported"
        raise InvalidArchiveError(message)


def _entries(files: Files) -> Sequence[Descriptor]:
    """Read the entries of ``index.json`` that are manifests."""
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


def _check_content_present(manifest: Manifest, files: Files) -> None:
    """
    Refuse a manifest if the archive contains none of its blobs.

    Raises:
        NotFoundError: The manifest lists blobs, and the archive has none of them.
    """
    kept = [blob for blob in manifest.blobs if not blob.is_foreign]
    if kept and not any(path_of(blob.digest) in files for blob in kept):
        message = f"{files.name} contains the manifest {manifest.digest}, but none of the blobs that it refers to"
        raise NotFoundError(message, operation=OPERATION)


def _check_layer_order(manifest: Manifest, files: Files) -> None:
    """
    Refuse an image whose manifest and config list the layers in different orders.

    The digest of an uncompressed layer equals its diff id in the config, so
    comparing the two needs no hashing.

    Raises:
        InvalidArchiveError: The orders differ.

    References:
        moby/moby#47150: Docker 25.0.0 wrote such archives.
    """
    if manifest.is_index or path_of(manifest.blobs[0].digest) not in files:
        return
    diff_ids = _diff_ids(manifest.blobs[0].digest, files)
    layers = [str(layer.digest) for layer in manifest.blobs[1:]]
    expected = {digest: position for position, digest in enumerate(diff_ids)}
    for position, layer in enumerate(layers):
        if layer in expected and (position >= len(diff_ids) or diff_ids[position] != layer):
            message = (
                f"{files.name} contradicts itself: {layer} is layer {position + 1} in the manifest {manifest.digest}, "
                f"but layer {expected[layer] + 1} in its config"
            )
            hint = "Docker 25.0.0 wrote such archives; save the image again with another version"
            raise InvalidArchiveError(message, hint=hint)


def _diff_ids(config: Digest, files: Files) -> list[str]:
    """Read the diff ids of a config; return an empty list if it is not an image config."""
    if files.size(path_of(config)) > CONFIG_MAX_BYTES:
        return []
    try:
        data: Any = parse_config(files.read(path_of(config), CONFIG_MAX_BYTES))
        return [str(each) for each in data["rootfs"]["diff_ids"]]
    except InvalidManifestError as error:
        message = f"the config {config} in {files.name}: {error.message}"
        raise InvalidArchiveError(message) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
