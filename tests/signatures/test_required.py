"""The signatures that satisfy a declaration, and the messages about others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image, build_image, pull
from lambda_handler.errors import RejectedError, RuleViolationError
from lambda_handler.oci import Digest
from lambda_handler.signatures import find
from lambda_handler.signatures.bundle import BUNDLE_TYPE, bundle_of, message_of, statement_for
from lambda_handler.signatures.simple_signing import payload_for
from tests.copies.conftest import two_platforms

from .conftest import Function, push_bundle, push_tag

Keys = Callable[..., str]
ONE, TWO = (build_image({"etc/name": name}) for name in (b"one", b"two"))


def required(*keys: str, **more: Any) -> dict[str, object]:
    return {"AllOf": [{"KmsKeyArn": key} for key in keys], **more}


def refusal(publisher: Function, image: Image, required: Mapping[str, object], **properties: Any) -> str:
    with pytest.raises(RuleViolationError) as failure:
        publisher.copy(image.digest, RequiredSignatures=required, **properties)
    assert publisher.is_empty()
    return failure.value.message


def sign(publisher: Function, image: Image, key: str, **more: str) -> None:
    """Sign an image of ``up/stream``."""
    publisher.publish({"Digest": image.digest}, RepositoryName="up/stream", SignWith={"KmsKeyArn": key, **more})


def signature_of(publisher: Function, key: str, message: bytes) -> bytes:
    made = publisher.sandbox.client("kms").sign(KeyId=key, Message=message, SigningAlgorithm="ECDSA_SHA_256")
    signature: bytes = made["Signature"]
    return signature


def test_refuses_a_signature_of_another_image_under_the_tag(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(ONE), make_key()
    payload = payload_for(TWO.digest, "public.ecr.aws/acme/agent")

    push_tag(publisher, image, (payload, signature_of(publisher, key, payload)))

    said = refusal(publisher, image, required(key))
    assert f"it is for another image, '{TWO.digest}'" in said
    assert "the tag sha256-" in said


def test_refuses_a_signature_of_another_image_as_a_referrer(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(ONE), make_key()
    statement = statement_for(Digest.parse(TWO.digest))

    push_bundle(publisher, image, bundle_of(statement, signature_of(publisher, key, message_of(statement)), ""))

    assert f"it is for another image, '{TWO.digest}'" in refusal(publisher, image, required(key))


def test_a_statement_of_another_type_is_not_a_signature(publisher: Function, make_key: Keys) -> None:
    """The same key may sign the result of a scan, which is not an approval."""
    image, key = publisher.push(ONE), make_key()
    statement = statement_for(Digest.parse(image.digest)).replace(
        b"https://sigstore.dev/cosign/sign/v1", b"https://cosign.sigstore.dev/attestation/vuln/v1"
    )

    push_bundle(publisher, image, bundle_of(statement, signature_of(publisher, key, message_of(statement)), ""))

    assert "has no signature in" in refusal(publisher, image, required(key))


def test_the_same_bytes_are_not_a_signature_in_the_other_form(publisher: Function, make_key: Keys) -> None:
    """A signed payload cannot become an envelope, because the signature of an envelope also covers its type."""
    image, key = publisher.push(ONE), make_key()
    statement = statement_for(Digest.parse(image.digest))

    push_bundle(publisher, image, bundle_of(statement, signature_of(publisher, key, statement), ""))

    assert "it was made with another key" in refusal(publisher, image, required(key))


@pytest.mark.parametrize(
    ("named", "wanted", "is_good"),
    [
        ("ghcr.io/acme/agent", "ghcr.io/acme/agent", True),
        ("ghcr.io/acme/agent:1.4", "ghcr.io/acme/agent", True),
        ("index.docker.io/library/nginx", "docker.io/nginx", True),
        ("ghcr.io/acme/agents", "ghcr.io/acme/agent", False),
        ("evil.example/ghcr.io/acme/agent", "ghcr.io/acme/agent", False),
        ("not a reference", "ghcr.io/acme/agent", False),
    ],
)
def test_can_require_the_repository_that_a_signature_names(
    publisher: Function, make_key: Keys, named: str, wanted: str, *, is_good: bool
) -> None:
    image, key = publisher.push(ONE), make_key()
    payload = payload_for(image.digest, named)
    push_tag(publisher, image, (payload, signature_of(publisher, key, payload)))
    rule = {"AllOf": [{"KmsKeyArn": key, "Repository": wanted}]}

    if is_good:
        publisher.copy(image.digest, RequiredSignatures=rule)
    else:
        assert f"it names another repository, {named!r}, and {wanted} is required" in refusal(publisher, image, rule)


def test_a_bundle_names_no_repository(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(ONE), make_key()
    sign(publisher, image, key)

    said = refusal(publisher, image, {"AllOf": [{"KmsKeyArn": key, "Repository": "ghcr.io/acme/agent"}]})

    assert "it names no repository, and ghcr.io/acme/agent is required" in said


def test_one_good_signature_among_bad_ones_is_enough(publisher: Function, make_key: Keys) -> None:
    image, key, other = publisher.push(ONE), make_key(), make_key()
    payload = payload_for(image.digest, "ghcr.io/acme/agent")
    good, bad = signature_of(publisher, key, payload), signature_of(publisher, other, payload)

    push_tag(publisher, image, (b"not json", b"x"), (payload, bad), (payload + b" ", good), (payload, good))

    publisher.copy(image.digest, "1", RequiredSignatures=required(key))


def test_can_require_all_or_any_of_several_keys(publisher: Function, make_key: Keys) -> None:
    image, first, second = publisher.push(ONE), make_key(), make_key()
    sign(publisher, image, first)

    said = refusal(publisher, image, required(first, second))
    neither = refusal(publisher, image, {"AnyOf": [{"KmsKeyArn": second}, {"KmsKeyArn": make_key()}]})
    publisher.copy(image.digest, RequiredSignatures={"AnyOf": [{"KmsKeyArn": second}, {"KmsKeyArn": first}]})

    assert f"has no valid signature made with {second}" in said
    assert first not in said
    assert "has none of the 2 signatures of which one is required: it has no valid signature made with" in neither


def test_can_require_a_signature_of_each_platform(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(two_platforms()), make_key()
    sign(publisher, image, key)
    publisher.copy(image.digest, RequiredSignatures=required(key))
    publisher.sandbox.client("ecr-public").delete_repository(repositoryName="acme/agent", force=True)
    publisher.sandbox.client("ecr-public").create_repository(repositoryName="acme/agent")

    said = refusal(publisher, image, required(key, EachPlatform="true"))
    sign(publisher, image, key, Children="true")
    publisher.copy(image.digest, RequiredSignatures=required(key, EachPlatform="true"))

    assert f"the image {image.children[1].digest} for linux/arm64/v8 has no signature in" in said
    assert f"the image {image.digest} has" not in said


def test_an_assembled_index_is_judged_by_its_images(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(two_platforms()), make_key()
    reference = {"Image": {"Reference": f"{publisher.uri('up/stream')}@{image.digest}"}}
    one = image.children[0]
    assembled = {
        "Index": {
            "Manifests": [
                {"Source": {"Image": {"Reference": f"{publisher.uri('up/stream')}@{each.digest}"}}}
                for each in image.children
            ]
        }
    }
    sign(publisher, one, key)

    with pytest.raises(RuleViolationError) as failure:
        publisher.publish(assembled, "1", RequiredSignatures=required(key))
    publisher.publish(reference, "2", Platforms=["linux/amd64"], RequiredSignatures=required(key))

    (said,) = failure.value.violations
    assert f"the image {image.children[1].digest} for linux/arm64/v8 has no signature in" in said
    assert list(publisher.tags()) == ["2"]


def with_attestation(publisher: Function) -> tuple[Image, Image]:
    """Push an index with an attestation of its first image, as BuildKit does; return both."""
    image, attestation = two_platforms(), build_image({"predicate.json": b"{}"})
    entry = {
        "mediaType": attestation.media_type,
        "digest": attestation.digest,
        "size": len(attestation.manifest),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image.children[0].digest,
        },
    }
    data = json.loads(image.manifest)
    data["manifests"].append(entry)
    children = (*image.children, attestation)
    index = Image(manifest=json.dumps(data).encode(), media_type=image.media_type, children=children)
    return publisher.push(index), attestation


def test_the_signature_of_the_whole_index_covers_its_attestations(publisher: Function, make_key: Keys) -> None:
    (image, _), key = with_attestation(publisher), make_key()
    sign(publisher, image, key, Children="true")

    publisher.copy(image.digest, "1", RequiredSignatures=required(key, EachPlatform="true"))

    assert publisher.pull("1") == image


def test_an_attestation_of_a_reduced_index_must_be_signed(publisher: Function, make_key: Keys) -> None:
    """The signature of the source's index no longer covers it."""
    (image, attestation), key = with_attestation(publisher), make_key()
    sign(publisher, image, key, Children="true")
    reduced = {"Platforms": ["linux/amd64"]}

    said = refusal(publisher, image, required(key), **reduced)
    sign(publisher, attestation, key)
    publisher.copy(image.digest, "1", RequiredSignatures=required(key), **reduced)

    assert said == (
        f"the attestation {attestation.digest} of '{image.children[0].digest}' has no signature in "
        f"{publisher.uri('up/stream')}; one made with {key} is required; this release makes the index, which no "
        "signature can cover yet, so what it lists must be signed (cosign sign --recursive)"
    )
    assert list(publisher.tags()) == ["1"]


