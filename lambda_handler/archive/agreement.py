"""What the files of an archive say of one another."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidArchiveError, InvalidManifestError, NotFoundError
from ..oci import Digest, Manifest
from ..oci.image import parse_config
from .files import OPERATION, Files, path_of

CONFIG_MAX_BYTES = 4 * 1024 * 1024


def check_held(manifest: Manifest, files: Files) -> None:
    """
    Refuse a manifest of whose image the archive holds nothing else.

    Raises:
        NotFoundError: It has blobs, and none of them is there.
    """
    kept = [blob for blob in manifest.blobs if not blob.is_foreign]
    if kept and not any(path_of(blob.digest) in files for blob in kept):
        message = f"{files.name} holds the manifest {manifest.digest}, and none of the content that it refers to"
        raise NotFoundError(message, operation=OPERATION)


def check_order(manifest: Manifest, files: Files) -> None:
    """
    Refuse an image whose manifest has its layers in another order than its config.

    A layer that is not compressed has as its digest the diff id that the
    config says of it, so that the two can be compared for nothing.

    Raises:
        InvalidArchiveError: They contradict each other.

    References:
        moby/moby#47150: Docker 25.0.0 wrote such archives.
    """
    if manifest.is_index or path_of(manifest.blobs[0].digest) not in files:
        return
    diff_ids = _diff_ids(manifest.blobs[0].digest, files)
    layers = [str(layer.digest) for layer in manifest.blobs[1:]]
    expected = {digest: place for place, digest in enumerate(diff_ids)}
    for place, layer in enumerate(layers):
        if layer in expected and (place >= len(diff_ids) or diff_ids[place] != layer):
            message = (
                f"{files.name} contradicts itself: the manifest {manifest.digest} has {layer} as layer {place + 1}, "
                f"and its config has it as layer {expected[layer] + 1}"
            )
            hint = "Docker 25.0.0 wrote such archives; write it again with another version"
            raise InvalidArchiveError(message, hint=hint)


def _diff_ids(config: Digest, files: Files) -> list[str]:
    """Read the diff ids of a config; none where it is no config of an image."""
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
