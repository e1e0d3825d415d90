"""Copies the referrers of an image on request: signatures, SBOMs, attestations."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Repository
from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image, resolve_tags
from cdk_ecrpublic.sandbox.testing.client import RegistryClient
from lambda_handler.errors import AccessError, InvalidManifestError, UnavailableError
from lambda_handler.oci import Digest, ManifestMediaType
from lambda_handler.publish import tree

from .conftest import Publisher, two_platforms

EMPTY = b"{}"
OCI = ManifestMediaType.OCI_MANIFEST.value
INDEX = ManifestMediaType.OCI_INDEX.value


def descriptor(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def artifact(kind: str, *layers: bytes, subject: Image | None = None) -> Image:
    """Make a signature, an SBOM or the like."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": f"application/vnd.example.{kind}",
        "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(layer, f"application/vnd.example.{kind}") for layer in layers],
        **({"subject": descriptor(subject.manifest, subject.media_type)} if subject else {}),
    }
    blobs = {str(Digest.of(content)): content for content in (EMPTY, *layers)}
    return Image(manifest=json.dumps(manifest).encode(), media_type=OCI, blobs=blobs)


def list_of(*images: Image) -> Image:
    """Make the index that clients store under a tag if a registry has no referrers API."""
    entries = [descriptor(image.manifest, image.media_type) for image in images]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return Image(manifest=manifest, media_type=INDEX, children=images)


def tag_of(image: Image, suffix: str = "") -> str:
    return image.digest.replace(":", "-") + suffix


def referrers(publisher: Publisher, image: Image) -> set[str]:
    """Read the referrers of an image from the destination, as any client does."""
    return set(RegistryClient(Repository.parse(publisher.uri("acme/agent")), None).referrers(image.digest))


@pytest.fixture
def image(publisher: Publisher) -> Image:
    return publisher.push(two_platforms(), "v1")


def test_follows_the_referrers_api_recursively(publisher: Publisher, image: Image) -> None:
    """A signature of the index, an SBOM of one platform, and a signature of that SBOM."""
    signature = publisher.push(artifact("signature", b"1", subject=image))
    sbom = publisher.push(artifact("sbom", b"packages", subject=image.children[0]))
    signed = publisher.push(artifact("signature", b"2", subject=sbom))

    publisher.copy("v1", "1", IncludeReferrers="true")

    for each in (signature, sbom, signed):
        assert publisher.pull(each.digest) == each
    assert referrers(publisher, image) == {signature.digest}
    assert referrers(publisher, image.children[0]) == {sbom.digest}
    assert referrers(publisher, sbom) == {signed.digest}
    assert resolve_tags(publisher.sandbox, "acme/agent") == {"1": image.digest}


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
def test_copies_the_tags_of_cosign(publisher: Publisher, image: Image, suffix: str) -> None:
    signature = publisher.push(artifact("signature", b"1"), tag_of(image, suffix))

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.pull(tag_of(image, suffix)) == signature


def test_reads_the_referrers_tag_if_a_registry_has_no_referrers_api(publisher: Publisher, image: Image) -> None:
    signature = artifact("signature", b"1", subject=image)
    listed = publisher.push(list_of(signature), tag_of(image))
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=404, times=None))

    publisher.copy("v1", "1", IncludeReferrers="true")
    publisher.sandbox.faults.clear()

    assert publisher.pull(tag_of(image)) == listed
    assert referrers(publisher, image) == {signature.digest}


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_without_api_and_tag_has_no_referrers(publisher: Publisher, image: Image, status: int) -> None:
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=status, times=None))

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.pull("1") == image


def test_an_unreadable_list_is_an_error_and_nothing_is_written(publisher: Publisher, image: Image) -> None:
    """Otherwise an image would be published without its signatures."""
    publisher.push(artifact("signature", b"1", subject=image))
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=503, times=None))

    with pytest.raises(UnavailableError, match=r"GET referrers failed: registry .* returned 503"):
        publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.is_empty()


