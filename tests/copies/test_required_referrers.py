"""The rule for required attachments, for each form of them: real boto3, real sockets, a real registry API."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.errors import InvalidManifestError, RuleViolationError, UnavailableError
from lambda_handler.oci import Digest, ManifestMediaType

from .conftest import Publisher, two_platforms
from .test_referrers import EMPTY, INDEX, descriptor, list_of, tag_of

OCI = ManifestMediaType.OCI_MANIFEST.value
SLSA, SPDX = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document/v2.3"
DSSE, IN_TOTO = "application/vnd.dsse.envelope.v1+json", "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
NOTATION = "application/vnd.cncf.notary.signature"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


def artifact(
    *layers: tuple[bytes, str, Mapping[str, str]],
    subject: Image | None = None,
    kind: str = "",
    annotations: Mapping[str, str] | None = None,
    config: str = "application/vnd.oci.empty.v1+json",
) -> Image:
    """Make an artifact of layers, each with its media type and annotations."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        **({"artifactType": kind} if kind else {}),
        "config": descriptor(EMPTY, config),
        "layers": [{**descriptor(content, name), "annotations": dict(notes)} for content, name, notes in layers],
        **({"subject": descriptor(subject.manifest, subject.media_type)} if subject else {}),
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    blobs = {str(Digest.of(content)): content for content in (EMPTY, *(content for content, *_ in layers))}
    return Image(manifest=json.dumps(manifest).encode(), media_type=OCI, blobs=blobs)


def statement(predicate: str) -> bytes:
    return json.dumps({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate}).encode()


def envelope(predicate: str) -> dict[str, object]:
    return {"payloadType": IN_TOTO, "payload": base64.b64encode(statement(predicate)).decode(), "signatures": []}


def dsse(predicate: str) -> bytes:
    return json.dumps(envelope(predicate)).encode()


def with_buildkit(image: Image, *predicates: str, platforms: int = 2) -> Image:
    """Return the same image as BuildKit writes it: an attestation manifest beside each platform's image."""
    attestations: list[Image] = []
    entries = list(json.loads(image.manifest)["manifests"])
    for child in image.children[:platforms]:
        layers = [(statement(each), IN_TOTO, {"in-toto.io/predicate-type": each}) for each in predicates]
        attestation = artifact(*layers, config=OCI_CONFIG)
        # The same predicates would otherwise give the same manifest.
        attestation = replace(attestation, manifest=attestation.manifest + b" " * len(attestations))
        attestations.append(attestation)
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child.digest}
        unknown = {"os": "unknown", "architecture": "unknown"}
        entries.append({**descriptor(attestation.manifest, OCI), "annotations": notes, "platform": unknown})
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return replace(image, manifest=manifest, children=(*image.children, *attestations))


def require(*types: str, **more: str) -> dict[str, Any]:
    return {"RequiredReferrers": {"Types": list(types), **more}}


def violation(publisher: Publisher, reference: str, required: Mapping[str, Any], **more: object) -> str:
    before = publisher.puts()
    with pytest.raises(RuleViolationError) as refused:
        publisher.copy(reference, "1", **required, **more)
    assert publisher.puts() == before
    (message,) = refused.value.violations
    return message


@pytest.fixture
def image(publisher: Publisher) -> Image:
    return publisher.push(two_platforms(), "v1")


FORMS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "artifact type": ("application/spdx+json", "sbom", {"kind": "application/spdx+json"}),
    "Notation": (NOTATION, "signature", {"kind": NOTATION}),
    "Sigstore bundle": (SLSA, "provenance", {
        "kind": BUNDLE,
        "annotations": {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": SLSA},
    }),
    "signature in a bundle": (BUNDLE, "signature", {
        "kind": BUNDLE, "annotations": {"dev.sigstore.bundle.content": "message-signature"}
    }),
}  # fmt: skip
"""The forms of OCI referrers: a type, a short name, and the arguments of the artifact."""


@pytest.mark.parametrize("form", FORMS)
def test_a_copied_referrer_counts(publisher: Publisher, image: Image, form: str) -> None:
    kind, name, options = FORMS[form]
    publisher.push(artifact((b"content", "application/octet-stream", {}), subject=image, **options))

    publisher.copy("v1", "1", IncludeReferrers="true", **require(kind, name))

    assert publisher.pull("1") == image