@pytest.mark.parametrize("is_declared", [False, True])
def test_the_signature_of_the_whole_index_does_not_cover_a_reduced_one(
    publisher: Function, make_key: Keys, *, is_declared: bool
) -> None:
    """This applies to a copied index and to a declared one."""
    image, key = publisher.push(two_platforms()), make_key()
    publisher.push(image, repository="acme/agent")
    publisher.publish({"Digest": image.digest}, SignWith={"KmsKeyArn": key})
    sign(publisher, image, key)
    here = f"{publisher.uri('up/stream')}@{image.digest}"
    source = {"Manifest": {"Body": image.manifest.decode()}} if is_declared else {"Image": {"Reference": here}}

    with pytest.raises(RuleViolationError) as failure:
        publisher.publish(source, "1", RequiredSignatures=required(key), Platforms=["linux/amd64"])

    (said,) = failure.value.violations
    assert f"the image {image.children[0].digest} for linux/amd64 has no signature in" in said
    assert said.endswith("so what it lists must be signed (cosign sign --recursive)")
    assert publisher.tags() == {}


def test_reads_signatures_of_an_image_in_the_destination_there(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(ONE, repository="acme/agent"), make_key()
    source = {"Digest": image.digest}

    with pytest.raises(RuleViolationError, match=f"has no signature in {publisher.uri('acme/agent')}"):
        publisher.publish(source, "1", RequiredSignatures=required(key))
    publisher.publish(source, SignWith={"KmsKeyArn": key})
    publisher.publish(source, "1", RequiredSignatures=required(key))

    assert list(publisher.tags()) == ["1"]


def test_reads_signatures_under_a_tag_without_a_referrers_api(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(ONE), make_key()
    statement = statement_for(Digest.parse(image.digest))
    bundle = bundle_of(statement, signature_of(publisher, key, message_of(statement)), "")
    referrer = push_bundle(publisher, image, bundle)
    entry = {"mediaType": referrer.media_type, "digest": referrer.digest, "size": len(referrer.manifest)}
    index_type = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": index_type, "manifests": [{**entry, "artifactType": BUNDLE_TYPE}]}
    listed = Image(manifest=json.dumps(index).encode(), media_type=index_type, children=(referrer,))
    publisher.push(listed, image.digest.replace(":", "-"))
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=404, times=None))

    publisher.copy(image.digest, RequiredSignatures=required(key))

    publisher.sandbox.faults.clear()


