"""
Signatures of the Notary Project, which AWS Signer makes and ``notation verify`` accepts.

The signature is a JWS envelope in a referrer of the image.

References:
    Notary Project, specs/signature-specification.md ("OCI signatures",
    "Payload") and specs/signature-envelope-jws.md, v1.1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..errors import UnavailableError
from ..oci import Descriptor, Digest, Manifest, ManifestMediaType, Repository
from ..publish.own import MARK
from .claim import expect_object, expect_text, from_base64, parse_object

SIGNATURE_TYPE = "application/vnd.cncf.notary.signature"
ENVELOPE_TYPE = "application/jose+json"
CONFIG = b"{}"
_THUMBPRINTS = "io.cncf.notary.x509chain.thumbprint#S256"
_PROFILE = "com.amazonaws.signer.signingProfileVersion"
"""An attribute of AWS Signer's: the ARN of the profile, with its version."""


def payload_for(image: Descriptor) -> bytes:
    """
    Return the payload to sign.

    Shape:
        ``{"targetArtifact": {"mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": "sha256:…", "size": 1234}}``
    """
    target = {"mediaType": image.media_type, "digest": str(image.digest), "size": image.size}
    return _dump({"targetArtifact": target})


def is_of_profile(envelope: bytes, image: Digest, profile_arn: str) -> bool:
    """
    Whether an envelope says that AWS Signer made it for *image* with a profile.

    Nothing verifies that: AWS Signer cannot verify. The caller knows by the
    manifest that it was not made by a stranger.
    """
    try:
        data = parse_object(envelope)
        protected = parse_object(_from_base64url(expect_text(data, "protected")))
        payload = parse_object(_from_base64url(expect_text(data, "payload")))
        target = expect_object(payload.get("targetArtifact"))
        profile, _, version = expect_text(protected, _PROFILE).rpartition("/")
        return bool(version) and profile == profile_arn and target.get("digest") == str(image)
    except ValueError:
        return False


def referrer_of(envelope: bytes, image: Descriptor, repository: Repository) -> Manifest:
    """
    Return the manifest that attaches an envelope to an image in a repository, marked as made for it.

    Raises:
        UnavailableError: The envelope has no chain of certificates.
    """
    data: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": ManifestMediaType.OCI_MANIFEST.value,
        "config": _described(CONFIG, SIGNATURE_TYPE),
        "layers": [_described(envelope, ENVELOPE_TYPE)],
        "subject": {"mediaType": image.media_type, "digest": str(image.digest), "size": image.size},
        "annotations": {
            _THUMBPRINTS: json.dumps(_thumbprints(envelope), separators=(",", ":")),
            MARK: str(repository),
        },
    }
    return Manifest.parse(_dump(data))


def _thumbprints(envelope: bytes) -> list[str]:
    """Return the SHA-256 digests of the certificates, in the order of the chain."""
    try:
        chain = expect_object(parse_object(envelope).get("header")).get("x5c")
        if not isinstance(chain, list) or not chain:
            message = "it has no chain of certificates"
            raise ValueError(message)  # noqa: TRY301
        return [hashlib.sha256(from_base64(str(each))).hexdigest() for each in chain]
    except ValueError as error:
        message = f"signer:SignPayload returned something that is not a JWS envelope: {error}"
        raise UnavailableError(message, operation="signer:SignPayload") from error


def _from_base64url(text: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    return from_base64(padded.replace("-", "+").replace("_", "/"))


def _described(content: bytes, media_type: str) -> Mapping[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def _dump(data: Mapping[str, object]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
