"""Signatures of AWS Signer, verified with the library of the Notary Project."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Repository as AssetRepository
from cdk_ecrpublic.sandbox.images import Image, build_image, pull
from cdk_ecrpublic.sandbox.testing.client import RegistryClient
from lambda_handler.errors import InvalidManifestError, NotFoundError, RejectedError
from lambda_handler.oci import Descriptor, Digest, Repository
from lambda_handler.signatures import find
from lambda_handler.signatures.notation import is_of_profile, payload_for, referrer_of
from tests.copies.conftest import two_platforms

from .conftest import KINDS, Function, changed

KIND = pytest.mark.parametrize("kind", KINDS)


@dataclass(frozen=True)
class Notation:
    """The program in ``tests/peers/notation``."""

    publisher: Function
    folder: Path

    def verify(self, uri: str, root: bytes, store: str = "signingAuthority") -> subprocess.CompletedProcess[str]:
        """Verify an image with one trusted certificate authority."""
        path = self.folder / "root.pem"
        path.write_bytes(root)
        return self._run("verify", uri, str(path), store)

    def accepts(self, uri: str, root: bytes, store: str = "signingAuthority") -> bool:
        result = self.verify(uri, root, store)
        refusals = ("no signature", "signature is not produced by a trusted signer", "signature verification failed")
        assert result.returncode == 0 or any(each in result.stderr for each in refusals), result.stderr
        return result.returncode == 0

    def sign(self, uri: str, key: Path, chain: Path) -> None:
        result = self._run("sign", uri, str(key), str(chain))
        assert result.returncode == 0, result.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        data = self.publisher.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
        login = base64.b64decode(data["authorizationToken"]).decode()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LOGIN": login}
        return subprocess.run(
            ["notation", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def notation(publisher: Function, tmp_path: Path) -> Notation:
    if shutil.which("notation") is None:
        pytest.skip("notation is not installed (tests/peers/install)")
    return Notation(publisher, tmp_path)


@pytest.fixture
def profile(publisher: Function) -> str:
    """The ARN of a signing profile."""
    return make_profile(publisher)


def make_profile(publisher: Function, platform: str = "Notation-OCI-SHA384-ECDSA") -> str:
    """Create a signing profile with a new name, because AWS does not allow a name to be used again."""
    name = f"release_{uuid.uuid4().hex[:8]}"
    made = publisher.sandbox.client("signer").put_signing_profile(profileName=name, platformId=platform)
    arn: str = made["arn"]
    return arn


def envelope_of(publisher: Function, image: Image) -> tuple[str, Image, bytes]:
    """Return the only referrer of an image: its digest, the referrer, and its envelope."""
    (digest,) = publisher.attached(image)
    referrer = pull(publisher.uri("acme/agent"), digest)
    (layer,) = json.loads(referrer.manifest)["layers"]
    return digest, referrer, referrer.blobs[layer["digest"]]


def root_of(envelope: bytes) -> bytes:
    """Return the certificate of the sandbox's authority, the last in the chain, as PEM."""
    text = json.loads(envelope)["header"]["x5c"][-1]
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()