def test_refuses_too_many_signatures(publisher: Function, make_key: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    image, key = publisher.push(ONE), make_key()
    payload = payload_for(image.digest, "ghcr.io/acme/agent")
    good, other = signature_of(publisher, key, payload), signature_of(publisher, make_key(), payload)
    push_tag(publisher, image, *[(payload, other)] * 3, (payload, good))
    monkeypatch.setattr(find, "CLAIMS_MAX", 3)

    assert "it has more than 3 signatures; the others are not read" in refusal(publisher, image, required(key))

    monkeypatch.setattr(find, "CLAIMS_MAX", 4)
    publisher.copy(image.digest, RequiredSignatures=required(key))


def test_other_bundles_also_count_towards_the_limit(
    publisher: Function, make_key: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the function could read many attestations until the deadline."""
    image, key = publisher.push(ONE), make_key()
    for number in range(3):
        statement = statement_for(Digest.parse(image.digest)).replace(b"cosign/sign", f"scan/{number}".encode())
        push_bundle(publisher, image, bundle_of(statement, b"signature", ""))
    monkeypatch.setattr(find, "CLAIMS_MAX", 2)

    assert "there are more than 2; the others are not read" in refusal(publisher, image, required(key))


def test_does_not_read_a_payload_that_is_too_long(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(ONE), make_key()
    payload = payload_for(image.digest, "ghcr.io/acme/agent") + b" " * find.CONTENT_MAX_BYTES

    push_tag(publisher, image, (payload, b"signature"))

    assert f"it is longer than {find.CONTENT_MAX_BYTES} bytes" in refusal(publisher, image, required(key))


def test_checks_the_key_even_if_the_image_has_only_other_signatures(publisher: Function, make_key: Keys) -> None:
    image = publisher.push(ONE)
    sign(publisher, image, make_key())

    with pytest.raises(RejectedError, match="has the usage ENCRYPT_DECRYPT"):
        publisher.copy(image.digest, RequiredSignatures=required(make_key("RSA_2048", "ENCRYPT_DECRYPT")))


def test_the_pulled_content_is_unchanged(publisher: Function, make_key: Keys) -> None:
    image, key = publisher.push(two_platforms()), make_key()
    sign(publisher, image, key)

    publisher.copy(image.digest, "1", RequiredSignatures=required(key), SignWith={"KmsKeyArn": key})

    assert pull(publisher.uri("acme/agent"), "1") == image