def test_a_denied_list_is_an_error(publisher: Publisher) -> None:
    publisher.push(two_platforms(), "v1")
    publisher.sandbox.faults.add(Fault(operation="ListReferrers", status=403, times=None))

    with pytest.raises(AccessError, match="GET referrers failed"):
        publisher.copy("v1", "1", IncludeReferrers="true")


def test_without_the_option_referrers_are_not_looked_up(publisher: Publisher, image: Image) -> None:
    signature = publisher.push(artifact("signature", b"1", subject=image), tag_of(image, ".sig"))

    publisher.copy("v1", "1")

    assert publisher.sandbox.requests.count("ListReferrers") == 0
    assert tag_of(image, ".sig") not in resolve_tags(publisher.sandbox, "acme/agent")
    assert referrers(publisher, image) == set()
    assert signature.digest != image.digest


def test_puts_the_tags_of_the_release_last(publisher: Publisher, image: Image) -> None:
    """A client that pulls by tag and verifies finds the signature."""
    publisher.push(artifact("signature", b"1", subject=image), tag_of(image, ".sig"))
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1", IncludeReferrers="true")

    puts = [call.reference for call in publisher.sandbox.requests if call.operation == "PutImage"]
    assert puts[-3:] == [image.digest, tag_of(image, ".sig"), "1"]


def test_a_second_copy_writes_nothing(publisher: Publisher, image: Image) -> None:
    publisher.push(artifact("signature", b"1", subject=image), tag_of(image, ".sig"))
    publisher.copy("v1", "1", IncludeReferrers="true")
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.sandbox.requests.count("StartUpload") == 0
    assert publisher.puts() == [("1", "ImageAlreadyExistsException")]


def test_adds_a_signature_that_was_created_later(publisher: Publisher, image: Image) -> None:
    publisher.push(artifact("signature", b"1"), tag_of(image, ".sig"))
    publisher.copy("v1", "1", IncludeReferrers="true")
    both = publisher.push(artifact("signature", b"1", b"2"), tag_of(image, ".sig"))

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.pull(tag_of(image, ".sig")) == both


def test_keeps_a_signature_that_only_the_destination_has(
    publisher: Publisher, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.push(artifact("signature", b"1"), tag_of(image, ".sig"))
    own = publisher.push(artifact("signature", b"our own"), tag_of(image, ".sig"), repository="acme/agent")

    publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.pull(tag_of(image, ".sig")) == own
    assert publisher.pull("1") == image
    assert (
        f"not replaced, because they have more than those of the source: {tag_of(image, '.sig')}"
        in capsys.readouterr().out
    )


def test_copies_only_the_referrers_of_the_requested_platforms(publisher: Publisher, image: Image) -> None:
    kept = publisher.push(artifact("sbom", b"amd64", subject=image.children[0]))
    publisher.push(artifact("sbom", b"arm64", subject=image.children[1]))
    publisher.push(artifact("signature", b"of the whole", subject=image))

    publisher.copy("v1", "1", IncludeReferrers="true", Platforms=["linux/amd64"])

    images = publisher.sandbox.client("ecr-public").describe_images(repositoryName="acme/agent")["imageDetails"]
    assert {each["imageDigest"] for each in images} > {image.children[0].digest, kept.digest}
    assert len(images) == 3


def test_copies_the_referrers_of_the_parts_of_an_assembled_index(publisher: Publisher) -> None:
    images = [publisher.push(child, tag) for child, tag in zip(two_platforms().children, "ab", strict=True)]
    sbom = publisher.push(artifact("sbom", b"packages", subject=images[1]))
    uri = publisher.uri("up/stream")
    parts = [{"Source": {"Image": {"Reference": f"{uri}:{tag}"}}} for tag in "ab"]

    publisher.publish({"Index": {"Manifests": parts}}, "1", IncludeReferrers="true")

    assert publisher.pull(sbom.digest) == sbom


def test_refuses_too_many_referrers(publisher: Publisher, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MANIFESTS_MAX", 2)
    for number in range(3):
        publisher.push(artifact("signature", str(number).encode(), subject=image))

    with pytest.raises(InvalidManifestError, match="the set of referrers of the image has more than 2 manifests"):
        publisher.copy("v1", "1", IncludeReferrers="true")

    assert publisher.is_empty()
