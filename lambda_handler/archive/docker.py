"""
Archives of ``docker save``, as Docker wrote them before it wrote OCI layouts too.

They have configs and layers, but no manifests, so one is written here. The
rule, by which the same archive always becomes the same image: an OCI image
manifest; the config to the byte; each layer as it is in the archive. A layer
that is not compressed has as its digest the diff id that the config says of
it, which the upload proves; any other is hashed.

Source:
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
from ..oci.bounded_json import check_keys, parse_json
from ..oci.image import CONFIG_TYPE, LAYER_TYPE, assemble_image, parse_config
from .files import OPERATION, Files
from .inflate import GZIP_MAGIC
from .naming import Named, choose, merged

MANIFEST_FILE = "manifest.json"

IMAGES_MAX = 1_000
"""How many images an archive may list; each config is read."""

LAYERS_MAX = 1_000
"""How many layers an image may have; Docker itself stops at 127."""

CONFIG_MAX_BYTES = 4 * 1024 * 1024

_COMPRESSIONS = {GZIP_MAGIC: "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}
"""What a compressed layer begins with. Source: RFC 1952; RFC 8878."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """An entry of the archive's list: where the config and the layers of an image are."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


class DockerSave:
    """
    The images of such an archive; as an origin it gives the blobs of those that were found.

    Raises:
        InvalidArchiveError: Its list of images cannot be read.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._saved = _list(files)
        self._manifests: dict[Digest, Manifest] = {}
        self._paths: dict[Digest, str] = {}

    def find(self, reference: str) -> Manifest:
        """
        Write the manifest of the image that *reference* stands for; see ``choose``.

        The digest of an image, in a reference, is that of its config: what
        Docker calls the image's id.

        Raises:
            InvalidArchiveError: There is none, or more than one, or its
                config and its list of layers do not agree.
        """
        ids = [self._config(saved).digest for saved in self._saved]
        images = merged(
            [Named(digest=digest, names=saved.names) for digest, saved in zip(ids, self._saved, strict=True)]
        )
        return self._assemble(self._saved[ids.index(choose(images, reference, self._files.name).digest)])

    def has_tag(self, tag: str) -> bool:  # noqa: ARG002 - has the shape of a layout's
        """Return False: Docker saves images, and nothing that refers to them."""
        return False

    def tagged(self, tag: str) -> Manifest | None:  # noqa: ARG002 - has the shape of a layout's
        """Return nothing: Docker saves images, and nothing that refers to them."""
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:  # noqa: ARG002 - has the shape of a layout's
        """Return nothing: Docker saves images, and nothing that refers to them."""
        return ()

    def manifest(self, digest: Digest) -> Manifest:
        """
        Return a manifest that was written for an image that was found.

        Raises:
            NotFoundError: There is no such image.
        """
        if digest not in self._manifests:
            message = f"{self._files.name} has no manifests of its own, so none of {digest}"
            raise NotFoundError(message, operation=OPERATION)
        return self._manifests[digest]

    def listed(self, entry: Descriptor) -> Manifest:
        """
        Return a manifest that was written for an image that was found.

        Raises:
            NotFoundError: There is no such image.
        """
        return self.manifest(entry.digest)

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """
        Stream a blob of an image that was found.

        Raises:
            NotFoundError: It belongs to none.
            IntegrityError: The archive is broken.
        """
        if blob.digest not in self._paths:
            message = f"{self._files.name} holds no {blob.digest}"
            raise NotFoundError(message, operation=OPERATION)
        yield from self._files.stream(self._paths[blob.digest])

    def _assemble(self, saved: _Saved) -> Manifest:
        config = self._config(saved)
        diff_ids = _diff_ids(self._files, saved.config)
        if len(diff_ids) != len(saved.layers):
            message = (
                f"{saved.config} in {self._files.name} names {len(diff_ids)} layers, but {MANIFEST_FILE} lists "
                f"{len(saved.layers)} for it"
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
        with closing(self._files.stream(path, 4)) as pieces:
            magic = b"".join(pieces)
        compression = next((suffix for start, suffix in _COMPRESSIONS.items() if magic.startswith(start)), "")
        return self._known(LAYER_TYPE + compression, self._hash(path) if compression else diff_id, path)

    def _known(self, media_type: str, digest: Digest, path: str) -> Descriptor:
        """Remember where a blob is."""
        self._paths[digest] = path
        return Descriptor(media_type=media_type, digest=digest, size=self._files.size(path))

    def _hash(self, path: str) -> Digest:
        hasher = hashlib.sha256()
        with closing(self._files.stream(path)) as pieces:
            for piece in pieces:
                hasher.update(piece)
        return Digest(f"sha256:{hasher.hexdigest()}")


def _list(files: Files) -> list[_Saved]:
    try:
        saved = [_saved(item) for item in _items(files)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ImageError) and not isinstance(error, InvalidManifestError):
            raise
        why = f": {error.message}" if isinstance(error, ImageError) else ""
        message = f"{MANIFEST_FILE} in {files.name} is no list of images as Docker saves them{why}"
        raise InvalidArchiveError(message) from error
    if len(saved) > IMAGES_MAX or any(len(image.layers) > LAYERS_MAX for image in saved):
        message = f"{MANIFEST_FILE} in {files.name} has more than {IMAGES_MAX} images, or one of {LAYERS_MAX} layers"
        raise InvalidArchiveError(message)
    return saved


def _items(files: Files) -> Any:  # noqa: ANN401 - JSON, which its reader looks at
    return parse_json(files.read(MANIFEST_FILE, MANIFEST_MAX_BYTES))


def _saved(item: Mapping[str, object]) -> _Saved:
    check_keys(item, ("Config", "RepoTags", "Layers"), "")
    return _Saved(config=_text(item["Config"]), names=_texts(item.get("RepoTags")), layers=_texts(item["Layers"]))


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
        why = error.message if isinstance(error, InvalidManifestError) else "it names no layers"
        message = f"{path} in {files.name} is no config of an image: {why}"
        raise InvalidArchiveError(message) from error
