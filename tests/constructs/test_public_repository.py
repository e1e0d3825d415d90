"""Repositories: created and imported."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aws_cdk import App, CfnParameter, Environment, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository

DIGEST = "sha256:" + "a" * 64
ARN = "arn:aws:ecr-public::123456789012:repository/acme/agent"


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def test_a_repository_is_created_with_its_catalog_data_and_outlives_its_stack(stack: Stack) -> None:
    PublicRepository(
        stack,
        "Agent",
        repository_name="acme/agent",
        description="An agent",
        about_text="# About",
        architectures=["ARM 64", "x86-64"],
        operating_systems=["Linux"],
    )

    Template.from_stack(stack).has_resource(
        "AWS::ECR::PublicRepository",
        {
            "Properties": {
                "RepositoryName": "acme/agent",
                "RepositoryCatalogData": {
                    "RepositoryDescription": "An agent",
                    "AboutText": "# About",
                    "Architectures": ["ARM 64", "x86-64"],
                    "OperatingSystems": ["Linux"],
                },
            },
            "DeletionPolicy": "Retain",
        },
    )


def test_renders_only_the_given_options(stack: Stack) -> None:
    PublicRepository(stack, "Agent", removal_policy=RemovalPolicy.DESTROY)

    (repository,) = Template.from_stack(stack).find_resources("AWS::ECR::PublicRepository").values()
    assert "Properties" not in repository
    assert repository["DeletionPolicy"] == "Delete"


def test_an_image_waits_for_the_repository_of_its_stack(stack: Stack) -> None:
    repository = PublicRepository(stack, "Agent", repository_name="acme/agent")
    PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST))

    (image,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    logical_id = next(iter(Template.from_stack(stack).find_resources("AWS::ECR::PublicRepository")))
    assert image["Properties"]["RepositoryName"] == {"Ref": logical_id}


def test_accepts_an_l1_construct(stack: Stack) -> None:
    repository = PublicRepository.from_cfn_public_repository(ecr.CfnPublicRepository(stack, "Agent"))

    PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST), tags=["1"])

    Template.from_stack(stack).has_resource_properties("Custom::ECRPublicImage", {"RepositoryName": {"Ref": "Agent"}})


def test_an_arn_of_the_same_account_needs_no_registry_id() -> None:
    stack = Stack(App(), "Stack", env=Environment(account="123456789012", region="us-east-1"))

    repository = PublicRepository.from_repository_arn(stack, "Agent", ARN)

    assert (repository.repository_name, repository.registry_id) == ("acme/agent", None)


def test_a_repository_of_another_account_is_named_by_the_alias_of_its_registry(stack: Stack) -> None:
    repository = PublicRepository.from_repository_arn(stack, "Agent", ARN, registry_alias="acme")
    PublicImage(stack, "Release", repository=repository, source=ImageSource.manifest(MANIFEST))

    template = Template.from_stack(stack)
    template.has_resource_properties("Custom::ECRPublicImage", {"RegistryId": "acme", "RepositoryName": "acme/agent"})
    policy = template.find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    resources = {str(statement["Resource"]) for statement in policy["Properties"]["PolicyDocument"]["Statement"]}
    assert ARN in resources


def test_can_grant_pushing(stack: Stack) -> None:
    user = iam.User(stack, "Pipeline")
    repository = PublicRepository(stack, "Agent")

    repository.grant_push(user)

    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    login, push = policy["Properties"]["PolicyDocument"]["Statement"]
    assert login["Resource"] == "*"
    assert push["Resource"] == {"Fn::GetAtt": [next(iter(_ids(stack))), "Arn"]}
    assert "ecr-public:PutImage" in push["Action"]


def _ids(stack: Stack) -> list[str]:
    return list(Template.from_stack(stack).find_resources("AWS::ECR::PublicRepository"))


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (
            lambda s: PublicRepository(s, "R", repository_name="Acme"),
            "Stack/R: repository_name: 'Acme' is not the name of an ECR Public repository",
        ),
        (lambda s: PublicRepository(s, "R", description="x" * 1025), "Stack/R: description: has 1025 characters"),
        (lambda s: PublicRepository(s, "R", about_text="x" * 10241), "Stack/R: about_text: has 10241 characters"),
        (lambda s: PublicRepository(s, "R", architectures=["arm64"]), "Stack/R: architectures: 'arm64' is unknown"),
        (
            lambda s: PublicRepository.from_repository_name(s, "R", "public.ecr.aws/acme/agent"),
            "(without registry host and alias)",
        ),
        (
            lambda s: PublicRepository.from_repository_name(s, "R", "acme/agent", registry_id="no alias"),
            "Stack/R: registry_id: 'no alias' is not a registry",
        ),
        (
            lambda s: PublicRepository.from_repository_arn(s, "R", ARN, registry_alias="no alias"),
            "Stack/R: registry_alias: 'no alias' is not a registry",
        ),
        (
            lambda s: PublicRepository.from_repository_arn(s, "R", f"{ARN}/Agent"),
            "Stack/R: repository_arn: 'acme/agent/Agent' is not the name of an ECR Public repository",
        ),
        (
            lambda s: PublicRepository(s, "R", usage_text="x" * 10241),
            "Stack/R: usage_text: has 10241 characters; at most 10240 are allowed",
        ),
        (
            lambda s: PublicRepository(s, "R", operating_systems=["BeOS"]),
            "Stack/R: operating_systems: 'BeOS' is unknown; allowed: 'Linux', 'Windows'",
        ),
    ],
)
def test_refuses_with_the_path_the_value_and_what_is_allowed(
    stack: Stack, declare: Callable[[Stack], object], said: str
) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(stack)

    assert said in str(failure.value)


@pytest.mark.parametrize(
    "arn",
    [
        "acme/agent",
        "arn:aws:ecr:us-east-1:123456789012:repository/acme/agent",
        "arn:aws:ecr-public:us-east-1:123456789012:repository/acme/agent",
        "arn:aws:ecr-public:::repository/acme/agent",
        "arn:aws:ecr-public::12:repository/acme/agent",
        "arn:aws-cn:ecr-public::123456789012:repository/acme/agent",
        "arn:aws:ecr-public::123456789012:repository",
        "arn:aws:ecr-public::123456789012:registry/acme",
    ],
)
def test_refuses_other_arns(stack: Stack, arn: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        PublicRepository.from_repository_arn(stack, "R", arn)

    assert str(failure.value) == (
        f"Stack/R: repository_arn: {arn!r} is not the ARN of a public repository; "
        "expected arn:aws:ecr-public::<account>:repository/<name>"
    )


def test_an_arn_that_is_a_token_keeps_the_whole_name(stack: Stack) -> None:
    """A token cannot be split at a slash within the name itself."""
    arn = CfnParameter(stack, "Arn").value_as_string

    repository = PublicRepository.from_repository_arn(stack, "Agent", arn)
    PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST))

    (rendered,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    assert rendered["Properties"]["RepositoryName"] == {
        "Fn::Select": [1, {"Fn::Split": [":repository/", {"Ref": "Arn"}]}]
    }
    assert rendered["Properties"]["RegistryId"] == {"Fn::Select": [4, {"Fn::Split": [":", {"Ref": "Arn"}]}]}


def test_refuses_to_create_a_repository_outside_us_east_1() -> None:
    stack = Stack(App(), "Stack", env=Environment(account="123456789012", region="eu-west-1"))

    with pytest.raises(ValueError, match="in us-east-1 only, and this stack is in 'eu-west-1'"):
        PublicRepository(stack, "Agent")


MANIFEST = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
