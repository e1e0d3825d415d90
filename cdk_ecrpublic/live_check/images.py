"""The images of the cases: tiny, with the same bytes in every run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

LAYER = bytes(1024)
"""An empty tar file."""

CONFIG = json.dumps(
    {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(LAYER))]}}
).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A manifest with a name for reports, and its blobs."""

    name: str
    manifest: bytes = field(repr=False)
    media_type: str = ManifestMediaType.OCI_MANIFEST
    blobs: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return str(Digest.of(self.manifest))

    @property
    def text(self) -> str:
        """The manifest as PutImage takes it."""
        return self.manifest.decode()


def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def image(name: str, /, **fields: object) -> Image:
    """
    Return an image whose blobs all images share. *fields* replace those of the manifest; None removes one.

    The name is in the manifest, so that each image has a digest of its own.
    """
    manifest: Mapping[str, object] = {
        "schemaVersion": 2,
        "mediaType": str(ManifestMediaType.OCI_MANIFEST),
        "config": descriptor(CONFIG, CONFIG_TYPE),
        "layers": [descriptor(LAYER, LAYER_TYPE)],
        "annotations": {"name": name},
    }
    return _made(name, manifest, fields, (CONFIG, LAYER))


def index(name: str, children: Sequence[Image], /, **fields: object) -> Image:
    """Return an index of images."""
    entries = [
        {**descriptor(child.manifest, child.media_type), "platform": {"os": "linux", "architecture": each}}
        for child, each in zip(children, ("amd64", "arm64", "riscv64"), strict=False)
    ]
    manifest: Mapping[str, object] = {
        "schemaVersion": 2,
        "mediaType": str(ManifestMediaType.OCI_INDEX),
        "manifests": entries,
        "annotations": {"name": name},
    }
    return _made(name, manifest, fields, ())


def referrer(name: str, subject: Image) -> Image:
    """Return an artifact that refers to an image."""
    return image(
        name, artifactType="application/vnd.example.sbom", subject=descriptor(subject.manifest, subject.media_type)
    )


def _made(name: str, manifest: Mapping[str, object], fields: Mapping[str, object], blobs: tuple[bytes, ...]) -> Image:
    content = {key: value for key, value in {**manifest, **fields}.items() if value is not None}
    media_type = str(content.get("mediaType", manifest["mediaType"]))
    return Image(name=name, manifest=json.dumps(content, indent=1).encode(), media_type=media_type, blobs=blobs)
