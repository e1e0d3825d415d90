"""Common names of artifacts that are not container images, by artifact type, config or layers."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .._assets.lambda_handler.oci import Manifest

_KINDS: tuple[tuple[str, str], ...] = (
    ("application/vnd.cncf.helm.", "Helm chart"),
    ("application/vnd.wasm.", "WebAssembly module"),
    ("application/wasm", "WebAssembly module"),
    ("application/vnd.dev.cosign.simplesigning.", "cosign signature"),
    ("application/vnd.dev.cosign.artifact.sig.", "cosign signature"),
    ("application/vnd.dev.sigstore.bundle.", "Sigstore bundle"),
    ("application/vnd.cncf.notary.signature", "Notation signature"),
    ("application/spdx", "SPDX SBOM"),
    ("text/spdx", "SPDX SBOM"),
    ("application/vnd.cyclonedx", "CycloneDX SBOM"),
    ("application/vnd.syft", "Syft SBOM"),
    ("application/vnd.in-toto", "in-toto attestation"),
    ("application/vnd.dsse.envelope", "in-toto attestation"),
    ("application/vnd.cncf.openpolicyagent.", "OPA policy"),
    ("application/vnd.cncf.flux.", "Flux artifact"),
    ("application/vnd.cncf.artifacthub.", "Artifact Hub metadata"),
    ("application/vnd.sylabs.sif.", "Singularity image"),
    ("application/vnd.docker.plugin.", "Docker plugin"),
    ("application/vnd.amazon.soci.", "SOCI index"),
    ("application/sarif", "SARIF report"),
)
"""Prefixes of media types with their names. The first match is used."""

_NOTHING = ("application/vnd.oci.empty.", "application/vnd.unknown.", "application/octet-stream")
"""Types that do not identify an artifact."""

_IMAGE_CONFIGS = ("application/vnd.oci.image.config.", "application/vnd.docker.container.image.")


def kind_of(manifest: Manifest) -> str:
    """
    Return the common name of an artifact, such as ``Helm chart``.

    Returns:
        The name, or its artifact type or config type; empty for an image or index.
    """
    types = list(_types(manifest))
    for media_type in types:
        for beginning, name in _KINDS:
            if media_type.startswith(beginning):
                return name
    said = [each for each in types if not each.startswith((*_NOTHING, *_IMAGE_CONFIGS))]
    is_image = any(each.startswith(_IMAGE_CONFIGS) for each in types)
    return said[0] if said and not is_image else ""


def _types(manifest: Manifest) -> Iterator[str]:
    """Yield the types that may identify an artifact, the most specific first."""
    artifact_type = json.loads(manifest.content).get("artifactType")
    if isinstance(artifact_type, str) and artifact_type:
        yield artifact_type
    yield from (blob.media_type for blob in manifest.blobs)
