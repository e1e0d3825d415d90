"""Hostile attestations and scan findings: their types and findings are read, or they are ignored."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.errors import InvalidInputError
from lambda_handler.oci import Descriptor, Digest, Manifest
from lambda_handler.publish.attachments import ATTESTATIONS_MAX, MESSAGE_SIGNATURE, Attached, predicate_type
from lambda_handler.publish.findings import TEXT_MAX_CHARACTERS, Scan, read_scan
from lambda_handler.rules.required_referrers import ReferrerType
from tests.fuzz.hostile import JSON, TEXTS, changed, damaged, outcome, written
from tests.support.memory import MemoryRepository

SLSA = "https://slsa.dev/provenance/v1"
STATEMENT = {"_type": "https://in-toto.io/Statement/v1", "predicateType": SLSA, "predicate": {}}


def envelope(payload: bytes, *, url_safe: bool = False) -> dict[str, Any]:
    encode = base64.urlsafe_b64encode if url_safe else base64.standard_b64encode
    return {"payloadType": "application/vnd.in-toto+json", "payload": encode(payload).decode(), "signatures": []}


ENVELOPE = envelope(json.dumps({**STATEMENT, "subject": "?>?>"}).encode(), url_safe=True)
BUNDLE = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": ENVELOPE}
ATTESTATIONS = st.sampled_from([STATEMENT, ENVELOPE, BUNDLE, {"messageSignature": {"signature": "MEUC"}}])


@pytest.mark.parametrize("attestation", [STATEMENT, ENVELOPE, BUNDLE])
def test_each_form_has_its_predicate_type(attestation: dict[str, Any]) -> None:
    assert predicate_type(json.dumps(attestation).encode()) == SLSA


@settings(max_examples=300)
@given(
    written(changed(ATTESTATIONS))
    | written(JSON)
    | damaged(ATTESTATIONS.map(lambda each: json.dumps(each).encode()))
    | st.binary(max_size=60)
    | st.just(b"[" * 100_000)
)
def test_any_content_has_a_predicate_type_or_none(content: bytes) -> None:
    assert isinstance(predicate_type(content), str)


@pytest.mark.parametrize(
    "payload", [b"", b"not JSON", b"\xff", b'"text"', b'{"predicateType": 7}', b'{"predicateType": "a", "b": NaN}']
)
def test_an_envelope_of_something_else_has_none(payload: bytes) -> None:
    assert predicate_type(json.dumps(envelope(payload)).encode()) == ""


def test_an_envelope_that_is_not_base64_has_none() -> None:
    assert predicate_type(b'{"payload": "%%%"}') == ""
    assert predicate_type(b'{"messageSignature": null}') == MESSAGE_SIGNATURE


class Counting(MemoryRepository):
    """Counts the blobs that are read."""

    read = 0

    def blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        self.read += 1
        yield from super().blob(blob)


def artifact(*layers: bytes, **more: Any) -> bytes:
    """Return a manifest whose layers are in-toto statements."""
    kind, empty = "application/vnd.in-toto+json", "application/vnd.oci.empty.v1+json"
    places = [{"digest": str(Digest.of(layer)), "size": len(layer)} for layer in layers]
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            **more,
            "config": {"mediaType": empty, **places[0]},
            "layers": [{"mediaType": kind, **place} for place in places],
        }
    ).encode()


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(["annotations", "artifactType", "a"]), JSON, max_size=3))
def test_any_artifact_has_types(more: dict[str, Any]) -> None:
    repository, layer = MemoryRepository(), json.dumps(STATEMENT).encode()
    repository.add(layer)
    manifest = outcome(lambda: Manifest.parse(artifact(layer, **more)))
    attached = Attached()

    if isinstance(manifest, Manifest):
        attached.add(Digest.of(b""), manifest, repository)

        assert all(isinstance(each, str) for each in attached.types[Digest.of(b"")])
        assert "application/vnd.in-toto+json" in attached.types[Digest.of(b"")]


def test_a_source_cannot_make_the_function_read_endlessly() -> None:
    repository = Counting()
    layers = [b"{}" + b" " * number for number in range(ATTESTATIONS_MAX + 10)]
    repository.add(*layers)

    Attached().add(Digest.of(b""), Manifest.parse(artifact(*layers)), repository)

    assert repository.read == ATTESTATIONS_MAX


@given(TEXTS)
def test_any_string_is_a_type_of_referrers_or_refused(text: str) -> None:
    found = outcome(lambda: ReferrerType.parse(text))

    assert found.is_among([text]) if isinstance(found, ReferrerType) else isinstance(found, InvalidInputError)


FINDINGS: dict[str, Any] = {
    "imageScanStatus": {"status": "COMPLETE"},
    "imageScanFindings": {
        "imageScanCompletedAt": datetime(2026, 1, 1, tzinfo=UTC),
        "findingSeverityCounts": {"HIGH": 2},
        "findings": [{"name": "CVE-1", "severity": "HIGH", "attributes": [{"key": "package_name", "value": "a"}]}],
        "enhancedFindings": [
            {
                "severity": "HIGH",
                "status": "ACTIVE",
                "title": "CVE-2 - a",
                "fixAvailable": "YES",
                "packageVulnerabilityDetails": {
                    "vulnerabilityId": "CVE-2",
                    "vulnerablePackages": [{"name": "a", "version": "1", "fixedInVersion": "2"}],
                },
            }
        ],
    },
}


@settings(max_examples=400)
@given(st.lists(changed(st.just(FINDINGS)), min_size=1, max_size=2))
def test_any_response_is_parsed_as_a_scan_or_causes_a_translated_error(pages: list[dict[str, Any]]) -> None:
    try:
        scan = read_scan(pages)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return

    assert isinstance(scan, Scan)
    for finding in scan.findings:
        texts = (finding.name, finding.severity, finding.package, finding.fixed_in)
        assert all(len(text) <= TEXT_MAX_CHARACTERS and (text.isprintable() or not text) for text in texts)
