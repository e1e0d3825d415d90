"""PutImage, case by case, through boto3."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType
from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, pull, push_image

from .conftest import REPOSITORY, Api, changed, make_api

NOT_JSON = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
MISSING = "sha256:" + "0" * 64


def uri(sandbox: Sandbox) -> str:
    described = sandbox.client("ecr-public").describe_repositories(repositoryNames=[REPOSITORY])
    return str(described["repositories"][0]["repositoryUri"])


def test_a_new_tag_points_to_the_image_and_the_response_says_so(api: Api, image: Image) -> None:
    answer = api.put(image, "1.4.2")["image"]

    assert answer == {
        "registryId": "123456789012",
        "repositoryName": REPOSITORY,
        "imageId": {"imageDigest": image.digest, "imageTag": "1.4.2"},
        "imageManifest": image.manifest.decode(),
        "imageManifestMediaType": ManifestMediaType.OCI_INDEX,
    }
    assert api.digests() == {"1.4.2": image.digest}


def test_refuses_the_same_tag_with_the_same_digest(api: Api, image: Image) -> None:
    api.put(image, "1.4.2")

    refusal = api.refused_put(image, "1.4.2")

    assert (refusal.code, refusal.status) == ("ImageAlreadyExistsException", 400)
    assert refusal.message == (
        f"Image with digest '{image.digest}' and tag '1.4.2' already exists in the repository with name '{REPOSITORY}' "
        "in registry with id '123456789012'"
    )


def test_another_tag_of_an_image_does_not_change_its_date(api: Api, image: Image) -> None:
    before = api.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageDigest": image.digest}])
    time.sleep(0.01)

    api.put(image, "1.4.2")
    api.put(image, "latest")

    after = api.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageDigest": image.digest}])
    assert after["imageDetails"][0]["imagePushedAt"] == before["imageDetails"][0]["imagePushedAt"]
    assert sorted(after["imageDetails"][0]["imageTags"]) == ["1.4.2", "latest"]


def test_moving_a_tag_keeps_the_old_image(api: Api, image: Image, other: Image) -> None:
    api.put(image, "latest")

    api.put(other, "latest")

    assert api.digests() == {"latest": other.digest}
    old = api.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageDigest": image.digest}])["imageDetails"][0]
    assert "imageTags" not in old


def test_without_a_tag_the_response_has_only_the_digest(sandbox: Sandbox, api: Api, other: Image) -> None:
    annotated = changed(other, annotations={"a": "b"})
    answer = api.put(annotated, imageDigest=str(Digest.of(annotated)))

    assert answer["image"]["imageId"] == {"imageDigest": str(Digest.of(annotated))}
    assert pull(uri(sandbox), str(Digest.of(annotated))).manifest == annotated


def test_accepts_an_image_without_tag_and_digest(api: Api, other: Image) -> None:
    assert api.put(changed(other, annotations={"a": "b"}))["image"]["imageId"].keys() == {"imageDigest"}


def test_refuses_an_image_without_tag_and_digest_if_configured(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = Settings(no_tag_no_digest="reject")

    assert api.refused_put(changed(other, annotations={})).code == "InvalidParameterException"


def test_refuses_an_untagged_image_that_already_exists(api: Api, other: Image) -> None:
    refusal = api.refused_put(other, imageDigest=other.digest)

    assert refusal.code == "ImageAlreadyExistsException"
    assert "and tag 'null' already exists" in refusal.message


def test_refuses_the_wrong_digest_of_a_manifest(api: Api, other: Image) -> None:
    assert api.refused_put(other, "1", imageDigest=MISSING).code == "ImageDigestDoesNotMatchException"
    assert api.digests() == {}


def test_accepts_a_manifest_without_media_type_if_the_request_has_one(sandbox: Sandbox, api: Api, other: Image) -> None:
    bare = changed(other, mediaType=None)

    api.put(bare, "bare", imageManifestMediaType=ManifestMediaType.OCI_MANIFEST)

    assert pull(uri(sandbox), "bare").manifest == bare


@pytest.mark.parametrize(
    ("content", "beside"),
    [
        pytest.param(b"not json", None, id="not JSON"),
        pytest.param(b"[]", None, id="not an object"),
        pytest.param(b'{"errors": [{"code": "DENIED"}]}', None, id="an error of a registry"),
        pytest.param({"mediaType": None}, None, id="no media type anywhere"),
        pytest.param({}, ManifestMediaType.DOCKER_MANIFEST, id="two media types"),
        pytest.param({"mediaType": "application/vnd.oci.artifact.manifest.v1+json"}, None, id="a withdrawn type"),
        pytest.param({"schemaVersion": 1}, None, id="schema 1"),
        pytest.param({"layers": [{"digest": MISSING, "size": 1}]}, None, id="a layer without media type"),
        pytest.param({"config": None}, None, id="no config"),
    ],
)
def test_refuses_all_invalid_manifests_with_the_same_message(
    api: Api, other: Image, content: bytes | dict[str, Any], beside: str | None
) -> None:
    manifest = content if isinstance(content, bytes) else changed(other, **content)

    refusal = api.refused_put(manifest, "1", **({"imageManifestMediaType": beside} if beside else {}))

    assert (refusal.code, refusal.message) == ("InvalidParameterException", NOT_JSON)


def test_refuses_a_build_cache_whose_manifests_are_layers(api: Api, image: Image) -> None:
    cache = changed(
        image, manifests=[{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": MISSING, "size": 1}]
    )

    assert api.refused_put(cache, "cache").code == "ReferencedImagesNotFoundException"


def test_refuses_an_image_without_layers(api: Api, other: Image) -> None:
    refusal = api.refused_put(changed(other, layers=[]), "1")

    assert refusal.message.endswith("'Image has to have at least 1 layer'")


def test_refuses_layers_of_another_repository(api: Api, other: Image) -> None:
    api.create_repository(repositoryName="empty")

    refusal = api.refused_put(other, "1", repositoryName="empty")

    config, layer = other.blobs
    assert refusal.code == "LayersNotFoundException"
    assert refusal.message == (
        f"Layers with digests '[{config}, {layer}]' required for pushing image into repository with name 'empty' in "
        "the registry with id '123456789012' do not exist"
    )


def test_refuses_an_index_whose_images_are_in_another_repository(api: Api, image: Image) -> None:
    api.create_repository(repositoryName="empty")

    refusal = api.refused_put(image, "1", repositoryName="empty")

    assert refusal.code == "ReferencedImagesNotFoundException"
    assert all(child.digest in refusal.message for child in image.children)


@pytest.mark.parametrize("tag", ["1.0+build", "a:b", "a/b", " ", "ä"])
def test_refuses_invalid_characters_in_a_tag(api: Api, other: Image, tag: str) -> None:
    refusal = api.refused_put(other, tag)

    assert refusal.message == (
        "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression "
        "'[a-zA-Z0-9-_.]+''"
    )


def test_accepts_tags_of_300_characters(api: Api, other: Image) -> None:
    api.put(other, "t" * 300)

    assert api.digests() == {"t" * 300: other.digest}


def test_refuses_tags_of_301_characters(api: Api, other: Image) -> None:
    refusal = api.refused_put(other, "t" * 301)

    assert refusal.message.endswith("'Member must have length less than or equal to 300'")


def test_an_image_has_at_most_1000_tags(api: Api, other: Image) -> None:
    for number in range(1000):
        api.put(other, f"t{number}")

    refusal = api.refused_put(other, "one-too-many")

    assert refusal.code == "LimitExceededException"
    assert refusal.message.endswith("exceeds the maximum allowed number of tags per image which is '1000'")
    assert len(api.digests()) == 1000


def test_a_repository_has_a_limit_of_images(sandbox: Sandbox, api: Api, image: Image, other: Image) -> None:
    assert image.digest != other.digest
    sandbox.settings = Settings(images_per_repository=4)

    refusal = api.refused_put(changed(other, annotations={"a": "b"}), "1")

    assert refusal.code == "LimitExceededException"
    assert refusal.message.endswith("already has the maximum allowed number of images which is '4'")


def test_refuses_manifests_over_4_mib(api: Api, other: Image) -> None:
    refusal = api.refused_put(changed(other, annotations={"a": "b" * 4_194_304}), "1")

    assert refusal.message.endswith("'Member must have length less than or equal to 4194304'")


def test_a_repository_must_exist(api: Api, other: Image) -> None:
    refusal = api.refused_put(other, "1", repositoryName="nobody/knows")

    assert refusal.code == "RepositoryNotFoundException"
    assert refusal.message == (
        "The repository with name 'nobody/knows' does not exist in the registry with id '123456789012'"
    )


def test_accepts_an_alias_for_the_registry_and_names_it_in_errors(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = Settings(alias="acme")

    assert api.put(other, "1", registryId="acme")["image"]["registryId"] == "123456789012"
    assert "in the registry with id 'acme'" in api.refused_put(other, registryId="acme", repositoryName="no").message


@pytest.mark.parametrize("registry", ["nobody", "210987654321"])
def test_refuses_a_registry_that_does_not_exist(api: Api, other: Image, registry: str) -> None:
    assert api.refused_put(other, "1", registryId=registry).code == "RegistryNotFoundException"


def test_another_account_needs_a_policy(sandbox: Sandbox, other: Image) -> None:
    stranger = make_api(sandbox, aws_access_key_id="210987654321")

    assert stranger.refused_put(other, "1", registryId="123456789012").code == "AccessDeniedException"


def test_a_policy_lets_another_account_push(sandbox: Sandbox, api: Api, other: Image) -> None:
    stranger = make_api(sandbox, aws_access_key_id="210987654321")
    allow = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"}, "Action": "ecr-public:Put*"}
    policy = json.dumps({"Version": "2008-10-17", "Statement": [allow]})
    api.set_repository_policy(repositoryName=REPOSITORY, policyText=policy)

    stranger.put(other, "1", registryId="123456789012")

    assert api.digests() == {"1": other.digest}


@pytest.mark.parametrize(
    "ending", [b"\n", b" \t\n", b'\r\n {"x"'[:2]], ids=["newline", "white space", "carriage return"]
)
def test_keeps_every_byte(sandbox: Sandbox, api: Api, other: Image, ending: bytes) -> None:
    odd = b"  " + changed(other, annotations={"title": "Größe 大"}).replace(b",", b" ,\n\t") + ending

    api.put(odd, "odd")

    assert pull(uri(sandbox), "odd").manifest == odd
    assert api.digests() == {"odd": str(Digest.of(odd))}


def test_stores_schema_1_if_configured(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = replace(Settings(), schema1="accept")
    layer = [*other.blobs][1]
    old = json.dumps({"schemaVersion": 1, "name": "x", "fsLayers": [{"blobSum": layer}], "history": []}).encode()

    api.put(old, "old")

    assert api.digests() == {"old": str(Digest.of(old))}


def test_accepts_a_referrer_without_its_subject(api: Api, other: Image) -> None:
    subject = {"mediaType": ManifestMediaType.OCI_MANIFEST, "digest": MISSING, "size": 7}

    api.put(changed(other, subject=subject), "signature")

    assert "signature" in api.digests()


def test_refuses_a_referrer_without_its_subject_if_configured(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = Settings(subject_must_exist=True)
    subject = {"mediaType": ManifestMediaType.OCI_MANIFEST, "digest": MISSING, "size": 7}

    assert api.refused_put(changed(other, subject=subject), "1").code == "ReferencedImagesNotFoundException"


@pytest.mark.parametrize("key", ["layers", "config", "artifactType"])
def test_stores_or_refuses_media_types_with_parameters_as_configured(
    sandbox: Sandbox, api: Api, other: Image, key: str
) -> None:
    bundle = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    part = json.loads(other.manifest).get(key)
    value = (
        bundle
        if part is None
        else [{**part[0], "mediaType": bundle}]
        if key == "layers"
        else {**part, "mediaType": bundle}
    )
    changed_image = changed(other, **{key: value})

    sandbox.settings = Settings(media_type_parameters="reject")
    refusal = api.refused_put(changed_image, "1")
    api.put(changed(other, annotations={"a": "b;c"}), "2")
    sandbox.settings = Settings()
    api.put(changed_image, "1")

    assert (refusal.code, "'Invalid JSON syntax'" in refusal.message) == ("InvalidParameterException", True)
    assert {"1", "2"} <= api.digests().keys()


def test_the_size_is_that_of_the_layers_or_of_the_largest_child(sandbox: Sandbox, api: Api) -> None:
    big = build_image({"data": bytes(range(256)) * 64}, platforms=("linux/amd64", "linux/arm64"))
    push_image(sandbox, REPOSITORY, big, tags=["big"])

    details = api.describe_images(repositoryName=REPOSITORY)["imageDetails"]

    layer = max(len(blob) for child in big.children for blob in child.blobs.values())
    assert [detail["imageSizeInBytes"] for detail in details] == [layer] * 3


def test_throttles_at_the_configured_rate(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = Settings(put_images_per_second=2)

    api.put(other, "1")
    api.put(other, "2")

    assert api.refused_put(other, "3").code == "ThrottlingException"


def test_a_push_can_be_backdated(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.settings = Settings(push_age_seconds=86_400)
    api.put(changed(other, annotations={"a": "b"}), "1")

    (described,) = api.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}])["imageDetails"]

    age = datetime.now(UTC) - described["imagePushedAt"]
    assert timedelta(days=1) <= age < timedelta(days=1, minutes=5)
