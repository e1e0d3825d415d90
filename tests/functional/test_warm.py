"""What a warm function keeps, and when it looks again."""

from __future__ import annotations

from cdk_ecrpublic.sandbox import Settings
from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import Registry, declare


def test_where_a_repository_is_is_asked_for_once(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.requests.clear()

    for tag in ("1", "2", "3"):
        assert cloudformation.create(declare(image, tag)).succeeded

    assert registry.sandbox.requests.count("DescribeRepositories") == 1
    assert registry.sandbox.requests.count("Token", "GetAuthorizationToken") == 2


def test_a_repository_that_is_made_anew_is_where_it_was(cloudformation: CloudFormation, registry: Registry) -> None:
    client = registry.sandbox.client("ecr-public")
    assert cloudformation.create(declare(registry.push("first"), "1")).succeeded
    client.delete_repository(repositoryName="acme/agent", force=True)

    gone = cloudformation.create(declare("sha256:" + "0" * 64, "1"))
    client.create_repository(repositoryName="acme/agent")
    image = registry.push("second")
    made_anew = cloudformation.create(declare(image, "1"))

    assert gone.reason.startswith(("NOT_FOUND", "REPOSITORY_NOT_FOUND"))
    assert made_anew.succeeded
    assert registry.tags() == {"1": image.digest}


def test_an_alias_that_becomes_ours_is_ours_at_the_next_deployment(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    image = registry.push("first")
    declared = {"RegistryId": "acme", **declare(image, "1")}
    assert not cloudformation.create(declared).succeeded

    registry.sandbox.settings = Settings(alias="acme")
    answer = cloudformation.create(declared)

    assert answer.physical_id == "ecr-public:123456789012/acme/agent:Release"
    assert registry.tags() == {"1": image.digest}


def test_after_a_failure_it_looks_again(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    assert cloudformation.create(declare(image, "1")).succeeded
    registry.sandbox.requests.clear()

    assert not cloudformation.create(declare("sha256:" + "0" * 64, "1")).succeeded
    assert cloudformation.create(declare(image, "2")).succeeded

    assert registry.sandbox.requests.count("DescribeRepositories") == 1
