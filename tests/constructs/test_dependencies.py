"""Dependencies between images, repositories, and other resources of an app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_cdk import App, CfnResource, NestedStack, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template
from constructs import IConstruct

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def image(scope: Stack, construct_id: str = "Release", **options: Any) -> PublicImage:
    repository = options.pop("repository", None) or PublicRepository.from_repository_name(
        scope, f"{construct_id}Repository", "acme/agent"
    )
    return PublicImage(scope, construct_id, repository=repository, **{"source": ImageSource.digest(DIGEST), **options})


def waits(stack: Stack, one: IConstruct, other: IConstruct) -> bool:
    """Whether CloudFormation creates every resource of *other* before any of *one*."""
    resources = Template.from_stack(stack).to_json()["Resources"]
    ours, theirs = set(_logical_ids(stack, one)), set(_logical_ids(stack, other))
    assert ours
    assert theirs
    return all(theirs <= _before(resources, logical_id) for logical_id in ours)


def _logical_ids(stack: Stack, construct: IConstruct) -> Iterator[str]:
    for each in construct.node.find_all():
        if isinstance(each, CfnResource) and each.stack is stack:
            yield str(stack.resolve(each.logical_id))


def _before(resources: dict[str, Any], logical_id: str) -> set[str]:
    found: set[str] = set()
    waiting = [logical_id]
    while waiting:
        new = set(_references(resources[waiting.pop()])) & resources.keys() - found
        found |= new
        waiting += new
    return found


def _references(value: Any) -> Iterator[str]:
    """Find the references that make CloudFormation wait: DependsOn, Ref and Fn::GetAtt."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case dict():
            yield from value.get("DependsOn", ())
            for each in value.values():
                yield from _references(each)
        case list():
            for each in value:
                yield from _references(each)


def _custom_resource(release: PublicImage) -> IConstruct:
    return release.node.find_child("Resource")


@pytest.mark.parametrize("options", [{}, {"removal_policy": RemovalPolicy.DESTROY}], ids=["kept", "removed"])
def test_an_image_waits_for_its_dependencies(stack: Stack, options: dict[str, Any]) -> None:
    topic, release = sns.Topic(stack, "Topic"), image(stack, **options)

    release.node.add_dependency(topic)

    assert waits(stack, release, topic)
    assert not waits(stack, topic, release)


@pytest.mark.parametrize("options", [{}, {"removal_policy": RemovalPolicy.DESTROY}], ids=["kept", "removed"])
def test_dependents_wait_for_an_image(stack: Stack, options: dict[str, Any]) -> None:
    topic, release = sns.Topic(stack, "Topic"), image(stack, **options)

    topic.node.add_dependency(release)

    assert waits(stack, topic, release)
    assert waits(stack, topic, PublicImageProvider.of(stack))


def test_an_image_can_wait_for_another(stack: Stack) -> None:
    first, second = image(stack, "First", tags=["1"]), image(stack, "Second", tags=["2"])

    second.node.add_dependency(first)

    assert waits(stack, second, first)
    assert not waits(stack, first, second)


@pytest.mark.parametrize(
    "made",
    [
        lambda stack: PublicRepository(stack, "Agent"),
        lambda stack: PublicRepository.from_cfn_public_repository(ecr.CfnPublicRepository(stack, "Agent")),
    ],
    ids=["L2", "L1"],
)
def test_an_image_waits_for_the_dependencies_of_its_repository(stack: Stack, made: Callable[[Stack], Any]) -> None:
    topic, release = sns.Topic(stack, "Topic"), image(stack, repository=made(stack))

    stack.node.find_child("Agent").node.add_dependency(topic)

    assert waits(stack, release, stack.node.find_child("Agent"))
    assert waits(stack, release, topic)


def test_a_repository_can_wait_for_an_image_of_another(stack: Stack) -> None:
    release, repository = image(stack), PublicRepository(stack, "Next")

    repository.node.add_dependency(release)

    assert waits(stack, repository, release)


def test_images_wait_for_the_dependencies_of_the_provider(stack: Stack) -> None:
    provider, topic = PublicImageProvider(stack, "Provider"), sns.Topic(stack, "Topic")
    release = image(stack, provider=provider)

    provider.node.add_dependency(topic)

    assert waits(stack, _custom_resource(release), provider)
    assert waits(stack, release, topic)


def test_an_image_waits_for_the_permission_to_read_its_source(stack: Stack) -> None:
    secret = secretsmanager.Secret(stack, "Secret")

    release = image(stack, source=ImageSource.registry(f"ghcr.io/acme/agent@{DIGEST}", credentials=secret))

    assert waits(stack, release, secret)
    assert waits(stack, release, PublicImageProvider.of(stack).role)


def test_a_service_waits_until_its_image_is_published(stack: Stack) -> None:
    release = image(stack, tags=["1"])
    by_digest, by_tag = (ecs.FargateTaskDefinition(stack, name) for name in ("Digest", "Tag"))

    by_digest.add_container("agent", image=ecs.ContainerImage.from_registry(release.image_uri))
    by_tag.add_container("agent", image=ecs.ContainerImage.from_registry(release.image_uri_for_tag("1")))

    assert waits(stack, by_digest.node.find_child("Resource"), release)
    assert waits(stack, by_tag.node.find_child("Resource"), release)


def test_an_image_can_wait_for_a_nested_stack_with_another(stack: Stack) -> None:
    nested = NestedStack(stack, "Nested")
    inner, outer = image(nested, tags=["1"]), image(stack, tags=["2"])

    outer.node.add_dependency(inner)

    (logical_id,) = Template.from_stack(stack).find_resources("AWS::CloudFormation::Stack")
    (rendered,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    assert logical_id in rendered["DependsOn"]


def test_a_stack_waits_for_the_stack_of_an_image(stack: Stack) -> None:
    other = Stack(stack.node.root, "Other")  # type: ignore[arg-type]
    topic = sns.Topic(other, "Topic")

    topic.node.add_dependency(image(stack))

    stack.node.root.synth()  # type: ignore[attr-defined]
    assert other.dependencies == [stack]