@pytest.mark.parametrize(
    ("content", "media_type", "name"),
    [
        (dsse(SLSA), DSSE, "provenance"),
        (json.dumps({"dsseEnvelope": envelope(SPDX)}).encode(), BUNDLE, "sbom"),
        (json.dumps({"messageSignature": {}}).encode(), BUNDLE, "signature"),
        (statement(SPDX), IN_TOTO, "spdx"),
    ],
    ids=["envelope", "bundle with an envelope", "bundle with a signature", "statement"],
)
def test_the_predicate_type_may_be_only_in_the_content(
    publisher: Publisher, image: Image, content: bytes, media_type: str, name: str
) -> None:
    publisher.push(artifact((content, media_type, {}), subject=image, kind=media_type))

    publisher.copy("v1", "1", IncludeReferrers="true", **require(name))

    assert "cyclonedx" in violation(publisher, "v1", require("cyclonedx"), IncludeReferrers="true")


@pytest.mark.parametrize(
    ("suffix", "layer", "name"),
    [
        (".sig", (b"payload", SIMPLE_SIGNING, {"dev.cosignproject.cosign/signature": "MEUC"}), "signature"),
        (".att", (dsse(SPDX), DSSE, {"predicateType": SPDX}), "sbom"),
        (".att", (dsse(SLSA), DSSE, {}), SLSA),
        (".sbom", (b"packages", "text/spdx+json", {}), "spdx"),
    ],
    ids=["sig", "att", "att without annotation", "sbom"],
)
def test_the_tags_of_cosign_count(
    publisher: Publisher, image: Image, suffix: str, layer: tuple[bytes, str, Mapping[str, str]], name: str
) -> None:
    publisher.push(artifact(layer, config=OCI_CONFIG), tag_of(image, suffix))

    publisher.copy("v1", "1", IncludeReferrers="true", **require(name))

    assert publisher.pull("1") == image


def test_a_referrers_tag_counts(publisher: Publisher, image: Image) -> None:
    sbom = artifact((b"packages", "application/spdx+json", {}), subject=image, kind="application/spdx+json")
    publisher.push(list_of(sbom), tag_of(image))
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=404, times=None))

    publisher.copy("v1", "1", IncludeReferrers="true", **require("sbom"))

    assert publisher.pull("1") == image


def test_attestations_of_buildkit_in_the_index_count_without_any_option(publisher: Publisher) -> None:
    built = publisher.push(with_buildkit(two_platforms(), SLSA, SPDX), "v1")

    publisher.copy("v1", "1", **require("sbom", "provenance", SPDX, "https://slsa.dev/provenance/*"))

    assert publisher.pull("1") == built
    publisher.publish({"Digest": built.digest}, "2", **require("sbom", EachPlatform="true"))


def test_an_attestation_of_only_one_platform_is_not_enough(publisher: Publisher) -> None:
    publisher.push(with_buildkit(two_platforms(), SPDX, platforms=1), "v1")

    message = violation(publisher, "v1", require("sbom"))

    assert message == (
        "the image lacks sbom (for linux/arm64/v8) of the RequiredReferrers; attached to it: "
        f"{IN_TOTO}, {SPDX}; attach it to the image, or remove it from RequiredReferrers"
    )
    publisher.copy("v1", "1", Platforms=["linux/amd64"], **require("sbom", EachPlatform="true"))


def test_can_require_a_signature_of_each_platform(publisher: Publisher, image: Image) -> None:
    signature: tuple[bytes, str, dict[str, str]] = (b"signature", "application/jose+json", {})
    publisher.push(artifact(signature, subject=image, kind=NOTATION))
    publisher.copy("v1", "1", IncludeReferrers="true", **require("signature"))

    message = violation(publisher, "v1", require("signature", EachPlatform="true"), IncludeReferrers="true")

    assert "lacks signature (for linux/amd64, linux/arm64/v8)" in message
    assert "attach it to the image of each platform" in message
    for child in image.children:
        publisher.push(artifact(signature, subject=child, kind=NOTATION))
    publisher.copy("v1", "1", IncludeReferrers="true", **require("signature", EachPlatform="true"))


