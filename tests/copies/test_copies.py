"""Copies between repositories: complete, byte for byte, and with few requests."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import ManifestMediaType
from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.errors import InvalidManifestError, NotFoundError, RuleViolationError
from lambda_handler.oci import Digest

from .conftest import Publisher, two_platforms

UPLOADS = ("StartUpload", "UploadChunk", "CompleteUpload")


@pytest.mark.parametrize("media_type", [ManifestMediaType.OCI_MANIFEST, ManifestMediaType.DOCKER_MANIFEST])
@pytest.mark.parametrize("platforms", [("linux/amd64",), ("linux/amd64", "linux/arm64")])
def test_copies_an_image_completely(
    publisher: Publisher, media_type: ManifestMediaType, platforms: tuple[str, ...]
) -> None:
    image = publisher.push(build_image({"a": b"1"}, platforms=platforms, media_type=media_type), "v1")

    outcome = publisher.copy("v1", "1", "latest")

    assert publisher.pull("1") == publisher.pull("latest") == image
    assert outcome.data["ImageDigest"] == image.digest


def test_publishes_by_digest_only_if_no_tag_is_declared(publisher: Publisher) -> None:
    image = publisher.push(two_platforms())

    publisher.copy(image.digest)

    assert publisher.pull(image.digest) == image


def test_sends_a_layer_that_two_platforms_share_only_once(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")
    blobs = {digest for child in image.children for digest in child.blobs}
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1")

    assert publisher.sandbox.requests.count("StartUpload") == len(blobs)
    assert publisher.sandbox.requests.count("GetBlob") == len(blobs)


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_second_copy_sends_nothing(publisher: Publisher, by: str) -> None:
    """A second Create puts its tags again, since a read may be older than a previous rollback."""
    image = publisher.push(two_platforms(), "v1")
    reference = "v1" if by == "tag" else image.digest
    publisher.copy(reference, "1")
    publisher.sandbox.requests.clear()

    publisher.copy(reference, "1")

    assert publisher.sandbox.requests.count("GetBlob", *UPLOADS) == 0
    # It is sent together with the question for the images, so that a first copy does not wait for two responses.
    assert publisher.sandbox.requests.count("BatchCheckLayerAvailability") == 1
    assert publisher.puts() == [("1", "ImageAlreadyExistsException")]


def test_looks_up_more_blobs_than_one_request_may_name_only_if_the_image_is_missing(publisher: Publisher) -> None:
    image = publisher.push(build_image({"a": b"1"}, platforms=[f"linux/p{n}" for n in range(101)]), "v1")
    for requests in (2, 0):
        publisher.sandbox.requests.clear()

        publisher.copy("v1", "1")

        assert publisher.pull("1") == image
        assert publisher.sandbox.requests.count("BatchCheckLayerAvailability") == requests


def test_sends_only_what_is_missing(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")
    publisher.push(image.children[0], repository="acme/agent")
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1")

    assert publisher.pull("1") == image
    config_of_the_other = 1
    assert publisher.sandbox.requests.count("StartUpload") == config_of_the_other


def test_a_large_layer_takes_no_more_requests_than_a_small_one(publisher: Publisher) -> None:
    """It has 20 MB, which are read and sent in chunks of 1 MB, in the request that commits it."""
    config, layer = b"{}", Digest.of(b"").hex.encode() * 320_000
    image = Image(manifest=artifact(config, layer), media_type=OCI, blobs=blobs(config, layer))
    publisher.push(image, "big")
    publisher.sandbox.requests.clear()

    publisher.copy("big", "big")

    assert publisher.sandbox.requests.count("GetBlob", "DownloadBlob", *UPLOADS) == 4 * len(image.blobs)
    assert publisher.sandbox.requests.count("UploadChunk") == 0
    assert publisher.pull("big") == image


def test_a_small_blob_takes_four_requests(publisher: Publisher) -> None:
    image = publisher.push(build_image({"a": b"1"}, platforms=("linux/amd64",)), "v1")
    publisher.sandbox.requests.clear()

    publisher.copy("v1", "1")

    assert publisher.sandbox.requests.count("GetBlob", "DownloadBlob", *UPLOADS) == 4 * len(image.blobs)
    assert publisher.sandbox.requests.count("UploadChunk") == 0


def test_reduces_an_index_to_the_requested_platforms(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")

    outcome = publisher.copy("v1", "arm", Platforms=["linux/arm64"])

    assert publisher.pull("arm").children == (image.children[1],)
    assert outcome.data["ImageDigest"] == publisher.pull("arm").digest != image.digest


def test_requesting_every_platform_keeps_the_index_byte_for_byte(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")

    publisher.copy("v1", "all", Platforms=["linux/arm64", "linux/amd64"])

    assert publisher.pull("all") == image


def test_attestations_stay_with_their_platform(publisher: Publisher) -> None:
    image = two_platforms()
    attestation = Image(manifest=artifact(b"{}", b"proof"), media_type=OCI, blobs=blobs(b"{}", b"proof"))
    index = json.loads(image.manifest)
    for child in image.children[:1]:
        index["manifests"].append(
            {
                "mediaType": OCI,
                "digest": attestation.digest,
                "size": len(attestation.manifest),
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.digest": child.digest},
            }
        )
    whole = Image(
        manifest=json.dumps(index).encode(),
        media_type=image.media_type,
        children=(*image.children, attestation),
    )
    publisher.push(whole, "v1")

    publisher.copy("v1", "amd", Platforms=["linux/amd64"])
    publisher.copy("v1", "arm", Platforms=["linux/arm64"])

    assert [child.digest for child in publisher.pull("amd").children] == [image.children[0].digest, attestation.digest]
    assert [child.digest for child in publisher.pull("arm").children] == [image.children[1].digest]


@pytest.mark.parametrize(
    ("platforms", "rule"), [(["linux/s390x"], "Platforms"), (["linux/arm/v7"], "RequiredPlatforms")]
)
def test_refuses_an_image_that_lacks_a_platform(publisher: Publisher, platforms: list[str], rule: str) -> None:
    publisher.push(two_platforms(), "v1")

    with pytest.raises(RuleViolationError, match=platforms[0]) as failure:
        publisher.copy("v1", "1", **{rule: platforms})

    assert "linux/amd64, linux/arm64/v8" in str(failure.value)
    assert publisher.is_empty()


def test_refuses_a_single_image_for_another_platform(publisher: Publisher) -> None:
    publisher.push(build_image({"a": b"1"}, platforms=("linux/arm64",)), "v1")

    with pytest.raises(RuleViolationError, match="no image for linux/amd64; its platforms are: linux/arm64"):
        publisher.copy("v1", "1", Platforms=["linux/amd64"])

    assert publisher.is_empty()


def test_refuses_an_undeclared_digest(publisher: Publisher) -> None:
    publisher.push(two_platforms(), "v1")

    with pytest.raises(RuleViolationError, match="ImageDigest declares sha256:0000"):
        publisher.copy("v1", "1", ImageDigest="sha256:" + "0" * 64)

    assert publisher.is_empty()


def test_refuses_a_missing_image(publisher: Publisher) -> None:
    with pytest.raises(NotFoundError, match="up/stream:none does not exist, or access is denied"):
        publisher.copy("none", "1")


def test_refuses_a_manifest_whose_content_is_not_in_the_repository(publisher: Publisher) -> None:
    """A manifest alone has no blobs. The message lists everything that is missing, and nothing is written."""
    image = publisher.push(two_platforms(), "v1")

    with pytest.raises(RuleViolationError, match="refers to images that are not in the repository") as failure:
        publisher.publish({"Manifest": {"Body": image.manifest.decode()}}, "1")

    assert all(child.digest in failure.value.message for child in image.children)
    assert publisher.is_empty()


def test_an_index_may_have_inline_manifests(publisher: Publisher) -> None:
    """Only their layers are in the repository, so the manifests are put before the index."""
    images = two_platforms().children
    for child in images:
        other = {**json.loads(child.manifest), "annotations": {"other": "manifest"}}
        publisher.push(
            Image(manifest=json.dumps(other).encode(), media_type=OCI, blobs=child.blobs), repository="acme/agent"
        )
    parts = [{"Source": {"Manifest": {"Body": child.manifest.decode()}}} for child in images]

    outcome = publisher.publish({"Index": {"Manifests": parts}}, "1")

    assert {child.digest for child in publisher.pull("1").children} == {child.digest for child in images}
    assert outcome.data["ImageManifestMediaType"] == INDEX


def test_refuses_an_index_of_manifests_whose_layers_are_missing(publisher: Publisher) -> None:
    image = publisher.push(two_platforms(), "v1")
    parts = [{"Source": {"Manifest": {"Body": child.manifest.decode()}}} for child in image.children]

    with pytest.raises((RuleViolationError, NotFoundError)):
        publisher.publish({"Index": {"Manifests": parts}}, "1")

    assert publisher.is_empty()


def test_reads_the_config_of_each_part_only_once(publisher: Publisher) -> None:
    """It is used for the requested platform and for the platform in the index."""
    image = publisher.push(two_platforms(), "v1", repository="acme/agent")
    parts = [
        {"Source": {"Digest": child.digest}, "Platform": platform}
        for child, platform in zip(image.children, ("linux/amd64", "linux/arm64"), strict=True)
    ]

    publisher.publish({"Index": {"Manifests": parts}}, "1", RequiredPlatforms=["linux/arm64"])

    assert publisher.sandbox.requests.count("DownloadBlob") == len(parts)


def test_refuses_endlessly_nested_indexes(publisher: Publisher) -> None:
    image = two_platforms()
    for _ in range(6):
        entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
        manifest = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        image = Image(manifest=json.dumps(manifest).encode(), media_type=INDEX, children=(image,))
    publisher.push(image, "deep")

    with pytest.raises(InvalidManifestError, match="nested more than 4 deep"):
        publisher.copy("deep", "1")

    assert publisher.is_empty()


OCI = ManifestMediaType.OCI_MANIFEST.value
INDEX = ManifestMediaType.OCI_INDEX.value


def artifact(config: bytes, layer: bytes) -> bytes:
    """Return the manifest of an artifact that is not a container image."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": "application/vnd.example",
        "config": descriptor("application/vnd.oci.empty.v1+json", config),
        "layers": [descriptor("application/octet-stream", layer)],
    }
    return json.dumps(manifest).encode()


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def blobs(*contents: bytes) -> dict[str, bytes]:
    return {str(Digest.of(content)): content for content in contents}
