"""The managed signing of private ECR: the status of an image, and waiting for it."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cdk_ecrpublic.sandbox.images import Image, push
from lambda_handler.errors import RuleViolationError
from tests.copies.conftest import two_platforms

from .conftest import Function

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@dataclass(frozen=True)
class Private:
    """An image in private ECR, and the signing profile of its registry."""

    publisher: Function
    image: Image
    name: str
    profile: str

    @property
    def source(self) -> dict[str, object]:
        return {"Image": {"Reference": f"{HOST}/{self.name}@{self.image.digest}"}}

    def configure(self, *profiles: str, name: str = "*") -> None:
        rules = [
            {"signingProfileArn": arn, "repositoryFilters": [{"filter": name, "filterType": "WILDCARD_MATCH"}]}
            for arn in profiles
        ]
        self.publisher.sandbox.client("ecr").put_signing_configuration(signingConfiguration={"rules": rules})

    def publish(self, **more: str) -> None:
        required = {"AllOf": [{"SigningProfileArn": self.profile}], **more}
        self.publisher.publish(self.source, "1", RequiredSignatures=required)

    def refusal(self) -> str:
        with pytest.raises(RuleViolationError) as failure:
            self.publish()
        assert self.publisher.is_empty()
        return failure.value.message


@pytest.fixture
def private(publisher: Function) -> Iterator[Private]:
    client, name = publisher.sandbox.client("ecr"), f"private/{uuid.uuid4().hex[:8]}"
    client.create_repository(repositoryName=name)
    data = client.get_authorization_token()["authorizationData"][0]
    image = two_platforms()
    login = base64.b64decode(data["authorizationToken"]).decode()
    push(f"{publisher.sandbox.registry_host}/{name}", image, ["1"], login=login)
    profile = publisher.sandbox.client("signer").put_signing_profile(
        profileName=f"managed_{uuid.uuid4().hex[:8]}", platformId="Notation-OCI-SHA384-ECDSA"
    )
    yield Private(publisher, image, name, profile["arn"])
    client.put_signing_configuration(signingConfiguration={"rules": []})


def test_waits_for_a_signature_in_progress(private: Private) -> None:
    private.configure(private.profile)

    private.publish(EachPlatform="true")

    assert private.publisher.pull("1") == private.image
    # The index and two images are all in progress at the first request.
    assert private.publisher.clock.slept == [5.0] * 3


def test_waits_at_most_half_of_the_time_for_a_signature(private: Private) -> None:
    private.configure(private.profile)
    private.publisher.seconds = 9.0

    assert private.refusal() == (
        f"the image {private.image.digest} is not signed in {HOST}/{private.name} with {private.profile}: signing is "
        "still in progress; deploy when it is complete (aws ecr describe-image-signing-status): a deployment waits at "
        "most half of its time for signatures, and copies in the other half"
    )
    assert private.publisher.clock.slept == []


def test_refuses_an_image_that_no_rule_signs(private: Private) -> None:
    private.configure(private.profile, name="other/*")

    assert private.refusal() == (
        f"the image {private.image.digest} is not signed in {HOST}/{private.name} with {private.profile}: "
        "no signing rule of the registry signs it with this profile"
    )


def test_refuses_an_image_that_another_profile_signs(private: Private) -> None:
    private.configure(private.profile.replace("managed_", "other_"))

    assert "no signing rule of the registry signs it with this profile" in private.refusal()


def test_refuses_a_failed_signature(private: Private) -> None:
    absent = private.profile + "x"
    private.configure(absent)

    with pytest.raises(RuleViolationError, match=r"signing failed: ResourceNotFoundException: the signing profile"):
        private.publisher.publish(private.source, "1", RequiredSignatures={"AllOf": [{"SigningProfileArn": absent}]})


def test_refuses_an_image_of_another_registry(private: Private) -> None:
    private.configure(private.profile)
    image = private.publisher.push(two_platforms(), "v1")

    with pytest.raises(RuleViolationError, match=f"the image {image.digest} is not in private ECR, which signs"):
        private.publisher.copy("v1", "1", RequiredSignatures={"AllOf": [{"SigningProfileArn": private.profile}]})
