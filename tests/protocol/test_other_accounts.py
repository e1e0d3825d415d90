"""Publishing to a repository of another account whose policy allows it."""

from __future__ import annotations

import base64
import json

import pytest

from cdk_ecrpublic.sandbox.images import build_image, push, tags_of

from .cloudformation import CloudFormation
from .conftest import Registry

OTHER = "222222222222"
ACTIONS = ["PutImage", "BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"]


@pytest.fixture
def uri(registry: Registry) -> str:
    """``theirs/shared``, with an image."""
    client = registry.sandbox.client("ecr-public", aws_access_key_id=OTHER)
    uri: str = client.create_repository(repositoryName="theirs/shared")["repository"]["repositoryUri"]
    policy = {
        "Version": "2008-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": [f"ecr-public:{action}" for action in ACTIONS],
            }
        ],
    }
    client.set_repository_policy(repositoryName="theirs/shared", policyText=json.dumps(policy))
    login = client.get_authorization_token()["authorizationData"]["authorizationToken"]
    push(uri, build_image({"a": b"1"}), ["build"], login=base64.b64decode(login).decode())
    return uri


def test_reads_their_repository_over_http_and_writes_with_the_api(
    cloudformation: CloudFormation, registry: Registry, uri: str
) -> None:
    alias = uri.split("/")[1]
    properties = {"RegistryId": alias, "RepositoryName": "theirs/shared", "Source": {"Tag": "build"}}

    answer = cloudformation.create({**properties, "ImageTags": ["1", "latest"]})
    assert answer.succeeded, answer.reason
    registry.sandbox.requests.clear()
    again = cloudformation.create({**properties, "ImageTags": ["1", "latest"]})

    assert answer.physical_id == again.physical_id == f"ecr-public:{alias}/theirs/shared:Release"
    assert tags_of(uri)["latest"] == tags_of(uri)["build"] == answer.data["ImageDigest"]
    assert registry.sandbox.requests.count("PutImage") == 2, "the two tags, but no content"


def test_their_account_id_alone_is_not_enough(cloudformation: CloudFormation, uri: str) -> None:
    assert uri

    answer = cloudformation.create({"RegistryId": OTHER, "RepositoryName": "theirs/shared", "Source": {"Tag": "build"}})

    assert "RepositoryNotFoundException" in answer.reason


def test_a_missing_image_gives_the_same_error_as_in_our_own_repository(
    cloudformation: CloudFormation, uri: str
) -> None:
    properties = {"RegistryId": uri.split("/")[1], "RepositoryName": "theirs/shared", "Source": {"Tag": "none"}}

    answer = cloudformation.create(properties)

    assert "the source tag 'none' does not exist in repository 'theirs/shared'" in answer.reason
