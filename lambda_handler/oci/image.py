"""Make image manifests, for images that come without one."""

from __future__ import annotations

from collections.abc import Iterable

from . import _write
from .descriptor import Descriptor
from .manifest import Manifest
from .mediatype import ManifestMediaType

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""Of a layer that is not compressed; others add ``+gzip`` or ``+zstd``. Source: OCI image-spec v1.1, media-types.md."""


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
