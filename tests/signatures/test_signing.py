"""Signing at publication: the order of writes, no duplicates, and failures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from functools import partial

import pytest

from cdk_ecrpublic.sandbox import Fault, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, pull
from lambda_handler.errors import ImageError, NotFoundError, QuotaExceededError, RejectedError
from lambda_handler.oci import Digest
from lambda_handler.signatures import find
from lambda_handler.signatures.bundle import bundle_of, statement_for
from lambda_handler.signatures.simple_signing import payload_for
from tests.copies.conftest import two_platforms
from tests.support.control_plane import ControlPlane

from .conftest import KINDS, Function, id_of, push_bundle, push_tag

Keys = Callable[..., str]

Declared = tuple[dict[str, object], dict[str, object]]
"""A source, and other properties."""


def copied(publisher: Function, image: Image) -> dict[str, object]:
    """Return a source that copies an image."""
    return {"Image": {"Reference": f"{publisher.uri('up/stream')}@{publisher.push(image).digest}"}}


def here(publisher: Function, image: Image) -> dict[str, object]:
    """Return a source that is already in the destination."""
    return {"Digest": publisher.push(image, repository="acme/agent").digest}


def whole(kind: str, source: Callable[[Function, Image], dict[str, object]], publisher: Function) -> Declared:
    return source(publisher, KINDS[kind]()), {}


def assembled(publisher: Function, source: Callable[[Function, Image], dict[str, object]]) -> Declared:
    images = [build_image({"etc/a": b"a"}, platforms=(platform,)) for platform in ("linux/amd64", "linux/arm64")]
    return {"Index": {"Manifests": [{"Source": source(publisher, image)} for image in images]}}, {}


def declared_index(publisher: Function) -> Declared:
    """Return an index that is declared inline and whose images exist."""
    index = two_platforms()
    for child in index.children:
        publisher.push(child, repository="acme/agent")
    return {"Manifest": {"Body": index.manifest.decode()}}, {}


RELEASES: dict[str, Callable[[Function], Declared]] = {
    **{f"a copy, {kind}": partial(whole, kind, copied) for kind in KINDS},
    **{f"here, {kind}": partial(whole, kind, here) for kind in KINDS},
    "a declared index": declared_index,
    "an index of copies": lambda publisher: assembled(publisher, copied),
    "an index of existing images": lambda publisher: assembled(publisher, here),
    "a copy reduced to one platform": lambda publisher: (
        copied(publisher, two_platforms()),
        {"Platforms": ["linux/amd64"]},
    ),
    "an existing image reduced to one platform": lambda publisher: (
        here(publisher, two_platforms()),
        {"Platforms": ["linux/amd64"]},
    ),
}
"""Each way to declare an image. The last four make an index that has never been anywhere."""

FORMS = pytest.mark.parametrize("form", ["Referrer", "Tag"])


def puts(publisher: Function) -> list[str]:
    """Return the puts in order: a tag, or nothing for an image by digest."""
    return [reference for reference, error in publisher.puts() if not error]


@FORMS
def test_the_signature_is_put_before_the_first_tag_moves(publisher: Function, make_key: Keys, form: str) -> None:
    image = publisher.push(two_platforms(), "v1")
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1", "latest", SignWith={"KmsKeyArn": make_key(), "As": form})

    signature = image.digest.replace(":", "-") + ".sig"
    calls = [call for call in publisher.sandbox.requests.all("PutImage") if not call.error]
    tagged = [call.reference for call in calls if call.reference in {"1", "latest", signature}]
    assert tagged == ([signature, "1", "latest"] if form == "Tag" else ["1", "latest"])
    # Two children, the index by digest, the signature, and two tags.
    assert len(calls) == 6
    assert [call.reference for call in calls][-2:] == ["1", "latest"]
    assert sorted(publisher.tags()) == sorted([*tagged])


@pytest.mark.parametrize("release", RELEASES)
def test_the_image_is_put_before_it_is_signed(publisher: Function, make_key: Keys, release: str) -> None:
    source, more = RELEASES[release](publisher)
    key = make_key()
    publisher.sandbox.client("kms").disable_key(KeyId=id_of(key))

    with pytest.raises(ImageError, match=r"kms:Sign failed: .*, so no tag was moved") as failure:
        publisher.publish(source, "1", SignWith={"KmsKeyArn": key}, **more)

    (unsigned,) = re.findall("signing (sha256:[0-9a-f]{64}) failed", failure.value.message)
    assert publisher.has("acme/agent", unsigned)
    assert publisher.tags() == {}


@pytest.mark.parametrize("release", RELEASES)
@FORMS
def test_signs_each_release_once(publisher: Function, make_key: Keys, release: str, form: str) -> None:
    source, more = RELEASES[release](publisher)
    signing = {"KmsKeyArn": make_key(), "As": form}

    published = [publisher.publish(source, "1", SignWith=signing, **more) for _ in range(2)]

    digest = published[0].data["ImageDigest"]
    signature = digest.replace(":", "-") + ".sig"
    assert publisher.tags()["1"] == digest
    assert sorted(publisher.tags()) == (["1", signature] if form == "Tag" else ["1"])
    signed = publisher.signatures_under(signature) if form == "Tag" else publisher.attached_to(digest)
    assert len(signed) == 1


@FORMS
def test_a_second_deployment_adds_no_signature(publisher: Function, make_key: Keys, form: str) -> None:
    image, key = publisher.push(two_platforms(), "v1"), make_key()
    signing = {"KmsKeyArn": key, "As": form, "Children": "true"}
    publisher.copy("v1", "1", SignWith=signing)
    before = [publisher.attached(each) for each in (image, *image.children)], publisher.tags()
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1", SignWith=signing)

    assert puts(publisher) == []
    assert ([publisher.attached(each) for each in (image, *image.children)], publisher.tags()) == before
    assert [len(found) for found in before[0]] == [1 if form == "Referrer" else 0] * 3


def test_signs_once_with_each_key_and_in_each_form(publisher: Function, make_key: Keys) -> None:
    image, first, second = publisher.push(two_platforms(), "v1"), make_key(), make_key()

    for signing in ({"KmsKeyArn": first}, {"KmsKeyArn": second}, {"KmsKeyArn": first, "As": "Tag"}) * 2:
        publisher.copy("v1", "1", SignWith=signing)

    assert len(publisher.attached(image)) == 2
    assert sorted(publisher.tags()) == ["1", image.digest.replace(":", "-") + ".sig"]


def test_signs_an_existing_image_without_a_signature(publisher: Function, make_key: Keys) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}), "1", repository="acme/agent")

    publisher.publish({"Digest": image.digest}, "1", SignWith={"KmsKeyArn": make_key()})

    assert len(publisher.attached(image)) == 1


def test_keeps_copied_signatures_under_the_tag_despite_stale_reads(publisher: Function, make_key: Keys) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}))
    push_tag(publisher, image, (payload_for(image.digest, "docker.io/acme/agent"), b"of another key"))
    lag = 2.0
    time.sleep(lag)
    publisher.sandbox.settings = Settings(read_lag_tag_seconds=lag)

    signing = {"KmsKeyArn": make_key(), "As": "Tag"}
    publisher.copy(image.digest, "1", IncludeReferrers="true", SignWith=signing)

    publisher.sandbox.settings = Settings()
    assert len(publisher.signatures_under(image.digest.replace(":", "-") + ".sig")) == 1 + 1


def test_does_not_sign_the_attestations_of_an_index(publisher: Function, make_key: Keys) -> None:
    image = two_platforms()
    index = json.loads(image.manifest)
    index["manifests"][1]["platform"] = {"os": "unknown", "architecture": "unknown"}
    image = publisher.push(
        type(image)(manifest=json.dumps(index).encode(), media_type=image.media_type, children=image.children), "v1"
    )

    publisher.copy("v1", "1", SignWith={"KmsKeyArn": make_key(), "Children": "true"})

    assert [len(publisher.attached(each)) for each in (image, *image.children)] == [1, 1, 0]


def test_moves_no_tag_if_signing_fails(publisher: Function, make_key: Keys) -> None:
    old, key = publisher.push(build_image({"etc/a": b"old"}), "v0"), make_key()
    publisher.copy("v0", "latest")
    new = publisher.push(build_image({"etc/a": b"new"}), "v1")
    publisher.sandbox.client("kms").disable_key(KeyId=id_of(key))

    with pytest.raises(ImageError, match=rf"kms:Sign failed: .*signing {new.digest} failed, so no tag was moved"):
        publisher.copy("v1", "latest", SignWith={"KmsKeyArn": key})

    assert publisher.tags() == {"latest": old.digest}
    publisher.sandbox.client("kms").enable_key(KeyId=id_of(key))
    publisher.copy("v1", "latest", SignWith={"KmsKeyArn": key})
    assert publisher.tags() == {"latest": new.digest}
    assert len(publisher.attached(new)) == 1


def test_moves_no_tag_if_a_signature_cannot_be_stored(publisher: Function, make_key: Keys) -> None:
    old = publisher.push(build_image({"etc/a": b"old"}), "v0")
    publisher.copy("v0", "latest")
    new = publisher.push(build_image({"etc/a": b"new"}), "v1")
    publisher.sandbox.faults.add(Fault(operation="PutImage", face="api", skip=1, times=None, code="AccessDenied"))

    with pytest.raises(ImageError, match=rf"ecr-public:PutImage failed: .*signing {new.digest} failed, so no tag"):
        publisher.copy("v1", "latest", SignWith={"KmsKeyArn": make_key()})

    publisher.sandbox.faults.clear()
    assert publisher.tags() == {"latest": old.digest}


def test_explains_the_limit_of_referrers(publisher: Function, make_key: Keys) -> None:
    publisher.push(build_image({"etc/a": b"a"}), "v1")
    # The image itself is put first.
    fault = Fault(operation="PutImage", face="api", skip=1, times=None, code="LimitExceededException", message="limit")
    publisher.sandbox.faults.add(fault)

    with pytest.raises(QuotaExceededError) as failure:
        publisher.copy("v1", "1", SignWith={"KmsKeyArn": make_key()})

    publisher.sandbox.faults.clear()
    assert "so no tag was moved" in failure.value.explain()
    assert "Hint: the image may have the most referrers that ECR allows; remove signatures" in failure.value.explain()
    assert publisher.tags() == {}


def test_refuses_a_key_that_does_not_exist(publisher: Function) -> None:
    publisher.push(build_image({"etc/a": b"a"}), "v1")
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

    with pytest.raises(NotFoundError, match="kms:GetPublicKey failed: NotFoundException"):
        publisher.copy("v1", "1", SignWith={"KmsKeyArn": key})

    assert publisher.is_empty()


@pytest.mark.parametrize(
    ("spec", "usage", "message"),
    [
        ("RSA_2048", "ENCRYPT_DECRYPT", "has the usage ENCRYPT_DECRYPT; expected SIGN_VERIFY"),
        ("ECC_SECG_P256K1", "SIGN_VERIFY", "is of type ECC_SECG_P256K1; allowed: ECC_NIST_P256, "),
    ],
)
def test_refuses_a_key_that_cannot_sign(
    publisher: Function, make_key: Keys, spec: str, usage: str, message: str
) -> None:
    publisher.push(build_image({"etc/a": b"a"}), "v1")

    with pytest.raises(RejectedError, match=message):
        publisher.copy("v1", "1", SignWith={"KmsKeyArn": make_key(spec, usage)})

    assert publisher.is_empty()


def test_a_rollback_signs_nothing(publisher: Function, make_key: Keys, plane: ControlPlane) -> None:
    """The old release was published by hand without a signature, and the rollback restores exactly that."""
    old = publisher.push(build_image({"etc/a": b"old"}), "1", repository="acme/agent")
    new = publisher.push(build_image({"etc/a": b"new"}), repository="acme/agent")
    signing = {"KmsKeyArn": make_key()}
    before, after = (
        {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": {"Digest": each.digest}, "SignWith": signing}
        for each in (old, new)
    )

    publisher.update(after, before)
    assert publisher.tags() == {"1": new.digest}
    with plane.rolling_back():
        publisher.update(before, after)

    assert publisher.tags() == {"1": old.digest}
    assert (len(publisher.attached(new)), publisher.attached(old)) == (1, [])
    # An update signs.
    publisher.update(before, after)
    assert len(publisher.attached(old)) == 1


def test_a_release_without_signing_asks_nothing_about_signatures(publisher: Function) -> None:
    publisher.push(build_image({"etc/a": b"a"}), "v1")
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1")

    assert publisher.sandbox.requests.count("ListReferrers") == 0


def test_the_signature_conforms_to_the_specifications(publisher: Function, make_key: Keys) -> None:
    """cosign accepts it, and other verifiers check the types and annotations."""
    image, key = publisher.push(build_image({"etc/a": b"a"}), "v1"), make_key()
    publisher.copy("v1", "1", SignWith={"KmsKeyArn": key})

    (referrer,) = publisher.attached(image)

    manifest = json.loads(pull(publisher.uri("acme/agent"), referrer).manifest)
    bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert manifest["artifactType"] == manifest["layers"][0]["mediaType"] == bundle_type
    assert manifest["subject"]["digest"] == image.digest
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert manifest["annotations"] == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
        # Our annotation: a later release finds the signature by it in a long list.
        "vnd.cdk-ecrpublic.key": hint_of(publisher, key),
    }


def hint_of(publisher: Function, key: str) -> str:
    """Return the digest of a public key in base64, as bundles identify their key."""
    public_key = publisher.sandbox.client("kms").get_public_key(KeyId=key)["PublicKey"]
    return base64.b64encode(hashlib.sha256(public_key).digest()).decode()


@FORMS
def test_finds_our_signature_among_too_many_to_read(
    publisher: Function, make_key: Keys, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A second deployment adds nothing, whatever else is attached."""
    image, key = publisher.push(build_image({"etc/a": b"a"}), "v1"), make_key()
    publisher.copy("v1", "1")
    monkeypatch.setattr(find, "CLAIMS_MAX", 2)

    for number in range(4):
        others = [{"KmsKeyArn": make_key(), "As": form} for _ in range(2)] if number % 2 == 0 else []
        for signing in (*others, {"KmsKeyArn": key, "As": form}):
            publisher.copy("v1", "1", SignWith=signing)

    signed = (
        publisher.signatures_under(image.digest.replace(":", "-") + ".sig")
        if form == "Tag"
        else publisher.attached(image)
    )
    assert len(signed) == 4 + 1


