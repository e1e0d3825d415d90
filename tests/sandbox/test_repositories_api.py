"""Registries and repositories, through boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Sandbox, Settings

from .conftest import REPOSITORY, Api, make_api

ACCOUNT = "123456789012"
ARN = f"arn:aws:ecr-public::{ACCOUNT}:repository/{REPOSITORY}"
STATEMENT = {"Effect": "Allow", "Principal": "*", "Action": "ecr-public:PutImage"}
POLICY = json.dumps({"Version": "2008-10-17", "Statement": [STATEMENT]})


def test_a_repository_has_an_arn_without_region_and_a_uri_with_alias(sandbox: Sandbox, api: Api) -> None:
    repository = api.describe_repositories()["repositories"][0]
    registry = api.describe_registries()["registries"][0]

    alias = registry["aliases"][0]["name"]
    assert repository["repositoryArn"] == ARN
    assert repository["registryId"] == ACCOUNT
    assert repository["repositoryUri"] == f"{sandbox.registry_host}/{alias}/{REPOSITORY}"


def test_the_first_repository_creates_the_alias(sandbox: Sandbox) -> None:
    api = make_api(sandbox)
    before = api.describe_registries()["registries"][0]

    api.create_repository(repositoryName="first")

    after = api.describe_registries()["registries"][0]
    assert (before["aliases"], before["registryUri"]) == ([], sandbox.registry_host)
    assert after["registryArn"] == f"arn:aws:ecr-public::{ACCOUNT}:registry/{ACCOUNT}"
    assert [
        (alias["status"], alias["primaryRegistryAlias"], alias["defaultRegistryAlias"]) for alias in after["aliases"]
    ] == [("ACTIVE", True, True)]


def test_a_custom_alias_becomes_the_primary_one(sandbox: Sandbox, api: Api) -> None:
    sandbox.settings = Settings(alias="acme")

    aliases = api.describe_registries()["registries"][0]["aliases"]

    assert [(alias["primaryRegistryAlias"], alias["defaultRegistryAlias"]) for alias in aliases] == [
        (True, False),
        (False, True),
    ]
    assert f"/acme/{REPOSITORY}" in api.describe_repositories()["repositories"][0]["repositoryUri"]


def test_refuses_a_repository_that_exists(api: Api) -> None:
    refusal = api.refusal("create_repository", repositoryName=REPOSITORY)

    assert refusal.code == "RepositoryAlreadyExistsException"
    assert refusal.message == (
        f"The repository with name '{REPOSITORY}' already exists in the registry with id '{ACCOUNT}'"
    )


@pytest.mark.parametrize("name", ["Upper", "a//b", "-a", "a" * 206, "a b"])
def test_refuses_invalid_repository_names(api: Api, name: str) -> None:
    assert api.refusal("create_repository", repositoryName=name).code == "InvalidParameterException"


@pytest.mark.parametrize("name", ["ab", "a/b", "a.b_c-d/e1", "a" * 205])
def test_accepts_valid_repository_names(api: Api, name: str) -> None:
    assert api.create_repository(repositoryName=name)["repository"]["repositoryName"] == name


def test_catalog_data_is_stored(api: Api) -> None:
    catalog = {"description": "An agent", "architectures": ["ARM 64"], "operatingSystems": ["Linux"], "aboutText": "x"}

    created = api.create_repository(repositoryName="shown", catalogData=catalog)

    assert created["catalogData"] == catalog
    assert api.get_repository_catalog_data(repositoryName="shown")["catalogData"] == catalog


def test_catalog_data_is_replaced(api: Api) -> None:
    api.put_repository_catalog_data(repositoryName=REPOSITORY, catalogData={"usageText": "run it"})

    assert api.get_repository_catalog_data(repositoryName=REPOSITORY)["catalogData"] == {"usageText": "run it"}


def test_refuses_to_read_catalog_data_that_was_never_put(api: Api) -> None:
    refusal = api.refusal("get_repository_catalog_data", repositoryName=REPOSITORY)

    assert refusal.code == "RepositoryCatalogDataNotFoundException"


def test_refuses_catalog_data_that_is_too_long(api: Api) -> None:
    catalog = {"aboutText": "x" * 25_601}

    refusal = api.refusal("put_repository_catalog_data", repositoryName=REPOSITORY, catalogData=catalog)

    assert refusal.message == (
        "Invalid parameter at 'aboutText' failed to satisfy constraint: 'Member must have length less than or equal to "
        "25600'"
    )


def test_the_registry_has_a_display_name(api: Api) -> None:
    assert api.get_registry_catalog_data()["registryCatalogData"] == {}

    api.put_registry_catalog_data(displayName="Acme")

    assert api.get_registry_catalog_data()["registryCatalogData"] == {"displayName": "Acme"}


def test_refuses_a_display_name_that_is_too_long(api: Api) -> None:
    assert api.refusal("put_registry_catalog_data", displayName="x" * 101).code == "InvalidParameterException"


def test_a_policy_can_be_set_read_and_deleted(api: Api) -> None:
    expected = {"registryId": ACCOUNT, "repositoryName": REPOSITORY, "policyText": POLICY}

    answers = [
        api.set_repository_policy(repositoryName=REPOSITORY, policyText=POLICY),
        api.get_repository_policy(repositoryName=REPOSITORY),
        api.delete_repository_policy(repositoryName=REPOSITORY),
    ]

    assert [{key: answer[key] for key in expected} for answer in answers] == [expected] * 3


@pytest.mark.parametrize("operation", ["get_repository_policy", "delete_repository_policy"])
def test_refuses_a_missing_policy(api: Api, operation: str) -> None:
    refusal = api.refusal(operation, repositoryName=REPOSITORY)

    assert refusal.code == "RepositoryPolicyNotFoundException"
    assert refusal.message == (
        f"Repository policy does not exist for the repository with name '{REPOSITORY}' in the registry with id "
        f"'{ACCOUNT}'"
    )


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", "x" * 10_241])
def test_refuses_what_is_not_a_policy(api: Api, text: str) -> None:
    refusal = api.refusal("set_repository_policy", repositoryName=REPOSITORY, policyText=text)

    assert refusal.code == "InvalidParameterException"


def test_tags_can_be_added_listed_and_removed(api: Api) -> None:
    api.tag_resource(resourceArn=ARN, tags=[{"Key": "team", "Value": "agent"}, {"Key": "stage", "Value": "beta"}])
    api.tag_resource(resourceArn=ARN, tags=[{"Key": "stage", "Value": "live"}])
    api.untag_resource(resourceArn=ARN, tagKeys=["team", "unknown"])

    assert api.list_tags_for_resource(resourceArn=ARN)["tags"] == [{"Key": "stage", "Value": "live"}]


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"Key": "aws:reserved", "Value": ""}], "InvalidTagParameterException"),
        ([{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}], "InvalidTagParameterException"),
        ([{"Key": f"k{number}", "Value": ""} for number in range(51)], "TooManyTagsException"),
        ([{"Key": "k" * 129, "Value": ""}], "InvalidParameterException"),
    ],
)
def test_refuses_invalid_tags(api: Api, tags: list[dict[str, str]], code: str) -> None:
    assert api.refusal("tag_resource", resourceArn=ARN, tags=tags).code == code
    assert api.refusal("create_repository", repositoryName="tagged", tags=tags).code == code


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"{ARN}-unknown", "RepositoryNotFoundException"),
        (f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{REPOSITORY}", "InvalidParameterException"),
    ],
)
@pytest.mark.parametrize(
    ("operation", "arguments"),
    [("tag_resource", {"tags": []}), ("untag_resource", {"tagKeys": []}), ("list_tags_for_resource", {})],
)
def test_refuses_arns_of_other_resources(
    api: Api, operation: str, arguments: dict[str, Any], arn: str, code: str
) -> None:
    assert api.refusal(operation, resourceArn=arn, **arguments).code == code


def test_an_empty_repository_can_be_deleted(api: Api) -> None:
    assert api.delete_repository(repositoryName=REPOSITORY)["repository"]["repositoryArn"] == ARN
    assert api.describe_repositories()["repositories"] == []


@pytest.mark.usefixtures("image")
def test_a_repository_with_images_is_deleted_only_with_force(api: Api) -> None:
    refusal = api.refusal("delete_repository", repositoryName=REPOSITORY)
    api.delete_repository(repositoryName=REPOSITORY, force=True)

    assert refusal.code == "RepositoryNotEmptyException"
    assert refusal.message == (
        f"The repository with name '{REPOSITORY}' in registry with id '{ACCOUNT}' cannot be deleted because it still "
        "contains images"
    )
    assert api.describe_repositories()["repositories"] == []


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("delete_repository", {}),
        ("describe_images", {}),
        ("describe_image_tags", {}),
        ("get_repository_policy", {}),
        ("set_repository_policy", {"policyText": POLICY}),
        ("delete_repository_policy", {}),
        ("get_repository_catalog_data", {}),
        ("put_repository_catalog_data", {"catalogData": {}}),
    ],
)
class TestOperationsOfTheOwner:
    """Operations that only the account itself can use, with its number but not with its alias."""

    def test_refuses_a_repository_that_does_not_exist(self, api: Api, operation: str, arguments: Any) -> None:
        refusal = api.refusal(operation, repositoryName="nobody/knows", **arguments)

        assert refusal.code == "RepositoryNotFoundException"

    def test_does_not_find_another_accounts_repository(
        self, sandbox: Sandbox, api: Api, operation: str, arguments: Any
    ) -> None:
        api.set_repository_policy(repositoryName=REPOSITORY, policyText=POLICY)
        stranger = make_api(sandbox, aws_access_key_id="210987654321")

        refusal = stranger.refusal(operation, registryId=ACCOUNT, repositoryName=REPOSITORY, **arguments)

        assert refusal.code == "RepositoryNotFoundException"

    def test_refuses_an_alias_for_the_registry(
        self, sandbox: Sandbox, api: Api, operation: str, arguments: Any
    ) -> None:
        sandbox.settings = Settings(alias="acme")

        refusal = api.refusal(operation, registryId="acme", repositoryName=REPOSITORY, **arguments)

        assert refusal.message == (
            "Invalid parameter at 'registryId' failed to satisfy constraint: 'must satisfy regular expression "
            "'[0-9]{12}''"
        )


def test_describes_the_named_repositories(api: Api) -> None:
    api.create_repository(repositoryName="other")

    found = api.describe_repositories(repositoryNames=["other", REPOSITORY])["repositories"]

    assert [repository["repositoryName"] for repository in found] == ["other", REPOSITORY]


def test_refuses_to_describe_a_repository_that_does_not_exist(api: Api) -> None:
    refusal = api.refusal("describe_repositories", repositoryNames=[REPOSITORY, "nobody/knows"])

    assert refusal.code == "RepositoryNotFoundException"


@pytest.mark.parametrize("size", [1, 2, 7])
def test_paginates_repositories_in_arbitrary_order(api: Api, size: int) -> None:
    names = [f"r{number}" for number in range(6)]
    for name in names:
        api.create_repository(repositoryName=name)

    pages = list(api.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": size}))

    found = [repository["repositoryName"] for page in pages for repository in page["repositories"]]
    assert sorted(found) == sorted([*names, REPOSITORY])
    assert found != sorted(found)
    assert len(pages) == -(-7 // size)


def test_accounts_do_not_see_each_other(sandbox: Sandbox, api: Api) -> None:
    stranger = make_api(sandbox, aws_access_key_id="210987654321")
    stranger.create_repository(repositoryName=REPOSITORY)

    mine, theirs = (client.describe_repositories()["repositories"][0] for client in (api, stranger))

    assert (mine["registryId"], theirs["registryId"]) == (ACCOUNT, "210987654321")
    assert mine["repositoryUri"] != theirs["repositoryUri"]


def test_any_other_access_key_belongs_to_the_default_account(sandbox: Sandbox) -> None:
    assert make_api(sandbox, aws_access_key_id="test").describe_registries()["registries"][0]["registryId"] == ACCOUNT
