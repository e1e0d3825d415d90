"""Synthesis warns about what will fail later."""

from __future__ import annotations

import pytest
from aws_cdk import App, CfnOutput, CrossStackReferences, Fn, ReferenceStrength, RemovalPolicy, Stack, Stage
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, IPublicRepository, PublicImage, PublicRepository

from .messages import warnings

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Agent")


def declare(stack: Stack, repository: IPublicRepository | None = None, **options: object) -> PublicImage:
    return PublicImage(
        stack,
        "Release",
        repository=repository or PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
        source=ImageSource.digest(DIGEST),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("platform", "name"), [("linux/x86_64", "linux/amd64"), ("linux/aarch64", "linux/arm64")])
@pytest.mark.parametrize("option", ["platforms", "required_platforms"])
def test_warns_about_an_alternative_name_of_a_platform(stack: Stack, option: str, platform: str, name: str) -> None:
    declare(stack, **{option: [platform]})  # type: ignore[arg-type]

    (warning,) = warnings(stack)
    assert f"the OCI name of the platform {platform} is {name}" in warning


def test_warns_about_too_many_tags(stack: Stack) -> None:
    declare(stack, tags=[f"1.{number}" for number in range(1001)])

    (warning,) = warnings(stack)
    assert "1001 tags; ECR Public allows at most 1000 tags" in warning


@pytest.mark.parametrize(
    ("repository", "image", "is_told"),
    [
        (RemovalPolicy.DESTROY, RemovalPolicy.RETAIN, True),
        (RemovalPolicy.DESTROY, RemovalPolicy.DESTROY, False),
        (RemovalPolicy.RETAIN, RemovalPolicy.RETAIN, False),
    ],
)
def test_warns_about_an_image_that_is_kept_in_a_deleted_repository(
    stack: Stack, repository: RemovalPolicy, image: RemovalPolicy, *, is_told: bool
) -> None:
    own = PublicRepository(stack, "Own", repository_name="acme/own", removal_policy=repository)
    declare(stack, own, tags=["1"], removal_policy=image)

    assert ["so the deletion will fail" in each for each in warnings(stack)] == [True] * is_told


def test_warns_about_a_uri_with_an_undeclared_tag(stack: Stack) -> None:
    image = declare(stack, tags=["1.4.2", "latest"])
    image.image_uri_for_tag("latest")
    image.image_uri_for_tag(Fn.import_value("tag"))
    image.image_uri_for_tag("lastest")

    (warning,) = warnings(stack)
    assert "'lastest'" in warning
    assert "declared tags: '1.4.2', 'latest'" in warning


def other_stack(stack: Stack) -> Stack:
    return Stack(stack.node.root, "Service")  # type: ignore[arg-type]


@pytest.mark.parametrize("attribute", ["image_uri", "image_digest", "image_manifest_media_type"])
def test_warns_about_a_changing_value_in_another_stack(stack: Stack, attribute: str) -> None:
    image = declare(stack, tags=["1"])

    CfnOutput(other_stack(stack), "Used", value=getattr(image, attribute))

    (warning,) = warnings(stack)
    assert "the next release will fail; use image_uri_for_tag() there" in warning


def test_warns_about_a_changing_value_inside_a_string_in_another_stack(stack: Stack) -> None:
    image = declare(stack, tags=["1"])

    CfnOutput(other_stack(stack), "Used", value=f"docker pull {image.image_uri}")

    assert len(warnings(stack)) == 1


def test_does_not_warn_about_constant_values_in_another_stack(stack: Stack) -> None:
    image, other = declare(stack, tags=["1"]), other_stack(stack)

    CfnOutput(other, "Tag", value=image.image_uri_for_tag("1"))
    CfnOutput(other, "Repository", value=image.repository_uri)
    CfnOutput(stack, "Digest", value=image.image_digest)

    assert warnings(stack) == []


def test_an_export_can_be_kept_while_another_stack_still_imports_it() -> None:
    """release.md describes this: ``export_value`` creates the same export as the reference."""
    app = App()
    old, new = Stage(app, "Old"), Stage(app, "New")
    before, after = Stack(old, "Agent"), Stack(new, "Agent")
    CfnOutput(Stack(old, "Service"), "Used", value=declare(before, tags=["1"]).image_uri)
    image = declare(after, tags=["1"])
    CfnOutput(Stack(new, "Service"), "Used", value=image.image_uri_for_tag("1"))

    after.export_value(image.image_uri)

    assert exports(before) < exports(after)


def exports(stack: Stack) -> set[str]:
    outputs = Template.from_stack(stack).find_outputs("*")
    return {output["Export"]["Name"].partition(":")[2] for output in outputs.values()}


def test_does_not_warn_about_a_weak_reference_to_a_changing_value(stack: Stack) -> None:
    other = other_stack(stack)
    CrossStackReferences.of(other).consume(ReferenceStrength.WEAK)
    image = declare(stack, tags=["1"])

    CfnOutput(other, "Used", value=image.image_digest)

    assert warnings(stack) == []
