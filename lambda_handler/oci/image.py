"""Make image manifests, for images that come without one; and read the configs of images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import _write
from .bounded_json import check_keys, parse_json
from .descriptor import Descriptor
from .manifest import Manifest
from .mediatype import ManifestMediaType

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""Of a layer that is not compressed; others add ``+gzip`` or ``+zstd``. Source: OCI image-spec v1.1, media-types.md."""


_CONFIG_KEYS = ("architecture", "os", "variant", "os.version", "os.features", "rootfs", "config", "history")
_ROOTFS_KEYS = ("type", "diff_ids")


def parse_config(content: bytes) -> Any:  # noqa: ANN401 - JSON, which its reader looks at
    """
    Read the config of an image as every client reads it.

    Raises:
        ValueError: Not JSON; or it has a key in other letters than the known
            ones, which says something else to clients that are written in Go.
        RecursionError: It is nested without end.
    """
    config = parse_json(content)
    if isinstance(config, dict):
        check_keys(config, _CONFIG_KEYS, "")
        if isinstance(layers := config.get("rootfs"), dict):
            check_keys(layers, _ROOTFS_KEYS, "rootfs.")
    return config


def assemble_image(config: Descriptor, layers: Iterable[Descriptor]) -> Manifest:
    """
    Write the OCI manifest of an image.

    The same config and layers always make the same bytes.
    """
    return Manifest.parse(
        _write.dump(
            {
                "schemaVersion": 2,
                "mediaType": ManifestMediaType.OCI_MANIFEST.value,
                "config": _write.entry(config),
                "layers": [_write.entry(layer) for layer in layers],
            }
        )
    )
