"""Uploading layers through the API."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Sandbox, Settings

from .conftest import REPOSITORY, Api

MIB = 1024 * 1024
MISSING = "sha256:" + "0" * 64
UNKNOWN_UPLOAD = "00000000-0000-0000-0000-000000000000"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Uploading:
    """One upload."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.names = {"repositoryName": REPOSITORY}
        started = api.initiate_layer_upload(**self.names)
        self.names["uploadId"] = started["uploadId"]
        self.part_size = started["partSize"]
        self.sent = 0

    def part(self, content: bytes, first: int | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.upload_layer_part(**self.arguments(content, first))
        self.sent += len(content)
        return answer

    def arguments(self, content: bytes, first: int | None = None, last: int | None = None) -> dict[str, Any]:
        start = self.sent if first is None else first
        end = start + len(content) - 1 if last is None else last
        return {**self.names, "partFirstByte": start, "partLastByte": end, "layerPartBlob": content}

    def complete(self, *digests: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.complete_layer_upload(**self.names, layerDigests=list(digests))
        return answer

    def refusal(self, *digests: str) -> tuple[str, str]:
        refusal = self.api.refusal("complete_layer_upload", **self.names, layerDigests=list(digests))
        return refusal.code, refusal.message


@pytest.fixture
def upload(api: Api) -> Uploading:
    return Uploading(api)


def available(api: Api, *digests: str) -> list[str]:
    layers = api.batch_check_layer_availability(repositoryName=REPOSITORY, layerDigests=list(digests))["layers"]
    return [layer["layerAvailability"] for layer in layers]


def test_uploads_a_layer_in_one_part(api: Api, upload: Uploading) -> None:
    assert upload.part(b"layer")["lastByteReceived"] == 4
    assert upload.complete(digest_of(b"layer"))["layerDigest"] == digest_of(b"layer")
    assert available(api, digest_of(b"layer"), MISSING) == ["AVAILABLE", "UNAVAILABLE"]


def test_uploads_a_layer_in_three_parts(api: Api, upload: Uploading) -> None:
    parts = [b"a" * 5 * MIB, b"b" * 5 * MIB, b"c"]
    for part in parts:
        upload.part(part)

    upload.complete(MISSING, digest_of(b"".join(parts)))

    layers = api.batch_check_layer_availability(repositoryName=REPOSITORY, layerDigests=[digest_of(b"".join(parts))])
    assert layers["layers"][0]["layerSize"] == 10 * MIB + 1


def test_suggests_parts_of_10_mib(upload: Uploading) -> None:
    assert upload.part_size == 10_485_760


def test_refuses_a_gap_between_parts(api: Api, upload: Uploading) -> None:
    upload.part(b"12345")

    refusal = api.refusal("upload_layer_part", **upload.arguments(b"x", first=6))

    assert refusal.code == "InvalidLayerPartException"
    assert refusal.members["lastValidByteReceived"] == 4
    assert refusal.members["uploadId"] == upload.names["uploadId"]
    assert refusal.members["repositoryName"] == REPOSITORY


def test_refuses_a_part_that_was_sent_already(api: Api, upload: Uploading) -> None:
    upload.part(b"12345")

    assert api.refusal("upload_layer_part", **upload.arguments(b"12345", first=0)).message == (
        "First byte of the layer part is 0 instead of 5"
    )


def test_refuses_a_part_of_the_wrong_size(api: Api, upload: Uploading) -> None:
    assert api.refusal("upload_layer_part", **upload.arguments(b"12345", last=5)).code == "InvalidLayerPartException"


def test_refuses_a_small_part_that_is_not_the_last(upload: Uploading) -> None:
    upload.part(b"1")
    upload.part(b"2")

    assert upload.refusal(digest_of(b"12")) == (
        "LayerPartTooSmallException",
        "All layer parts except the last part should be at least 5MB",
    )


def test_refuses_parts_over_20_mib(api: Api, upload: Uploading) -> None:
    refusal = api.refusal("upload_layer_part", **upload.arguments(b"x" * (20 * MIB + 1)))

    assert refusal.code == "InvalidParameterException"


def test_refuses_parts_over_10_mib_if_configured(sandbox: Sandbox, api: Api, upload: Uploading) -> None:
    upload.part(b"x" * 11 * MIB)
    sandbox.settings = Settings(strict_part_size=True)

    assert api.refusal("upload_layer_part", **upload.arguments(b"x" * 11 * MIB)).code == "InvalidLayerPartException"


def test_refuses_more_than_1000_parts(sandbox: Sandbox, api: Api, upload: Uploading) -> None:
    sandbox.settings = Settings(min_part_bytes=1)
    for _ in range(1000):
        upload.part(b"x")

    assert api.refusal("upload_layer_part", **upload.arguments(b"x")).code == "LimitExceededException"
    assert upload.complete(digest_of(b"x" * 1000))["layerDigest"] == digest_of(b"x" * 1000)


def test_refuses_the_wrong_digest_of_a_layer(api: Api, upload: Uploading) -> None:
    upload.part(b"layer")

    assert upload.refusal(MISSING) == (
        "InvalidLayerException",
        "None of the provided layer digests match the calculated layer digest",
    )
    assert available(api, digest_of(b"layer")) == ["UNAVAILABLE"]


def test_refuses_a_layer_without_bytes(upload: Uploading) -> None:
    code, message = upload.refusal(digest_of(b""))

    assert code == "EmptyUploadException"
    assert message.endswith("cannot be completed because it does not have any parts")


def test_refuses_a_layer_that_already_exists(api: Api, upload: Uploading) -> None:
    upload.part(b"layer")
    upload.complete(digest_of(b"layer"))
    again = Uploading(api)
    again.part(b"layer")

    assert again.refusal(digest_of(b"layer"))[0] == "LayerAlreadyExistsException"


def test_refuses_an_upload_that_is_finished(api: Api, upload: Uploading) -> None:
    upload.part(b"layer")
    upload.complete(digest_of(b"layer"))

    assert upload.refusal(digest_of(b"layer"))[0] == "UploadNotFoundException"
    assert api.refusal("upload_layer_part", **upload.arguments(b"x")).code == "UploadNotFoundException"


def test_refuses_an_upload_that_was_never_started(api: Api, upload: Uploading) -> None:
    upload.names["uploadId"] = UNKNOWN_UPLOAD

    assert api.refusal("upload_layer_part", **upload.arguments(b"x")).code == "UploadNotFoundException"


def test_refuses_an_invalid_upload_id(api: Api, upload: Uploading) -> None:
    upload.names["uploadId"] = "none"

    assert api.refusal("upload_layer_part", **upload.arguments(b"x")).code == "InvalidParameterException"


def test_a_layer_belongs_to_its_repository(api: Api, upload: Uploading) -> None:
    api.create_repository(repositoryName="other")
    upload.part(b"layer")
    upload.complete(digest_of(b"layer"))

    answer = api.batch_check_layer_availability(repositoryName="other", layerDigests=[digest_of(b"layer")])

    assert answer["layers"][0]["layerAvailability"] == "UNAVAILABLE"


def test_lists_the_invalid_layer_digests(api: Api) -> None:
    answer = api.batch_check_layer_availability(repositoryName=REPOSITORY, layerDigests=["", "no digest", MISSING])

    assert [failure["failureCode"] for failure in answer["failures"]] == ["MissingLayerDigest", "InvalidLayerDigest"]
    assert [layer["layerDigest"] for layer in answer["layers"]] == [MISSING]


def test_refuses_to_check_more_than_100_layers_at_once(api: Api) -> None:
    refusal = api.refusal("batch_check_layer_availability", repositoryName=REPOSITORY, layerDigests=[MISSING] * 101)

    assert refusal.code == "InvalidParameterException"


def test_throttles_uploads_at_the_configured_rates(sandbox: Sandbox, api: Api, upload: Uploading) -> None:
    upload.part(b"layer")
    other = Uploading(api)
    other.part(b"other")
    sandbox.settings = Settings(initiate_layer_uploads_per_second=0.01, complete_layer_uploads_per_second=0.01)

    api.initiate_layer_upload(repositoryName=REPOSITORY)
    upload.complete(digest_of(b"layer"))

    assert api.refusal("initiate_layer_upload", repositoryName=REPOSITORY).code == "ThrottlingException"
    assert other.refusal(digest_of(b"other"))[0] == "ThrottlingException"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("initiate_layer_upload", {}),
        ("batch_check_layer_availability", {"layerDigests": [MISSING]}),
        ("complete_layer_upload", {"uploadId": UNKNOWN_UPLOAD, "layerDigests": [MISSING]}),
        (
            "upload_layer_part",
            {"uploadId": UNKNOWN_UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"},
        ),
        ("batch_delete_image", {"imageIds": [{"imageTag": "1"}]}),
    ],
)
class TestOperationsForOthersToo:
    """Operations that accept an alias and that a policy can allow for other accounts."""

    def test_refuses_a_repository_that_does_not_exist(self, api: Api, operation: str, arguments: Any) -> None:
        assert api.refusal(operation, repositoryName="no/such", **arguments).code == "RepositoryNotFoundException"

    def test_refuses_a_registry_that_does_not_exist(self, api: Api, operation: str, arguments: Any) -> None:
        refusal = api.refusal(operation, registryId="nobody", repositoryName=REPOSITORY, **arguments)

        assert refusal.code == "RegistryNotFoundException"

    def test_finds_the_registry_by_its_alias(self, sandbox: Sandbox, api: Api, operation: str, arguments: Any) -> None:
        sandbox.settings = Settings(alias="acme")

        refusal = api.refusal(operation, registryId="acme", repositoryName="no/such", **arguments)

        assert "in the registry with id 'acme'" in refusal.message


def test_a_layer_larger_than_the_quota_cannot_be_completed(sandbox: Sandbox, upload: Uploading) -> None:
    sandbox.settings = Settings(layer_max_bytes=10)
    upload.part(b"x" * 11)

    code, message = upload.refusal(digest_of(b"x" * 11))

    assert code == "LimitExceededException"
    assert "'10' bytes" in message