def test_referrers_of_the_source_do_not_count_if_they_are_not_copied(publisher: Publisher, image: Image) -> None:
    publisher.push(artifact((b"signature", SIMPLE_SIGNING, {}), config=OCI_CONFIG), tag_of(image, ".sig"))

    message = violation(publisher, "v1", require("signature"))

    assert message == (
        "the image lacks signature of the RequiredReferrers; attached to it: nothing; the source has signature, "
        "which is copied only with IncludeReferrers"
    )


def test_existing_referrers_in_the_destination_count(publisher: Publisher, image: Image) -> None:
    publisher.copy("v1", "1")
    sbom = artifact((b"packages", "application/spdx+json", {}), subject=image, kind="application/spdx+json")
    publisher.push(sbom, repository="acme/agent")

    publisher.copy("v1", "2", **require("sbom"))
    publisher.publish({"Tag": "1"}, "3", **require("sbom"))
    publisher.publish({"Digest": image.digest}, "4", **require("sbom"))

    with pytest.raises(RuleViolationError, match=r"lacks signature of .*attached to it: application/spdx.json"):
        publisher.publish({"Digest": image.digest}, "4", **require("signature"))


def test_a_referrer_tag_that_is_not_replaced_counts_with_its_content(publisher: Publisher, image: Image) -> None:
    """The tag in the destination has attestations that the source lacks, so it is not replaced."""
    publisher.push(artifact((dsse(SPDX), DSSE, {"predicateType": SPDX}), config=OCI_CONFIG), tag_of(image, ".att"))
    publisher.copy("v1", "1", IncludeReferrers="true")
    other = artifact((dsse(SLSA), DSSE, {"predicateType": SLSA}), config=OCI_CONFIG)
    publisher.push(other, tag_of(image, ".att"), repository="acme/agent")

    message = violation(publisher, "v1", require("sbom"), IncludeReferrers="true")

    assert f"attached to it: {DSSE}, {SLSA}" in message
    publisher.copy("v1", "1", IncludeReferrers="true", **require("provenance"))


def test_a_single_image_has_its_referrers_on_itself(publisher: Publisher) -> None:
    image = publisher.push(two_platforms().children[0], "v1")
    assert "lacks sbom" in violation(publisher, "v1", require("sbom", EachPlatform="true"))
    publisher.push(
        artifact((b"packages", "application/vnd.cyclonedx+json", {}), config=OCI_CONFIG), tag_of(image, ".sbom")
    )

    publisher.copy("v1", "1", IncludeReferrers="true", **require("sbom", "cyclonedx", EachPlatform="true"))


def test_the_signature_of_an_sbom_does_not_sign_the_image(publisher: Publisher, image: Image) -> None:
    sbom = publisher.push(artifact((b"packages", "text/spdx", {}), subject=image, kind="application/spdx+json"))
    publisher.push(artifact((b"signature", "application/jose+json", {}), subject=sbom, kind=NOTATION))

    assert "lacks signature" in violation(publisher, "v1", require("signature", "sbom"), IncludeReferrers="true")


def test_an_unreadable_list_stops_the_release(publisher: Publisher, image: Image) -> None:
    publisher.copy("v1", "1")
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=503, times=None))

    with pytest.raises(UnavailableError, match="GET referrers failed"):
        publisher.publish({"Digest": image.digest}, "2", **require("sbom"))


def test_a_warn_only_rule_has_the_same_message(
    publisher: Publisher, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    message = violation(publisher, "v1", require("signature"))

    publisher.copy("v1", "1", WarnOnly=["RequiredReferrers"], **require("signature"))

    assert json.dumps(message) in capsys.readouterr().out
    assert publisher.pull("1") == image


def test_an_index_with_too_many_platforms_cannot_be_checked(
    publisher: Publisher, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambda_handler.publish.attachments.IMAGES_MAX", 2)

    with pytest.raises(InvalidManifestError, match="the image has 2 platforms; RequiredReferrers can check at most 1"):
        publisher.copy("v1", "1", **require("sbom"))

    assert publisher.is_empty()
    assert len(image.children) == 2


def test_limits_how_much_of_attestations_is_read(
    publisher: Publisher, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambda_handler.publish.attachments.ATTESTATION_MAX_BYTES", 100)
    publisher.push(artifact((dsse(SLSA), DSSE, {}), config=OCI_CONFIG), tag_of(image, ".att"))

    message = violation(publisher, "v1", require("provenance"), IncludeReferrers="true")

    assert f"attached to it: {DSSE}" in message
