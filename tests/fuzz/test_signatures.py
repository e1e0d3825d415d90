"""Any bytes in place of a signature give a signature that KMS rejects, and never another error."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import InvalidManifestError, UnavailableError
from lambda_handler.oci import Descriptor, Digest, Manifest, Repository
from lambda_handler.publish.ports import SigningServices
from lambda_handler.signatures import notation, open_key
from lambda_handler.signatures.bundle import bundle_of, message_of, read_bundle, referrer_of, statement_for
from lambda_handler.signatures.claim import Claim
from lambda_handler.signatures.simple_signing import payload_for, read_payload, with_signature
from tests.fuzz.hostile import JSON, outcome, written

REPOSITORY = Repository.parse("public.ecr.aws/acme/agent")
IMAGE, OTHER = Digest.of(b"image"), Digest.of(b"other")
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@dataclass
class Kms:
    """A key whose signature of a digest is known."""

    signed: dict[bytes, bytes] = field(default_factory=dict)

    def public_key(self, _: str) -> tuple[str, bytes]:
        return "ECC_NIST_P256", b"public key"

    def sign(self, _arn: str, _algorithm: str, digest: bytes) -> bytes:
        return self.signed.setdefault(digest, b"signature of " + digest)

    def verify(self, _arn: str, _algorithm: str, digest: bytes, signature: bytes) -> bool:
        return self.signed.get(digest) == signature


def replaced(data: Any, path: tuple[str | int, ...], value: object) -> Any:
    """Return *data* with another value at *path*."""
    if not path:
        return value
    copy = list(data) if isinstance(data, list) else dict(data)
    copy[path[0]] = replaced(data[path[0]], path[1:], value)  # type: ignore[index]
    return copy


def paths(data: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list) else ()
    return [prefix, *(path for key, value in inner for path in paths(value, (*prefix, key)))]


KMS = cast("SigningServices", Kms())
"""The keys of KMS. Claims need neither AWS Signer nor private ECR."""
TRUSTED = open_key(KMS, KEY)
PAYLOAD = payload_for(str(IMAGE), "ghcr.io/acme/agent")
STATEMENT = statement_for(IMAGE)
SIGNATURE = TRUSTED.sign(PAYLOAD)
BUNDLE = bundle_of(STATEMENT, TRUSTED.sign(message_of(STATEMENT)), TRUSTED.hint)


def read(content: bytes) -> list[Claim]:
    text = base64.b64encode(SIGNATURE).decode()
    claims = [read_payload(content, text, "here"), read_bundle(content, IMAGE, "here")]
    return [claim for claim in claims if claim is not None]


@given(st.binary(max_size=200) | written(JSON))
def test_refuses_any_content_as_a_signature(content: bytes) -> None:
    for claim in read(content):
        assert TRUSTED.objection(claim, IMAGE)


@given(st.data())
def test_refuses_any_changed_payload(data: st.DataObject) -> None:
    """No change of a signed payload is accepted."""
    payload = json.loads(PAYLOAD)
    path = data.draw(st.sampled_from(paths(payload)))
    changed = json.dumps(replaced(payload, path, data.draw(JSON)), separators=(",", ":")).encode()

    claim = read_payload(changed, base64.b64encode(SIGNATURE).decode(), "here")

    assert bool(TRUSTED.objection(claim, IMAGE)) == (changed != PAYLOAD)


@given(st.data())
def test_refuses_any_change_of_the_signed_part_of_a_bundle(data: st.DataObject) -> None:
    """Only unsigned fields can change: the media type and the hint."""
    bundle = json.loads(BUNDLE)
    path = data.draw(st.sampled_from(paths(bundle)))
    changed = replaced(bundle, path, data.draw(JSON))

    claim = read_bundle(json.dumps(changed).encode(), IMAGE, "here")

    signed = isinstance(changed, dict) and changed.get("dsseEnvelope") == bundle["dsseEnvelope"]
    if claim is not None and not TRUSTED.objection(claim, IMAGE):
        assert signed


@given(st.data())
def test_refuses_any_changed_statement(data: st.DataObject) -> None:
    statement = json.loads(STATEMENT)
    path = data.draw(st.sampled_from(paths(statement)))
    changed = json.dumps(replaced(statement, path, data.draw(JSON)), separators=(",", ":")).encode()
    signature = TRUSTED.sign(message_of(STATEMENT))

    claim = read_bundle(bundle_of(changed, signature, TRUSTED.hint), IMAGE, "here")

    assert claim is None or bool(TRUSTED.objection(claim, IMAGE)) == (changed != STATEMENT)


@given(st.binary(max_size=300), st.text(max_size=40))
def test_refuses_any_other_signature_of_a_valid_payload(signature: bytes, text: str) -> None:
    for encoded in (base64.b64encode(signature).decode(), text):
        claim = read_payload(PAYLOAD, encoded, "here")

        assert bool(TRUSTED.objection(claim, IMAGE)) == (claim.signature != SIGNATURE)


@given(st.data())
def test_adds_a_signature_to_any_manifest_under_the_tag(data: st.DataObject) -> None:
    """Whatever the tag points to, the result is a manifest with all earlier layers, or a typed error."""
    subject = Descriptor(media_type="application/vnd.oci.image.manifest.v1+json", digest=IMAGE, size=1)
    held = json.loads(
        data.draw(st.sampled_from([with_signature(None, PAYLOAD, b"1")[0], referrer_of(BUNDLE, subject)])).content
    )
    path = data.draw(st.sampled_from(paths(held)))
    try:
        manifest = Manifest.parse(json.dumps(replaced(held, path, data.draw(JSON))).encode())
    except InvalidManifestError:
        return

    joined, config = with_signature(manifest, PAYLOAD, b"2")

    assert [layer.digest for layer in joined.blobs[1:]] == [
        *(layer.digest for layer in manifest.blobs[1:]),
        Digest.of(PAYLOAD),
    ]
    assert json.loads(config)["rootfs"]["diff_ids"] == [str(layer.digest) for layer in joined.blobs[1:]]


@given(st.binary(max_size=200) | written(JSON), st.data())
def test_handles_any_envelope_of_aws_signer(content: bytes, data: st.DataObject) -> None:
    """It is attached if it has certificates, and counts as ours only if it names the profile and the image."""
    profile = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
    good = envelope(profile)
    path = data.draw(st.sampled_from(paths(good)))
    altered = json.dumps(replaced(good, path, data.draw(JSON))).encode()
    subject = Descriptor(media_type="application/vnd.oci.image.manifest.v1+json", digest=IMAGE, size=1)

    for each in (content, altered):
        attached = outcome(partial(notation.referrer_of, each, subject, REPOSITORY))

        assert isinstance(attached, UnavailableError | Manifest)
        if notation.is_of_profile(each, IMAGE, profile):
            parsed = json.loads(each)
            assert (parsed["protected"], parsed["payload"]) == (good["protected"], good["payload"])
    assert notation.is_of_profile(json.dumps(good).encode(), IMAGE, profile)
    assert not notation.is_of_profile(json.dumps(good).encode(), OTHER, profile)
    assert not notation.is_of_profile(json.dumps(good).encode(), IMAGE, f"{profile}2")


def envelope(profile: str) -> dict[str, Any]:
    """Return an envelope like those of AWS Signer, with a signature that is not verified here."""
    subject = Descriptor(media_type="application/vnd.oci.image.manifest.v1+json", digest=IMAGE, size=1)
    protected = {"alg": "ES384", "com.amazonaws.signer.signingProfileVersion": f"{profile}/abc"}
    parts = (json.dumps(protected).encode(), notation.payload_for(subject))
    texts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    header = {"x5c": [base64.b64encode(b"leaf").decode(), base64.b64encode(b"root").decode()]}
    return {"protected": texts[0], "payload": texts[1], "header": header, "signature": "c2lnbmF0dXJl"}
