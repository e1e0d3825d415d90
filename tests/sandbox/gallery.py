"""Helpers for the tests of the gallery: a page as a client gets it, and artifacts that are not images."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import Image

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
GALLERY = "/_sandbox/gallery"


@dataclass(frozen=True)
class Page:
    """A page as it was received."""

    status: int
    source: str
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The visible text, with single spaces."""
        visible = re.sub(r"<(style|script|title)\b.*?</\1>", " ", self.source, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", visible)).split())

    @property
    def links(self) -> list[str]:
        return [html.unescape(link) for link in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', self.source)]

    def row(self, word: str) -> str:
        """Return the text of the first row of a table that contains *word*."""
        rows = re.findall(r"<tr\b.*?</tr>", self.source, re.DOTALL)
        return next(text for text in (Page(200, row, {}).text for row in rows) if word in text)

    def section(self, name: str) -> str:
        """Return the text of a section."""
        match = re.search(rf'<section aria-labelledby="{name}">.*?</section>', self.source, re.DOTALL)
        return Page(200, match[0], {}).text if match else ""


def open_page(sandbox: Sandbox, path: str = "", method: str = "GET") -> Page:
    """Open a page of the gallery; *path* comes after its prefix, or is a whole address."""
    address = path if path.startswith((GALLERY, "//")) else f"{GALLERY}{path}"
    headers = {"Accept": "text/html"}
    answer = urllib3.request(method, f"{sandbox.url}{address}", headers=headers, redirect=False, retries=False)
    return Page(answer.status, answer.data.decode(), answer.headers)


def descriptor(content: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **fields}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def artifact(config: tuple[bytes, str], layers: Sequence[tuple[bytes, str]], **fields: Any) -> Image:
    """Build an artifact from its config and layers, each with a media type, and further fields of the manifest."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(*config),
        "layers": [descriptor(*layer) for layer in layers],
        **fields,
    }
    blobs = {digest_of(content): content for content, _ in (config, *layers)}
    return Image(manifest=json.dumps(manifest).encode(), media_type=OCI_MANIFEST, blobs=blobs)


def helm_chart() -> Image:
    config = json.dumps({"name": "agent", "version": "1.4.2", "description": "Deploys the agent"}).encode()
    layer = (gzip.compress(b"chart", mtime=0), "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    return artifact((config, "application/vnd.cncf.helm.config.v1+json"), [layer])


def signature(image: Image) -> Image:
    """Build a signature as cosign does; its tag names the image."""
    payload = json.dumps({"critical": {"image": {"docker-manifest-digest": image.digest}}}).encode()
    return artifact((b'{"rootfs": {}}', OCI_CONFIG), [(payload, "application/vnd.dev.cosign.simplesigning.v1+json")])


def signature_tag(image: Image) -> str:
    return f"{image.digest.replace(':', '-')}.sig"


def sbom(image: Image) -> Image:
    """Build an SBOM that names the image as its subject."""
    return artifact(
        (b"{}", "application/vnd.oci.empty.v1+json"),
        [(b'{"spdxVersion": "SPDX-2.3"}', "application/spdx+json")],
        artifactType="application/spdx+json",
        subject=descriptor(image.manifest, image.media_type),
    )


def attested(image: Image) -> Image:
    """Build an index with the images of *image*, and an attestation of the first, as BuildKit does."""
    data = json.loads(image.manifest)
    statement = (json.dumps({"_type": "https://in-toto.io/Statement/v0.1"}).encode(), "application/vnd.in-toto+json")
    config = json.dumps({"os": "unknown", "architecture": "unknown", "rootfs": {}}).encode()
    attestation = artifact((config, OCI_CONFIG), [statement])
    entry = descriptor(
        attestation.manifest, attestation.media_type, platform={"os": "unknown", "architecture": "unknown"}
    )
    manifest = json.dumps({**data, "manifests": [*data["manifests"], entry]}).encode()
    return Image(manifest=manifest, media_type=image.media_type, children=(*image.children, attestation))
