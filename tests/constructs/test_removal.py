"""Properties and permissions of images that may be removed or need a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App, CfnResource, RemovalPolicy, Stack
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, OnTagRemoved, PublicImage, PublicRepository

DIGEST = "sha256:" + "a" * 64
RESOURCE = "Custom::ECRPublicImage"


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def image(stack: Stack, construct_id: str = "Release", name: str = "acme/agent", **options: Any) -> PublicImage:
    repository = PublicRepository.from_repository_name(stack, f"{construct_id}Repository", name)
    return PublicImage(stack, construct_id, repository=repository, **{"source": ImageSource.digest(DIGEST), **options})


def rendered(stack: Stack) -> dict[str, Any]:
    """Return the images by construct name."""
    found = Template.from_stack(stack).find_resources(RESOURCE)
    return {logical_id[:-8].removesuffix("Resource"): properties for logical_id, properties in found.items()}


def parameter(stack: Stack, construct_id: str = "Release") -> object:
    return rendered(stack)[construct_id]["Properties"].get("StateParameterName")


def undo_policy(stack: Stack) -> dict[str, Any]:
    """Return the policy that outlives the images of the only repository."""
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    (name,) = undo_policies(stack)
    return dict(policies[name])


def undo_policies(stack: Stack) -> list[str]:
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    return [
        name for name in policies if name.startswith(("ECRPublicImageProviderUndo", "ECRPublicImageProviderRemoval"))
    ]


def actions(policy: dict[str, Any]) -> set[str]:
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    lists = [each["Action"] if isinstance(each["Action"], list) else [each["Action"]] for each in statements]
    return {action for one in lists for action in one}


UNDO = {"ecr-public:DescribeImages", "ecr-public:DescribeRepositories", "ecr-public:PutImage"}
REMOVAL = {"ecr-public:BatchDeleteImage", *UNDO}


def test_removes_and_records_nothing_by_default(stack: Stack) -> None:
    image(stack, tags=["1"])

    assert rendered(stack)["Release"]["Properties"].keys() == {
        "ServiceToken", "ServiceTimeout", "RepositoryName", "ImageTags", "Source",
    }  # fmt: skip
    assert actions(undo_policy(stack)) == UNDO


@pytest.mark.parametrize(
    ("options", "properties"),
    [
        ({"on_tag_removed": OnTagRemoved.UNTAG}, {"OnTagRemoved": "Untag"}),
        ({"removal_policy": RemovalPolicy.DESTROY}, {"OnDelete": "Delete"}),
        ({"immutable_tags": ["1.*", "2"]}, {"ImmutableTags": ["1.*", "2"]}),
    ],
    ids=["untag", "destroy", "immutable tags"],
)
def test_renders_the_removal_options(stack: Stack, options: dict[str, Any], properties: dict[str, Any]) -> None:
    image(stack, **options)

    assert properties.items() <= rendered(stack)["Release"]["Properties"].items()


@pytest.mark.parametrize(
    ("options", "granted"),
    [
        ({"source": ImageSource.tag("stable")}, UNDO),
        ({"source": ImageSource.registry("ghcr.io/acme/agent:1")}, UNDO),
        ({"source": ImageSource.index({"linux/amd64": ImageSource.tag("amd")})}, UNDO),
        ({"on_tag_removed": OnTagRemoved.UNTAG}, REMOVAL),
        ({"removal_policy": RemovalPolicy.DESTROY}, REMOVAL),
    ],
    ids=["tag", "registry", "index", "untag", "destroy"],
)
def test_images_that_need_a_record_get_a_parameter(stack: Stack, options: dict[str, Any], granted: set[str]) -> None:
    image(stack, **options)

    name = parameter(stack)
    assert isinstance(name, str)
    assert name.startswith("/cdk-ecrpublic/acme/agent/Stack.Release")
    assert name.rpartition(".")[2] in Template.from_stack(stack).find_resources(RESOURCE)
    assert actions(undo_policy(stack)) == granted


@pytest.mark.parametrize(
    "options",
    [
        {"source": ImageSource.tag("stable"), "expected_digest": DIGEST},
        {"source": ImageSource.registry(f"ghcr.io/acme/agent@{DIGEST}")},
        {"immutable_tags": ["1"]},
    ],
    ids=["tag and its digest", "registry by digest", "immutable tags"],
)
def test_immutable_sources_get_no_parameter(stack: Stack, options: dict[str, Any]) -> None:
    image(stack, **options)

    assert parameter(stack) is None


def test_the_permissions_for_a_removal_outlive_the_resource(stack: Stack) -> None:
    """CloudFormation deletes resources in the reverse order of their dependencies."""
    image(stack, removal_policy=RemovalPolicy.DESTROY)

    (policy,) = undo_policies(stack)
    assert policy in rendered(stack)["Release"]["DependsOn"]
    assert undo_policy(stack)["Properties"]["Roles"] == [{"Ref": "ECRPublicImageHandlerRole"}]
    assert "*" not in str(undo_policy(stack))


def test_r13_another_repository_gets_another_policy(stack: Stack) -> None:
    """A replaced image needs its permissions until it is deleted. A changed policy would lack them."""
    other = Stack(App(), "Stack")
    image(stack, removal_policy=RemovalPolicy.DESTROY)
    image(other, name="acme/other", removal_policy=RemovalPolicy.DESTROY)

    before, after = undo_policies(stack), undo_policies(other)

    assert len(before) == len(after) == 1
    assert before != after


def test_with_many_repositories_those_without_removal_share_the_policy_of_the_function(stack: Stack) -> None:
    """The inline policies of a role have a limited size, and removals always need separate ones."""
    for number in range(100):
        image(stack, f"Kept{number}", f"acme/kept-{number}")
    image(stack, "Removed", "acme/removed", removal_policy=RemovalPolicy.DESTROY)

    assert 2 < len(undo_policies(stack)) < 50
    assert any("Removal" in name for name in undo_policies(stack))


@pytest.mark.parametrize("first", ["Keeps", "Removes"])
def test_if_one_image_removes_all_images_of_its_repository_get_a_parameter(stack: Stack, first: str) -> None:
    """This applies in any order of declarations. Images of other repositories do not count."""
    makers: dict[str, Callable[[], object]] = {
        "Keeps": lambda: image(stack, "Keeps", tags=["1"]),
        "Removes": lambda: image(stack, "Removes", tags=["2"], on_tag_removed=OnTagRemoved.UNTAG),
    }
    for name in sorted(makers, key=lambda name: name != first):
        makers[name]()
    image(stack, "Elsewhere", "acme/other", tags=["1"])

    assert parameter(stack, "Keeps") is not None
    assert parameter(stack, "Removes") is not None
    assert parameter(stack, "Elsewhere") is None


def test_an_image_that_removes_also_affects_other_stacks() -> None:
    app = App()
    one, two = Stack(app, "One"), Stack(app, "Two")
    image(one, tags=["1"])
    image(two, tags=["2"], removal_policy=RemovalPolicy.DESTROY)

    assert parameter(one) is not None


def test_the_parameter_name_refers_to_a_repository_of_the_same_stack(stack: Stack) -> None:
    repository = PublicRepository(stack, "Repository", repository_name="acme/made")
    PublicImage(
        stack,
        "Release",
        repository=repository,
        source=ImageSource.digest(DIGEST),
        removal_policy=RemovalPolicy.DESTROY,
    )

    made = stack.get_logical_id(_cfn(repository))
    head, tail = parameter(stack)["Fn::Join"][1][0], parameter(stack)["Fn::Join"][1][1:]  # type: ignore[index]
    assert head == "/cdk-ecrpublic/"
    assert tail[0] == {"Ref": made}
    assert tail[1].startswith("/Stack.Release")


def _cfn(repository: PublicRepository) -> CfnResource:
    child = repository.node.default_child
    assert isinstance(child, CfnResource)
    return child


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"immutable_tags": "latest"}, "Stack/Release: immutable_tags: 'latest' is a str; expected a list"),
        ({"immutable_tags": ["1", "[0-9]"]}, "immutable_tags[1]: '[0-9]' is not a tag or a tag pattern"),
        (
            {"removal_policy": RemovalPolicy.SNAPSHOT},
            "removal_policy: RemovalPolicy.SNAPSHOT; expected RemovalPolicy.RETAIN or ",
        ),
    ],
)
def test_refuses_with_the_path_the_value_and_what_is_allowed(stack: Stack, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        image(stack, **options)

    assert said in str(failure.value)
