"""The names of artifacts in a plan."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, Manifest
from cdk_ecrpublic.cli.output.words import facts
from cdk_ecrpublic.review.images import summarize
from cdk_ecrpublic.review.kinds import kind_of
from cdk_ecrpublic.sandbox.images import build_image

IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
HELM_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


def artifact(config: str, layer: str, artifact_type: str | None = None) -> Manifest:
    def blob(media_type: str) -> dict[str, object]:
        return {"mediaType": media_type, "digest": str(Digest.of(media_type.encode())), "size": 2}

    data = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(config),
        "layers": [blob(layer)],
    }
    return Manifest.parse(json.dumps({**data, **({"artifactType": artifact_type} if artifact_type else {})}).encode())


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        (artifact("application/vnd.cncf.helm.config.v1+json", HELM_LAYER), "Helm chart"),
        (artifact("application/vnd.wasm.config.v0+json", "application/wasm"), "WebAssembly module"),
        (artifact(IMAGE_CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json"), "cosign signature"),
        (artifact(EMPTY, EMPTY, "application/vnd.dev.sigstore.bundle.v0.3+json"), "Sigstore bundle"),
        (artifact(EMPTY, "application/spdx+json"), "SPDX SBOM"),
        (artifact(EMPTY, EMPTY, "application/vnd.cyclonedx+json"), "CycloneDX SBOM"),
        (artifact(EMPTY, "text/plain", "application/vnd.acme.notes"), "application/vnd.acme.notes"),
        (artifact("application/vnd.unknown.config.v1+json", "text/plain"), "text/plain"),
        (artifact(IMAGE_CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip"), ""),
        (Manifest.parse(build_image({"a": b""}, platforms=("linux/amd64", "linux/arm64")).manifest), ""),
    ],
    ids=lambda value: value or "image" if isinstance(value, str) else "",
)
def test_names_the_kind_of_an_artifact(manifest: Manifest, kind: str) -> None:
    assert kind_of(manifest) == kind


class Nowhere:
    def blob(self, _: object) -> None:
        raise AssertionError


def test_names_a_helm_chart() -> None:
    chart = artifact("application/vnd.cncf.helm.config.v1", HELM_LAYER)

    summary = summarize(chart, lambda _: chart, lambda _: Nowhere())  # type: ignore[arg-type,return-value]

    assert list(facts(summary)) == ["Helm chart", "4 bytes"]
