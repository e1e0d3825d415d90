"""
cosign's signatures under a tag.

The tag ``sha256-<hex>.sig`` points to an image manifest. Each layer is a payload,
and an annotation of the layer has its signature.

References:
    sigstore/cosign, specs/SIGNATURE_SPEC.md; containers/image,
    docs/containers-signature.5.md, "JSON data format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import InvalidManifestError
from ..oci import Descriptor, Digest, Manifest, ManifestMediaType
from .claim import KEY, Claim, expect_object, expect_text, from_base64, parse_object, to_base64

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_TYPE = "cosign container image signature"
_NEVER = "0001-01-01T00:00:00Z"
"""The creation time that cosign writes: signatures with the same payload share their config."""


def tag_of(image: Digest) -> str:
    """Return the tag of the signatures of an image."""
    return f"sha256-{image.hex}.sig"


def payload_for(image: str, repository: str) -> bytes:
    """
    Return the payload to sign, in the same bytes as cosign.

    Shape:
        ``{"critical": {"identity": {"docker-reference": "public.ecr.aws/acme/agent"},
        "image": {"docker-manifest-digest": "sha256:…"},
        "type": "cosign container image signature"}, "optional": null}``
    """
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": image},
        "type": _TYPE,
    }
    return _dump({"critical": critical, "optional": None})


def read_payload(payload: bytes, signature: str, place: str) -> Claim:
    """Read a payload and its signature in base64."""
    try:
        critical = expect_object(parse_object(payload).get("critical"))
        if (kind := expect_text(critical, "type")) != _TYPE:
            message = f"its type is {kind[:80]!r}, not {_TYPE!r}"
            raise ValueError(message)  # noqa: TRY301
        image, identity = expect_object(critical.get("image")), expect_object(critical.get("identity"))
        return Claim(
            place=place,
            message=payload,
            signature=from_base64(signature),
            digest=expect_text(image, "docker-manifest-digest"),
            repository=expect_text(identity, "docker-reference"),
        )
    except ValueError as error:
        return Claim(place=place, problem=f"the payload is not one of cosign: {error}")


def signed_layers(manifest: Manifest) -> list[Descriptor]:
    """Return the layers of a manifest that are signed payloads."""
    layers = manifest.blobs[1:]
    return [layer for layer in layers if layer.media_type == PAYLOAD_TYPE and ANNOTATION in layer.annotations]


def with_signature(
    held: Manifest | None, payload: bytes, signature: bytes, key_hint: str = ""
) -> tuple[Manifest, bytes]:
    """
    Return a manifest with one more signature, and its config.

    Args:
        held: The manifest that the tag points to now. Its signatures stay.
        key_hint: The value of the annotation ``KEY``; empty for none.

    Raises:
        InvalidManifestError: *held* is an index.
    """
    if held is not None and held.is_index:
        message = "the tag for signatures points to an index; expected an image manifest, as cosign writes it"
        raise InvalidManifestError(message)
    data = json.loads(held.content) if held else {}
    layers: list[Mapping[str, object]] = [
        *(data.get("layers") or ()),
        {
            "mediaType": PAYLOAD_TYPE,
            "size": len(payload),
            "digest": str(Digest.of(payload)),
            "annotations": {ANNOTATION: to_base64(signature), **({KEY: key_hint} if key_hint else {})},
        },
    ]
    config = _config([str(layer["digest"]) for layer in layers])
    described = {"mediaType": CONFIG_TYPE, "size": len(config), "digest": str(Digest.of(config))}
    kind = ManifestMediaType.OCI_MANIFEST.value
    manifest = {"schemaVersion": 2, "mediaType": kind, **data, "config": described, "layers": layers}
    return Manifest.parse(_dump(manifest)), config


def _config(layers: list[str]) -> bytes:
    """Return a config for layers that are not compressed, so that their digests are their diff ids."""
    history = [{"created": _NEVER} for _ in layers]
    return _dump(
        {
            "architecture": "",
            "created": _NEVER,
            "history": history,
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": layers},
            "config": {},
        }
    )


def _dump(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
