"""The protocol of the control-plane API, tested with a plain HTTP client."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3
from botocore.loaders import Loader

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.api.application import OPERATIONS
from cdk_ecrpublic.sandbox.operations import API_OPERATIONS

from .conftest import Api, make_api

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=123456789012/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
)


def post(
    sandbox: Sandbox,
    operation: str = "DescribeRegistries",
    body: bytes = b"{}",
    *,
    prefix: str = "SpencerFrontendService",
    service: str = "ecr-public",
    region: str = "us-east-1",
) -> tuple[int, dict[str, Any]]:
    authorization = {"Authorization": SIGNED.format(region=region, service=service)} if service else {}
    headers = {"X-Amz-Target": f"{prefix}.{operation}", "Content-Type": "application/x-amz-json-1.1", **authorization}
    answer = urllib3.request("POST", f"{sandbox.url}/", body=body, headers=headers)
    return answer.status, answer.json()


def test_answers_every_operation_of_botocores_model() -> None:
    model = Loader().load_service_model("ecr-public", "service-2")

    assert sorted(OPERATIONS) == sorted(API_OPERATIONS) == sorted(model["operations"])


def test_serves_requests_that_are_signed_for_ecr_public(sandbox: Sandbox) -> None:
    status, answer = post(sandbox)

    assert (status, answer["registries"][0]["registryId"]) == (200, "123456789012")


def test_refuses_an_operation_that_ecr_public_does_not_have(sandbox: Sandbox) -> None:
    assert post(sandbox, "BatchGetImage")[1]["__type"] == "UnknownOperationException"


def test_refuses_a_request_for_private_ecr_that_is_signed_for_ecr_public(sandbox: Sandbox) -> None:
    status, answer = post(sandbox, "PutImage", prefix="AmazonEC2ContainerRegistry_V20150921")

    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_refuses_a_signature_for_private_ecr(sandbox: Sandbox) -> None:
    status, answer = post(sandbox, service="ecr")

    assert (status, answer["__type"]) == (400, "InvalidSignatureException")


def test_refuses_an_unsigned_request(sandbox: Sandbox) -> None:
    assert post(sandbox, service="")[1]["__type"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("region", ["us-west-2", "eu-west-1"])
@pytest.mark.parametrize("operation", ["get_authorization_token", "describe_registries"])
def test_refuses_all_other_regions(sandbox: Sandbox, operation: str, region: str) -> None:
    refusal = make_api(sandbox, region_name=region).refusal(operation)

    name = "".join(word.title() for word in operation.split("_"))
    assert (refusal.code, refusal.message) == (
        "UnsupportedCommandException",
        f"{name} command is only supported in us-east-1.",
    )


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("DescribeRegistries", b"{"),
        ("DescribeRegistries", b"[]"),
        ("DescribeRegistries", b'{"unknown": 1}'),
        ("DescribeRegistries", b'{"maxResults": "many"}'),
        ("DeleteRepository", b'{"repositoryName": "acme/agent", "force": "yes"}'),
        ("DescribeRepositories", b'{"repositoryNames": "acme/agent"}'),
        ("PutImage", b'{"repositoryName": 7, "imageManifest": "{}"}'),
        ("BatchDeleteImage", b'{"repositoryName": "acme/agent", "imageIds": ["latest"]}'),
    ],
)
def test_refuses_malformed_requests(sandbox: Sandbox, operation: str, body: bytes) -> None:
    status, answer = post(sandbox, operation, body)

    assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    ("operation", "body", "member"),
    [
        ("CreateRepository", {}, "repositoryName"),
        ("PutImage", {"repositoryName": "acme/agent"}, "imageManifest"),
        ("PutImage", {"repositoryName": "acme/agent", "imageManifest": ""}, "imageManifest"),
        ("BatchDeleteImage", {"repositoryName": "acme/agent", "imageIds": []}, "imageIds"),
        ("DescribeRegistries", {"maxResults": 0}, "maxResults"),
    ],
)
def test_validates_parameters_as_botocore_does(sandbox: Sandbox, operation: str, body: object, member: str) -> None:
    status, answer = post(sandbox, operation, json.dumps(body).encode())

    assert (status, answer["__type"]) == (400, "InvalidParameterException")
    assert answer["message"].startswith(f"Invalid parameter at '{member}' failed to satisfy constraint: ")


def test_errors_and_responses_have_a_request_id(api: Api) -> None:
    assert api.describe_registries()["ResponseMetadata"]["RequestId"]
    assert api.refusal("describe_images", repositoryName="no/such").members["ResponseMetadata"]["RequestId"]


def test_says_that_other_services_are_not_served(sandbox: Sandbox) -> None:
    answer = urllib3.request("GET", f"{sandbox.url}/a-bucket/a-key")

    assert answer.status == 501
    assert "nothing serves GET /a-bucket/a-key" in answer.json()["message"]