@FORMS
def test_refuses_too_many_signatures_that_look_like_ours(
    publisher: Function, make_key: Keys, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Only someone with push access can attach them. Otherwise each release would add one more."""
    image, key = publisher.push(build_image({"etc/a": b"a"}), "v1", repository="acme/agent"), make_key()
    named = {"repository": "acme/agent", "key_hint": hint_of(publisher, key)}
    if form == "Tag":
        payload = payload_for(image.digest, publisher.uri("acme/agent"))
        push_tag(publisher, image, *[(payload, b"forged %d" % number) for number in range(3)], **named)
    else:
        for number in range(3):
            bundle = bundle_of(statement_for(Digest.parse(image.digest)), b"forged %d" % number, "")
            push_bundle(publisher, image, bundle, **named)
    monkeypatch.setattr(find, "CLAIMS_MAX", 2)

    with pytest.raises(RejectedError) as failure:
        publisher.publish({"Digest": image.digest}, "1", SignWith={"KmsKeyArn": key, "As": form})

    assert failure.value.message == (
        f"{image.digest} has 3 signatures that look like those of this release, and none of the 2 that were read is one"
    )
    assert "remove signatures that are not needed" in failure.value.explain()
    assert "1" not in publisher.tags()
    monkeypatch.setattr(find, "CLAIMS_MAX", 3)
    publisher.publish({"Digest": image.digest}, "1", SignWith={"KmsKeyArn": key, "As": form})
    assert "1" in publisher.tags()
