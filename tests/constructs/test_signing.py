"""Signatures as an app declares them: properties, grants, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Match, Template

from cdk_ecrpublic import (
    ImageSource,
    IReleaseRule,
    ISigning,
    PublicImage,
    PublicRepository,
    ReleaseRule,
    RequiredSignature,
    Signing,
)

DIGEST = f"sha256:{'a' * 64}"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
PRIVATE = "arn:aws:ecr:us-east-1:123456789012:repository/internal"


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


@pytest.fixture
def key(stack: Stack) -> kms.IKey:
    return kms.Key.from_key_arn(stack, "Key", KEY)


def image(stack: Stack, *rules: IReleaseRule, sign_with: ISigning | None = None, source: Any = None) -> None:
    PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Agent", "acme/agent"),
        source=source or ImageSource.digest(DIGEST),
        tags=["1"],
        rules=rules,
        sign_with=sign_with,
    )


def private(stack: Stack) -> Any:
    repository = ecr.Repository.from_repository_arn(stack, "Private", PRIVATE)
    return ImageSource.ecr(repository, digest=DIGEST)


def properties(stack: Stack) -> dict[str, Any]:
    (resource,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return cast("dict[str, Any]", resource["Properties"])


def granted(stack: Stack, resource: str) -> list[str]:
    """Return the actions that the role may do with one resource."""
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    statements = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    found = [each["Action"] for each in statements if resource in (each["Resource"], *each["Resource"])]
    return sorted({action for each in found for action in ([each] if isinstance(each, str) else each)})


def test_signing_renders_its_property_and_grants_only_the_key(stack: Stack, key: kms.IKey) -> None:
    image(stack, sign_with=Signing.kms(key))

    assert properties(stack)["SignWith"] == {"KmsKeyArn": KEY, "As": "Referrer"}
    assert granted(stack, KEY) == ["kms:GetPublicKey", "kms:Sign", "kms:Verify"]


def test_renders_signing_under_a_tag_and_of_children(stack: Stack, key: kms.IKey) -> None:
    image(stack, sign_with=Signing.kms(key, as_tag=True, children=True))

    assert properties(stack)["SignWith"] == {"KmsKeyArn": KEY, "As": "Tag", "Children": True}


def test_renders_and_grants_a_signing_profile(stack: Stack) -> None:
    image(stack, sign_with=Signing.signer_profile(PROFILE, children=True))

    assert properties(stack)["SignWith"] == {"SigningProfileArn": PROFILE, "Children": True}
    assert granted(stack, PROFILE) == ["signer:SignPayload"]


def test_accepts_a_key_of_the_stack(stack: Stack) -> None:
    key = kms.Key(stack, "Key", key_spec=kms.KeySpec.ECC_NIST_P256, key_usage=kms.KeyUsage.SIGN_VERIFY)

    image(stack, sign_with=Signing.kms(key))

    (logical_id,) = Template.from_stack(stack).find_resources("AWS::KMS::Key")
    assert properties(stack)["SignWith"]["KmsKeyArn"] == {"Fn::GetAtt": [logical_id, "Arn"]}


def test_a_required_signature_does_not_grant_signing(stack: Stack, key: kms.IKey) -> None:
    required = RequiredSignature.kms(key, repository="ghcr.io/acme/agent")

    image(stack, ReleaseRule.required_signatures([required]))

    assert properties(stack)["RequiredSignatures"] == {
        "AllOf": [{"KmsKeyArn": KEY, "Repository": "ghcr.io/acme/agent"}]
    }
    assert granted(stack, KEY) == ["kms:GetPublicKey", "kms:Verify"]


def test_renders_any_of_several_keys_for_each_platform_as_a_warning(stack: Stack, key: kms.IKey) -> None:
    required = [RequiredSignature.kms(key), RequiredSignature.ecr_managed(PROFILE)]

    image(
        stack,
        ReleaseRule.required_signatures(required, any_of=True, each_platform=True, warn_only=True),
        source=private(stack),
    )

    assert properties(stack)["RequiredSignatures"] == {
        "AnyOf": [{"KmsKeyArn": KEY}, {"SigningProfileArn": PROFILE}],
        "EachPlatform": True,
    }
    assert properties(stack)["WarnOnly"] == ["RequiredSignatures"]
    assert "ecr:DescribeImageSigningStatus" in granted(stack, PRIVATE)


def test_the_parts_of_an_index_can_come_from_private_ecr(stack: Stack) -> None:
    source = ImageSource.index({"linux/amd64": private(stack)})

    image(stack, ReleaseRule.required_signatures([RequiredSignature.ecr_managed(PROFILE)]), source=source)

    assert "ecr:DescribeImageSigningStatus" in granted(stack, PRIVATE)


def test_an_image_without_signatures_renders_and_grants_nothing(stack: Stack) -> None:
    image(stack)

    assert not {"SignWith", "RequiredSignatures"} & properties(stack).keys()
    template = Template.from_stack(stack).to_json()
    assert "kms:" not in str(template)
    Template.from_stack(stack).has_resource_properties("Custom::ECRPublicImage", {"SignWith": Match.absent()})


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda stack: image(stack, ReleaseRule.required_signatures([RequiredSignature.ecr_managed(PROFILE)])),
            "RequiredSignature.ecr_managed: the image does not come from private ECR",
        ),
        (
            lambda stack: Signing.kms(kms.Alias.from_alias_name(stack, "Alias", "alias/release")),
            "is an alias, on which IAM grants nothing",
        ),
        (lambda _: Signing.kms(cast("Any", KEY)), "Signing.kms: key: .* is a str; expected a key of AWS KMS"),
        (lambda _: Signing.signer_profile(f"{PROFILE}/1"), "is not the ARN of a signing profile"),
        (lambda stack: image(stack, sign_with=cast("Any", "key")), "Stack/Release: sign_with: 'key' is a str"),
        (lambda _: ReleaseRule.required_signatures([]), "has no signatures; expected at least one"),
        (lambda _: ReleaseRule.required_signatures(cast("Any", [KEY])), r"required_signatures\[0\]: .* is a str"),
        (lambda _: RequiredSignature.ecr_managed("release"), "'release' is not the ARN of a signing profile"),
        (
            lambda stack: RequiredSignature.kms(kms.Key.from_key_arn(stack, "Key", KEY), repository="agent"),
            "RequiredSignature.kms: repository: 'agent' is not a repository",
        ),
    ],
)
def test_an_error_names_the_mistake(stack: Stack, declare: Callable[[Stack], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declare(stack)
