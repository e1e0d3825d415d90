"""
Sigstore bundles, as cosign attaches them to an image as referrers.

The bundle has a DSSE envelope. Its payload is an in-toto statement about the
image. With a key of one's own, there is neither a certificate nor an entry of a
transparency log.

References:
    sigstore/protobuf-specs, sigstore_bundle.proto (version 0.3); DSSE v1.0,
    protocol.md; in-toto/attestation, spec/v1/statement.md; sigstore/cosign,
    specs/BUNDLE_SPEC.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..oci import Descriptor, Digest, Manifest, ManifestMediaType
from .claim import KEY, Claim, expect_object, expect_text, from_base64, parse_object, to_base64

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
PREDICATE = "https://sigstore.dev/cosign/sign/v1"
"""cosign's predicate type for signatures. Statements of other types, such as the result of a scan, approve nothing."""

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_CONTENT, _PREDICATE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"


def statement_for(image: Digest) -> bytes:
    """
    Return the statement to sign.

    Shape:
        ``{"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest":
        {"sha256": "…"}}], "predicateType": "https://sigstore.dev/cosign/sign/v1"}``
    """
    return _dump({"_type": _STATEMENT, "subject": [{"digest": {"sha256": image.hex}}], "predicateType": PREDICATE})


def message_of(payload: bytes, payload_type: str = _PAYLOAD_TYPE) -> bytes:
    """Return the bytes that are signed for a payload: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])


def bundle_of(statement: bytes, signature: bytes, key_hint: str) -> bytes:
    """Return a bundle."""
    envelope = {
        "payload": to_base64(statement),
        "payloadType": _PAYLOAD_TYPE,
        "signatures": [{"sig": to_base64(signature)}],
    }
    material = {"publicKey": {"hint": key_hint}}
    return _dump({"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


def read_bundle(content: bytes, image: Digest, place: str) -> Claim | None:
    """Read a bundle; None if it is not a signature, but some other statement."""
    try:
        return _read(content, image, place)
    except ValueError as error:
        return Claim(place=place, problem=f"the bundle is malformed: {error}")


def _read(content: bytes, image: Digest, place: str) -> Claim | None:
    data = parse_object(content)
    if "dsseEnvelope" not in data:
        return None
    envelope = expect_object(data["dsseEnvelope"])
    kind, payload = expect_text(envelope, "payloadType"), from_base64(expect_text(envelope, "payload"))
    if kind != _PAYLOAD_TYPE:
        return None
    statement = parse_object(payload)
    if statement.get("predicateType") != PREDICATE:
        return None
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        message = "its envelope does not have exactly one signature"
        raise ValueError(message)
    material = expect_object(data.get("verificationMaterial", {}))
    return Claim(
        place=place,
        message=message_of(payload),
        signature=from_base64(expect_text(expect_object(signatures[0]), "sig")),
        digest=_subject(statement, image),
        key_hint=expect_text(expect_object(material.get("publicKey", {})), "hint"),
    )


def _subject(statement: Mapping[str, object], image: Digest) -> str:
    """Return *image* if it is among the subjects, else the first subject."""
    if statement.get("_type") != _STATEMENT:
        message = "its statement is not of in-toto version 1"
        raise ValueError(message)
    subjects = statement.get("subject")
    if not isinstance(subjects, list):
        message = "its statement has no list of subjects"
        raise ValueError(message)  # noqa: TRY004 - callers handle malformed content in one way
    found = [expect_text(expect_object(expect_object(each).get("digest")), "sha256") for each in subjects]
    return str(image) if image.hex in found else f"sha256:{found[0]}" if found else ""


def referrer_of(bundle: bytes, image: Descriptor, key_hint: str = "") -> Manifest:
    """
    Return the manifest that attaches a bundle to an image. Its config is ``{}``.

    Args:
        key_hint: The value of the annotation ``KEY``; empty for none.
    """
    layer = {"mediaType": BUNDLE_TYPE, "size": len(bundle), "digest": str(Digest.of(bundle))}
    annotations = {_CONTENT: "dsse-envelope", _PREDICATE: PREDICATE, **({KEY: key_hint} if key_hint else {})}
    return referrer(BUNDLE_TYPE, layer, image, annotations)


def referrer(
    artifact_type: str, layer: Mapping[str, object], image: Descriptor, annotations: Mapping[str, str]
) -> Manifest:
    """
    Return a manifest with one layer that refers to an image.

    References:
        OCI image-spec v1.1, manifest.md, "Guidelines for Artifact Usage".
    """
    empty = {"mediaType": EMPTY_TYPE, "size": len(EMPTY), "digest": str(Digest.of(EMPTY))}
    subject = {"mediaType": image.media_type, "size": image.size, "digest": str(image.digest)}
    data: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": ManifestMediaType.OCI_MANIFEST.value,
        "artifactType": artifact_type,
        "config": empty,
        "layers": [layer],
        "subject": subject,
        "annotations": annotations,
    }
    return Manifest.parse(_dump(data))


def _dump(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
