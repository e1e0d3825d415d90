"""Grants on a repository and to the function, in the ways of the CDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App, Environment, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Annotations, Match, Template

from cdk_ecrpublic import IPublicRepository, PublicImageProvider, PublicRepository

from .messages import warnings

OURS, THEIRS = "111111111111", "222222222222"
LOGIN = {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}
PUSH = {
    "ecr-public:BatchCheckLayerAvailability",
    "ecr-public:CompleteLayerUpload",
    "ecr-public:InitiateLayerUpload",
    "ecr-public:PutImage",
    "ecr-public:UploadLayerPart",
}
READ = {"ecr-public:DescribeImageTags", "ecr-public:DescribeImages", "ecr-public:DescribeRepositories"}
ARN = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, f":ecr-public::{OURS}:repository/acme/agent"]]}


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack", env=Environment(account=OURS, region="us-east-1"))


def role(stack: Stack) -> iam.Role:
    return iam.Role(stack, "Pipeline", role_name="pipeline", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))


def granted(stack: Stack) -> list[tuple[set[str], Any]]:
    """Return the actions and the resource of each statement in the stack's only policy."""
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    return [(set(each["Action"]), each["Resource"]) for each in statements]


def repository_policy(stack: Stack) -> list[dict[str, Any]]:
    """Return the statements in the policy of the stack's only repository."""
    (found,) = Template.from_stack(stack).find_resources("AWS::ECR::PublicRepository").values()
    statements: list[dict[str, Any]] = found.get("Properties", {}).get("RepositoryPolicyText", {}).get("Statement", [])
    return statements


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (lambda repository, to: repository.grant_read(to), [(READ, ARN)]),
        (lambda repository, to: repository.grant_pull(to), [(LOGIN, "*")]),
        (lambda repository, to: repository.grant_push(to), [(LOGIN, "*"), (PUSH, ARN)]),
        (lambda repository, to: repository.grant_pull_push(to), [(LOGIN, "*"), (PUSH, ARN)]),
    ],
    ids=["read", "pull", "push", "pull_push"],
)
def test_a_grant_names_the_repository_without_a_region(
    stack: Stack, grant: Callable[[IPublicRepository, iam.IGrantable], iam.Grant], expected: list[Any]
) -> None:
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")

    assert grant(repository, role(stack)).success
    assert granted(stack) == expected


def test_grants_have_the_same_names_as_those_of_private_repositories() -> None:
    private = {name for name in dir(ecr.IRepository) if name.startswith("grant")}

    assert private == {name for name in dir(IPublicRepository) if name.startswith("grant")}


def test_within_an_account_the_repository_needs_no_policy(stack: Stack) -> None:
    PublicRepository(stack, "Agent").grant_push(role(stack))

    assert repository_policy(stack) == []


def test_the_repository_policy_allows_another_account(stack: Stack) -> None:
    repository = PublicRepository(stack, "Agent")

    assert repository.grant_push(iam.AccountPrincipal(THEIRS)).success

    (statement,) = repository_policy(stack)
    assert set(statement["Action"]) == PUSH
    assert THEIRS in str(statement["Principal"])
    assert "Resource" not in statement


def test_a_role_of_another_account_gets_an_identity_and_a_repository_policy(stack: Stack) -> None:
    there = Stack(stack.node.root, "There", env=Environment(account=THEIRS, region="us-east-1"))  # type: ignore[arg-type]
    repository = PublicRepository(stack, "Agent", repository_name="acme/agent")

    repository.grant(role(there), "ecr-public:PutImage")

    assert repository_policy(stack)[0]["Action"] == "ecr-public:PutImage"
    assert "role/pipeline" in str(repository_policy(stack)[0]["Principal"])
    assert len(granted(there)) == 1


def test_a_grant_extends_the_given_policy(stack: Stack) -> None:
    given = iam.PolicyDocument(
        statements=[iam.PolicyStatement(actions=["ecr-public:DescribeImages"], principals=[iam.AnyPrincipal()])]
    )
    PublicRepository(stack, "Agent", repository_policy=given).grant_push(iam.AccountPrincipal(THEIRS))

    assert [len(statement["Action"]) for statement in repository_policy(stack)[1:]] == [len(PUSH)]


def test_an_imported_repository_cannot_allow_another_account_and_says_so(stack: Stack) -> None:
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")

    repository.grant(iam.AccountPrincipal(THEIRS), "ecr-public:PutImage")

    Annotations.from_stack(stack).has_warning(
        "/Stack/Agent", Match.string_like_regexp("ecr-public:PutImage: .*@cdk-ecrpublic:importedRepositoryPolicy")
    )


@pytest.mark.parametrize(
    "imported",
    [
        lambda stack, account: PublicRepository.from_repository_arn(
            stack, "Agent", f"arn:aws:ecr-public::{account}:repository/acme/agent"
        ),
        lambda stack, account: PublicRepository.from_repository_name(stack, "Agent", "acme/agent", registry_id=account),
    ],
    ids=["ARN", "name"],
)
def test_a_grant_on_a_repository_of_another_account_says_what_else_is_necessary(
    stack: Stack, imported: Callable[[Stack, str], IPublicRepository]
) -> None:
    environment = Environment(account=OURS, region="eu-west-1")
    own, foreign = (Stack(stack.node.root, name, env=environment) for name in ("Own", "Foreign"))  # type: ignore[arg-type]

    imported(own, OURS).grant_push(role(own))
    imported(foreign, THEIRS).grant_push(role(foreign))

    assert (len(warnings(own)), len(warnings(foreign))) == (0, 1)
    assert f":{OURS}:repository/acme/agent" in str(granted(own)[1])
    assert f":{THEIRS}:repository/acme/agent" in str(granted(foreign)[1])


def test_a_repository_has_the_environment_of_its_account(stack: Stack) -> None:
    repository = PublicRepository(stack, "Agent")

    repository.apply_removal_policy(RemovalPolicy.DESTROY)

    assert repository.env.account == OURS
    Template.from_stack(stack).has_resource("AWS::ECR::PublicRepository", {"DeletionPolicy": "Delete"})


def test_the_function_can_be_a_grantee(stack: Stack) -> None:
    provider = PublicImageProvider(stack, "Provider")

    assert dynamodb.Table.from_table_name(stack, "Table", "t").grant_read_data(provider).success
    assert kms.Key(stack, "Key").grant_decrypt(provider).success
    assert PublicRepository.from_repository_name(stack, "Agent", "acme/agent").grant_push(provider).success

    actions = set().union(
        *(
            {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
            for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        )
    )
    assert {"dynamodb:GetItem", "kms:Decrypt", "ecr-public:PutImage"} <= actions
