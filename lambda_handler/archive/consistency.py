"""Checks whether the files of an archive agree with each other."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidArchiveError, InvalidManifestError, NotFoundError
from ..oci import Digest, Manifest
from ..oci.bounded_json import parse_config
from .files import OPERATION, Files, path_of

CONFIG_MAX_BYTES = 4 * 1024 * 1024


def check_content_present(manifest: Manifest, files: Files) -> None:
    """
    Refuse a manifest if the archive contains none of its blobs.

    Raises:
        NotFoundError: The manifest lists blobs, and the archive has none of them.
    """
    kept = [blob for blob in manifest.blobs if not blob.is_foreign]
    if kept and not any(path_of(blob.digest) in files for blob in kept):
        message = f"{files.name} contains the manifest {manifest.digest}, but none of the blobs that it refers to"
        raise NotFoundError(message, operation=OPERATION)


def check_layer_order(manifest: Manifest, files: Files) -> None:
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
