"""
``docker save`` archives, in the format that Docker used before it wrote OCI layouts.

These archives contain configs and layers but no manifests, so a manifest is
assembled here. The same archive always produces the same image: an OCI image
manifest with the config and each layer exactly as they are in the archive.
The digest of an uncompressed layer is its diff id in the config, which the
upload verifies; a compressed layer is hashed.

References:
    moby/docker-image-spec v1.3, "Combined Image JSON + Filesystem Changeset
    Format".
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ..errors import ImageError, InvalidArchiveError, InvalidManifestError, NotFoundError
from ..oci import MANIFEST_MAX_BYTES, Descriptor, Digest, Manifest
from ..oci.assemble import CONFIG_TYPE, LAYER_TYPE, assemble_image
from ..oci.bounded_json import check_keys, parse_config, parse_json
from .files import CONFIG_MAX_BYTES, OPERATION, Files
from .inflate import GZIP_MAGIC
from .naming import named_images, select_image
from .tar import normal_path

MANIFEST_FILE = "manifest.json"

IMAGES_MAX = 1_000
"""How many images an archive may list; the config of each one is read."""

LAYERS_MAX = 1_000
"""How many layers an image may have; Docker itself allows 127."""

_COMPRESSIONS = {GZIP_MAGIC: "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}
"""
Magic bytes of compressed layers.

References:
    RFC 1952; RFC 8878.
"""

_NOT_IN_IMAGES = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}
"""Magic bytes of compressions that have no media type for layers."""

_MAGIC_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """An entry of ``manifest.json``: the paths of an image's config and layers."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


class DockerSave:
    """
    The images of a ``docker save`` archive; as an upstream it has the blobs of the images that were found.

    Raises:
        InvalidArchiveError: The list of images cannot be read.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._saved = _list(files)
        self._manifests: dict[Digest, Manifest] = {}
        self._paths: dict[Digest, str] = {}

    def __str__(self) -> str:
        return self._files.name

    def find(self, reference: str) -> Manifest:
        """
        Assemble the manifest of the image that *reference* names; see ``select_image``.

        A digest in the reference is the digest of the config, which Docker
        calls the image ID.

        Raises:
            InvalidArchiveError: No image matches, or several do, or the config
                and the list of layers do not agree.
        """
        ids = [self._config(saved).digest for saved in self._saved]
        images = named_images((digest, saved.names) for digest, saved in zip(ids, self._saved, strict=True))
        return self._assemble(self._saved[ids.index(select_image(images, reference, self._files.name))])

    def has_tag(self, tag: str) -> bool:  # noqa: ARG002 - the signature of the port
        """Return False: ``docker save`` writes no referrers."""
        return False

    def tagged(self, tag: str) -> Manifest | None:  # noqa: ARG002 - the signature of the port
        """Return None: ``docker save`` writes no referrers."""
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:  # noqa: ARG002 - the signature of the port
        """Return nothing: ``docker save`` writes no referrers."""
        return ()

    def manifest(self, digest: Digest) -> Manifest:
        """Return a manifest that ``find`` has assembled."""
        if digest not in self._manifests:
            message = f"{self._files.name} contains no manifests, so it cannot contain {digest}"
            raise NotFoundError(message, operation=OPERATION)
        return self._manifests[digest]

    def listed(self, entry: Descriptor) -> Manifest:
        """Return a manifest that ``find`` has assembled."""
        return self.manifest(entry.digest)

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob of an image that ``find`` has returned."""
        if blob.digest not in self._paths:
            message = f"{self._files.name} does not contain {blob.digest}"
            raise NotFoundError(message, operation=OPERATION)
        yield from self._files.stream(self._paths[blob.digest])

    def _assemble(self, saved: _Saved) -> Manifest:
        config = self._config(saved)
        diff_ids = _diff_ids(self._files, saved.config)
        if len(diff_ids) != len(saved.layers):
            message = (
                f"{saved.config} in {self._files.name} has {len(diff_ids)} diff ids, but {MANIFEST_FILE} lists "
                f"{len(saved.layers)} layers for the image"
            )
            raise InvalidArchiveError(message)
        layers = [self._layer(path, diff_id) for path, diff_id in zip(saved.layers, diff_ids, strict=True)]
        manifest = assemble_image(config, layers)
        self._manifests[manifest.digest] = manifest
        return manifest

    def _config(self, saved: _Saved) -> Descriptor:
        content = self._files.read(saved.config, CONFIG_MAX_BYTES)
        return self._known(CONFIG_TYPE, Digest.of(content), saved.config)

    def _layer(self, path: str, diff_id: Digest) -> Descriptor:
        with closing(self._files.stream(path, _MAGIC_BYTES)) as chunks:
            magic = b"".join(chunks)
        if unknown := next((name for start, name in _NOT_IN_IMAGES.items() if magic.startswith(start)), ""):
            message = f"the layer {path} in {self._files.name} is compressed with {unknown}, which no client can unpack"
            raise InvalidArchiveError(message, hint="store the layer uncompressed, or compressed with gzip or zstd")
        compression = next((suffix for start, suffix in _COMPRESSIONS.items() if magic.startswith(start)), "")
        return self._known(LAYER_TYPE + compression, self._hash(path) if compression else diff_id, path)

    def _known(self, media_type: str, digest: Digest, path: str) -> Descriptor:
        """Describe a blob, and remember its path."""
        self._paths[digest] = path
        return Descriptor(media_type=media_type, digest=digest, size=self._files.size(path))

    def _hash(self, path: str) -> Digest:
        hasher = hashlib.sha256()
        with closing(self._files.stream(path)) as chunks:
            for chunk in chunks:
                hasher.update(chunk)
        return Digest(f"sha256:{hasher.hexdigest()}")


def _list(files: Files) -> list[_Saved]:
    try:
        saved = [_saved(item) for item in _items(files)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ImageError) and not isinstance(error, InvalidManifestError):
            raise
        why = f": {error}" if isinstance(error, ValueError) else ""
        message = f"{MANIFEST_FILE} in {files.name} is not a list of images in the format of docker save{why}"
        raise InvalidArchiveError(message) from error
    if len(saved) > IMAGES_MAX or any(len(image.layers) > LAYERS_MAX for image in saved):
        message = (
            f"{MANIFEST_FILE} in {files.name} lists more than {IMAGES_MAX} images, or an image with more than "
            f"{LAYERS_MAX} layers"
        )
        raise InvalidArchiveError(message)
    return saved


def _items(files: Files) -> Any:  # noqa: ANN401 - JSON that the caller checks
    return parse_json(files.read(MANIFEST_FILE, MANIFEST_MAX_BYTES))


def _saved(item: Mapping[str, object]) -> _Saved:
    check_keys(item, ("Config", "RepoTags", "Layers"), "")
    return _Saved(
        config=_path(_text(item["Config"])),
        names=_texts(item.get("RepoTags")),
        layers=tuple(map(_path, _texts(item["Layers"]))),
    )


def _path(text: str) -> str:
    """Return the path of a file as the tar file has it: some tools write ``./`` or ``//`` in one of them only."""
    return normal_path(text) or text


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list | None):
        raise TypeError
    return tuple(_text(value) for value in values or ())


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _diff_ids(files: Files, path: str) -> list[Digest]:
    try:
        config: Any = parse_config(files.read(path, CONFIG_MAX_BYTES))
        return [Digest.parse(text) for text in config["rootfs"]["diff_ids"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = error.message if isinstance(error, InvalidManifestError) else "it has no diff ids"
        message = f"{path} in {files.name} is not an image config: {why}"
        raise InvalidArchiveError(message) from error