def authority(folder: Path) -> tuple[Path, Path]:
    """Create a key and a self-signed certificate; return their files."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - after the check
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    oid = x509.oid.NameOID
    parts = ((oid.COUNTRY_NAME, "US"), (oid.STATE_OR_PROVINCE_NAME, "WA"), (oid.ORGANIZATION_NAME, "acme"))
    name = x509.Name([x509.NameAttribute(*part) for part in parts])
    unused = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    usage = x509.KeyUsage(
        digital_signature=True, encipher_only=False, decipher_only=False, **dict.fromkeys(unused, False)
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "chain.pem").write_bytes(certificate.public_bytes(pem))
    return folder / "key.pem", folder / "chain.pem"


@pytest.mark.peer
@KIND
def test_notation_accepts_the_published_image(publisher: Function, notation: Notation, profile: str, kind: str) -> None:
    image = publisher.push(KINDS[kind](), "v1")

    publisher.copy("v1", "1", SignWith={"SigningProfileArn": profile})

    _, _, envelope = envelope_of(publisher, image)
    result = notation.verify(f"{publisher.uri('acme/agent')}@{image.digest}", root_of(envelope))
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == image.digest


@pytest.mark.peer
@KIND
def test_notation_refuses_another_authority_and_a_missing_signature(
    publisher: Function, notation: Notation, profile: str, kind: str
) -> None:
    image = publisher.push(KINDS[kind](), "v1")
    uri = f"{publisher.uri('acme/agent')}@{image.digest}"
    _, other = authority(notation.folder)

    publisher.copy("v1", "1")
    is_accepted_without = notation.accepts(uri, other.read_bytes())
    publisher.copy("v1", "1", SignWith={"SigningProfileArn": profile})

    assert not is_accepted_without
    assert not notation.accepts(uri, other.read_bytes())


@pytest.mark.peer
@KIND
def test_notation_refuses_an_altered_signature(
    publisher: Function, notation: Notation, profile: str, kind: str
) -> None:
    image = publisher.push(KINDS[kind](), "v1")
    publisher.copy("v1", "1", SignWith={"SigningProfileArn": profile})
    digest, referrer, envelope = envelope_of(publisher, image)
    data = json.loads(envelope)
    data["payload"] = base64.urlsafe_b64encode(b'{"targetArtifact":{}}').rstrip(b"=").decode()
    (blob,) = [layer["digest"] for layer in json.loads(referrer.manifest)["layers"]]

    publisher.sandbox.client("ecr-public").batch_delete_image(
        repositoryName="acme/agent", imageIds=[{"imageDigest": digest}]
    )
    publisher.push(changed(referrer, blob, json.dumps(data).encode()), repository="acme/agent")

    assert not notation.accepts(f"{publisher.uri('acme/agent')}@{image.digest}", root_of(envelope))


@pytest.mark.peer
@KIND
def test_a_signature_of_notation_survives_the_copy(publisher: Function, notation: Notation, kind: str) -> None:
    image = publisher.push(KINDS[kind](), "v1")
    key, chain = authority(notation.folder)
    notation.sign(f"{publisher.uri('up/stream')}@{image.digest}", key, chain)

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert notation.accepts(f"{publisher.uri('acme/agent')}@{image.digest}", chain.read_bytes(), "ca")


def test_a_second_deployment_adds_no_signature(publisher: Function, profile: str) -> None:
    image = publisher.push(two_platforms(), "v1")
    for _ in range(2):
        publisher.copy("v1", "1", SignWith={"SigningProfileArn": profile, "Children": "true"})

    assert [len(publisher.attached(each)) for each in (image, *image.children)] == [1, 1, 1]


def test_signs_with_each_profile(publisher: Function, profile: str) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}), "v1")

    for arn in (profile, make_profile(publisher), profile):
        publisher.copy("v1", "1", SignWith={"SigningProfileArn": arn})

    assert len(publisher.attached(image)) == 2


def forged(image: Image, profile: str, made_for: str = "", number: int = 0) -> Image:
    """Return a referrer with an unsigned envelope that names a profile and an image."""
    subject = Descriptor(media_type=image.media_type, digest=Digest.parse(image.digest), size=len(image.manifest))
    protected = {"alg": "ES384", "com.amazonaws.signer.signingProfileVersion": f"{profile}/abc"}
    parts = [
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (json.dumps(protected).encode(), payload_for(subject))
    ]
    header = {"x5c": [base64.b64encode(b"certificate %d" % number).decode()]}
    envelope = json.dumps({"protected": parts[0], "payload": parts[1], "header": header, "signature": "AAAA"}).encode()
    assert is_of_profile(envelope, subject.digest, profile)
    data = json.loads(referrer_of(envelope, subject, Repository.parse(made_for or "example.com/x")).content)
    if not made_for:
        del data["annotations"]["vnd.cdk-ecrpublic.repository"]
    blobs = {str(Digest.of(content)): content for content in (b"{}", envelope)}
    return Image(manifest=json.dumps(data).encode(), media_type=data["mediaType"], blobs=blobs)


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_forged_envelope_does_not_prevent_signing(publisher: Function, profile: str, *, is_marked: bool) -> None:
    """The owner of the source attaches it so that the function copies it and mistakes it for its own."""
    image = publisher.push(two_platforms(), "v1")
    theirs = publisher.push(forged(image, profile, publisher.uri("acme/agent") if is_marked else ""))
    publisher.copy("v1", "1", IncludeReferrers="true")
    copied = publisher.attached(image)

    for _ in range(2):
        publisher.copy("v1", "1", IncludeReferrers="true", SignWith={"SigningProfileArn": profile})

    # An envelope that claims to be ours is not copied from elsewhere.
    assert copied == ([] if is_marked else [theirs.digest])
    assert len({*publisher.attached(image)} - {theirs.digest}) == 1


def test_does_not_copy_a_list_with_an_envelope_that_claims_to_be_ours(publisher: Function, profile: str) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}), "v1")
    theirs = publisher.push(forged(image, profile, publisher.uri("acme/agent")))
    other = publisher.push(forged(image, profile))
    index_type = "application/vnd.oci.image.index.v1+json"
    entries = [
        {"mediaType": each.media_type, "digest": each.digest, "size": len(each.manifest)} for each in (theirs, other)
    ]
    listed = {"schemaVersion": 2, "mediaType": index_type, "manifests": entries}
    tag = image.digest.replace(":", "-")
    publisher.push(Image(manifest=json.dumps(listed).encode(), media_type=index_type, children=(theirs, other)), tag)

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.attached(image) == [other.digest]
    assert list(publisher.tags()) == ["1"]


def test_refuses_an_image_with_a_part_that_claims_to_be_our_envelope(publisher: Function, profile: str) -> None:
    image = two_platforms()
    theirs = forged(image.children[0], profile, publisher.uri("acme/agent"))
    data = json.loads(image.manifest)
    data["manifests"].append({"mediaType": theirs.media_type, "digest": theirs.digest, "size": len(theirs.manifest)})
    children = (*image.children, theirs)
    publisher.push(Image(manifest=json.dumps(data).encode(), media_type=image.media_type, children=children), "v1")

    with pytest.raises(
        InvalidManifestError, match=f"the manifest {theirs.digest} of the image says that it was made by"
    ):
        publisher.copy("v1", "1")

    assert publisher.is_empty()


def test_an_envelope_that_another_tool_attached_does_not_count(publisher: Function, profile: str) -> None:
    """We cannot verify it, so the image is signed once more, but only once."""
    image = publisher.push(build_image({"etc/a": b"a"}), repository="acme/agent")
    publisher.push(forged(image, profile), repository="acme/agent")

    for _ in range(2):
        publisher.publish({"Digest": image.digest}, "1", SignWith={"SigningProfileArn": profile})

    assert len(publisher.attached(image)) == 2


def test_finds_our_signature_among_too_many_to_read(
    publisher: Function, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}), repository="acme/agent")
    for number in range(3):
        publisher.push(forged(image, profile, number=number), repository="acme/agent")
    monkeypatch.setattr(find, "CLAIMS_MAX", 2)

    for _ in range(2):
        publisher.publish({"Digest": image.digest}, "1", SignWith={"SigningProfileArn": profile})

    assert len(publisher.attached(image)) == 3 + 1


def test_refuses_too_many_signatures_that_look_like_ours(
    publisher: Function, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}), repository="acme/agent")
    other = profile + "2"
    for number in range(3):
        publisher.push(forged(image, other, publisher.uri("acme/agent"), number), repository="acme/agent")
    monkeypatch.setattr(find, "CLAIMS_MAX", 2)

    with pytest.raises(RejectedError, match="has 3 signatures that look like those of this release, and none of the 2"):
        publisher.publish({"Digest": image.digest}, "1", SignWith={"SigningProfileArn": profile})

    assert publisher.tags() == {}


def test_signs_an_assembled_index_once(publisher: Function, profile: str) -> None:
    images = [
        publisher.push(build_image({"etc/a": b"a"}, platforms=(each,))) for each in ("linux/amd64", "linux/arm64")
    ]
    references = [f"{publisher.uri('up/stream')}@{image.digest}" for image in images]
    parts = [{"Source": {"Image": {"Reference": reference}}} for reference in references]

    for _ in range(2):
        made = publisher.publish(
            {"Index": {"Manifests": parts}}, "1", SignWith={"SigningProfileArn": profile, "Children": "true"}
        )

    digests = (made.data["ImageDigest"], *(image.digest for image in images))
    assert [len(publisher.attached_to(digest)) for digest in digests] == [1, 1, 1]


def test_the_signature_conforms_to_the_specification(publisher: Function, profile: str) -> None:
    image = publisher.push(build_image({"etc/a": b"a"}), "v1")
    publisher.copy("v1", "1", SignWith={"SigningProfileArn": profile})

    _, referrer, envelope = envelope_of(publisher, image)

    manifest = json.loads(referrer.manifest)
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.notary.signature"
    assert manifest["layers"][0]["mediaType"] == "application/jose+json"
    assert manifest["subject"]["digest"] == image.digest
    thumbprints = json.loads(manifest["annotations"]["io.cncf.notary.x509chain.thumbprint#S256"])
    assert [len(each) for each in thumbprints] == [64] * len(json.loads(envelope)["header"]["x5c"])
    # Our annotation: it tells a later release that this function made the signature, and for which repository.
    assert manifest["annotations"]["vnd.cdk-ecrpublic.repository"] == publisher.uri("acme/agent")
    # Clients find it by this type.
    listed = RegistryClient(AssetRepository.parse(publisher.uri("acme/agent")), None)
    assert listed.referrers(image.digest) == [referrer.digest]


def test_a_profile_that_cannot_sign_moves_no_tag(publisher: Function) -> None:
    publisher.push(build_image({"etc/a": b"a"}), "v1")
    absent = f"arn:aws:signer:us-east-1:{publisher.sandbox.account}:/signing-profiles/absent"
    of_code = make_profile(publisher, "AWSLambda-SHA384-ECDSA")

    with pytest.raises(NotFoundError, match=r"signer:SignPayload failed: ResourceNotFoundException: .*so no tag was"):
        publisher.copy("v1", "1", SignWith={"SigningProfileArn": absent})
    with pytest.raises(RejectedError, match=r"signer:SignPayload failed: ValidationException: .*so no tag was moved"):
        publisher.copy("v1", "1", SignWith={"SigningProfileArn": of_code})

    assert publisher.tags() == {}
