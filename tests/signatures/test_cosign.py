"""
A matrix of signers, forms, kinds of images, and changes of the signature.

In each cell, our check and the real cosign must agree.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Repository
from cdk_ecrpublic.sandbox.images import Image, pull
from cdk_ecrpublic.sandbox.testing.client import RegistryClient
from lambda_handler.errors import RuleViolationError
from tests.copies.conftest import Publisher
from tests.support.cosign import COSIGN, COSIGN3, MISSING, Cosign

from .conftest import KINDS, changed, id_of

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (tests/peers/install)"),
    pytest.mark.timeout(180),
]

KIND = pytest.mark.parametrize("kind", KINDS)
MADE = pytest.mark.parametrize(
    ("by", "form"),
    [("us", "tag"), ("us", "bundle"), ("cosign", "tag"), ("cosign", "bundle"), ("cosign", "bundle 3")],
    ids=str,
)


@dataclass(frozen=True)
class Bench:
    """Signs images of ``up/stream``, and verifies them with cosign and with our check."""

    publisher: Publisher
    cosign: Cosign
    make_key: Callable[..., str]

    def push(self, kind: str) -> Image:
        return self.publisher.push(KINDS[kind](), "v1")

    def sign(self, by: str, form: str, image: Image, key: str) -> None:
        """Sign with cosign, or by publishing the image to its own repository."""
        if by == "cosign":
            self.cosign.sign(f"{self.publisher.uri('up/stream')}@{image.digest}", id_of(key), form)
            return
        signing = {"KmsKeyArn": key, "As": "Tag" if form == "tag" else "Referrer"}
        self.publisher.publish({"Digest": image.digest}, RepositoryName="up/stream", SignWith=signing)

    def verdicts(self, image: Image, key: str, form: str) -> tuple[bool, str]:
        """Return whether cosign accepts the image, and the message of our check, which is empty if it accepts it."""
        uri = f"{self.publisher.uri('up/stream')}@{image.digest}"
        accepted = self.cosign.accepts(uri, id_of(key), form.partition(" ")[0])
        try:
            self.publisher.copy(image.digest, RequiredSignatures=required(key))
        except RuleViolationError as error:
            assert self.publisher.is_empty()
            return accepted, error.message
        return accepted, ""


@pytest.fixture
def bench(publisher: Publisher, cosign: Cosign, make_key: Callable[..., str]) -> Bench:
    return Bench(publisher, cosign, make_key)


def required(key: str) -> dict[str, object]:
    return {"AllOf": [{"KmsKeyArn": key}]}


@KIND
@MADE
def test_accepts_a_good_signature(bench: Bench, kind: str, by: str, form: str) -> None:
    image, key = bench.push(kind), bench.make_key()

    bench.sign(by, form, image, key)

    assert bench.verdicts(image, key, form) == (True, "")


@KIND
@MADE
def test_refuses_a_signature_with_another_key(bench: Bench, kind: str, by: str, form: str) -> None:
    image, key = bench.push(kind), bench.make_key()

    bench.sign(by, form, image, bench.make_key())

    accepted, why = bench.verdicts(image, key, form)
    assert not accepted
    assert f"the image {image.digest} has no valid signature made with {key}" in why
    assert "it was made with another key" in why


@KIND
@MADE
def test_refuses_an_altered_signature(bench: Bench, kind: str, by: str, form: str) -> None:
    image, key = bench.push(kind), bench.make_key()
    bench.sign(by, form, image, key)

    alter(bench.publisher, image, form)

    accepted, why = bench.verdicts(image, key, form)
    assert not accepted
    assert "it was altered after it was signed" in why


@KIND
@pytest.mark.parametrize("form", ["tag", "bundle"])
def test_refuses_a_missing_signature(bench: Bench, kind: str, form: str) -> None:
    image, key = bench.push(kind), bench.make_key()

    accepted, why = bench.verdicts(image, key, form)

    assert not accepted
    assert f"the image {image.digest} has no signature in {bench.publisher.uri('up/stream')}" in why


@pytest.mark.parametrize("spec", ["ECC_NIST_P384", "RSA_2048", "RSA_4096"])
@pytest.mark.parametrize("form", ["tag", "bundle"])
def test_accepts_keys_of_other_types(bench: Bench, spec: str, form: str) -> None:
    publisher, cosign = bench.publisher, bench.cosign
    image, key = bench.push("index"), bench.make_key(spec)
    cosign.sign(f"{publisher.uri('up/stream')}@{image.digest}", id_of(key), form)

    publisher.copy(
        "v1",
        "1",
        RequiredSignatures=required(key),
        SignWith={"KmsKeyArn": key, "As": "Tag" if form == "tag" else "Referrer"},
    )

    digest_options = ("--signature-digest-algorithm", "sha384") if spec == "ECC_NIST_P384" else ()
    result = cosign.verify(f"{publisher.uri('acme/agent')}:1", id_of(key), form, options=digest_options)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("tool", [COSIGN, COSIGN3])
@pytest.mark.parametrize("form", ["tag", "bundle"])
def test_both_versions_of_cosign_accept_the_published_image(
    publisher: Publisher, cosign: Cosign, make_key: Callable[..., str], form: str, tool: str
) -> None:
    image, key = publisher.push(KINDS["index"](), "v1"), make_key()

    publisher.copy(
        "v1", "1", SignWith={"KmsKeyArn": key, "As": form.replace("bundle", "referrer").title(), "Children": "true"}
    )

    for each in (image, *image.children):
        assert cosign.accepts(f"{publisher.uri('acme/agent')}@{each.digest}", id_of(key), form, tool)


def test_adds_a_signature_to_those_of_cosign_under_the_tag(
    publisher: Publisher, cosign: Cosign, make_key: Callable[..., str]
) -> None:
    image, theirs, ours = publisher.push(KINDS["index"](), "v1"), make_key(), make_key()
    publisher.copy("v1", "1")
    uri = f"{publisher.uri('acme/agent')}@{image.digest}"
    cosign.sign(uri, id_of(theirs), "tag")

    publisher.copy("v1", "1", SignWith={"KmsKeyArn": ours, "As": "Tag"})

    assert cosign.accepts(uri, id_of(theirs), "tag")
    assert cosign.accepts(uri, id_of(ours), "tag")
    # cosign can also add signatures to those of the function.
    third = make_key()
    cosign.sign(uri, id_of(third), "tag")
    assert cosign.accepts(uri, id_of(ours), "tag")
    assert cosign.accepts(uri, id_of(third), "tag")


def alter(publisher: Publisher, image: Image, form: str) -> None:
    """Change one character of the signed content, in place."""
    uri = publisher.uri("up/stream")
    if form == "tag":
        tag = image.digest.replace(":", "-") + ".sig"
        signature = pull(uri, tag)
        (blob,) = [layer["digest"] for layer in json.loads(signature.manifest)["layers"]]
        publisher.push(changed(signature, blob, signature.blobs[blob].replace(b"null", b"{}")), tag)
        return
    client = RegistryClient(Repository.parse(uri), None)
    (referrer,) = client.referrers(image.digest)
    signature = pull(uri, referrer)
    (blob,) = [layer["digest"] for layer in json.loads(signature.manifest)["layers"]]
    bundle = json.loads(signature.blobs[blob])
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b'{"_type"', b'{ "_type"')).decode()
    publisher.sandbox.client("ecr-public").batch_delete_image(
        repositoryName="up/stream", imageIds=[{"imageDigest": referrer}]
    )
    publisher.push(changed(signature, blob, json.dumps(bundle).encode()))
