"""Mutable names that the context pins to a digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Fn, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from cdk_ecrpublic import IImageSource, ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.review.pins import read_names

from .messages import warnings

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SOMEWHERE = Environment(account="123456789012", region="eu-west-1")
KEY = "cdk-ecrpublic:digest:"
OWN = f"{KEY}public.ecr.aws/123456789012/acme/agent:stable"
FAR = f"{KEY}ghcr.io/acme/agent:1"
IN_ECR = f"{KEY}123456789012.dkr.ecr.eu-west-1.amazonaws.com/in/side:1"


def declare(context: dict[str, Any], source: IImageSource | None = None, **options: Any) -> Stack:
    stack = Stack(App(context=context), "Agent", env=options.pop("env", SOMEWHERE))
    PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
        source=source or ImageSource.tag("stable"),
        tags=["1"],
        **options,
    )
    return stack


def properties(stack: Stack) -> dict[str, Any]:
    (found,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return dict(found["Properties"])


def test_a_tag_is_rendered_as_its_digest() -> None:
    stack = declare({OWN: DIGEST})

    assert properties(stack)["Source"] == {"Digest": DIGEST}
    assert "StateParameterName" not in properties(stack)
    assert warnings(stack) == []


def test_a_reference_keeps_its_tag_in_addition_to_the_digest() -> None:
    stack = declare({FAR: DIGEST}, ImageSource.registry("ghcr.io/acme/agent:1"))

    assert properties(stack)["Source"] == {"Image": {"Reference": f"ghcr.io/acme/agent:1@{DIGEST}"}}
    assert warnings(stack) == []


def test_an_image_of_private_ecr_is_pinned_if_its_account_is_known() -> None:
    stack = Stack(App(context={IN_ECR: DIGEST}), "Agent", env=SOMEWHERE)
    private = ecr.Repository.from_repository_attributes(
        stack,
        "Private",
        repository_name="in/side",
        repository_arn="arn:aws:ecr:eu-west-1:123456789012:repository/in/side",
    )
    PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
        source=ImageSource.ecr(private, tag="1"),
    )

    assert f"/in/side:1@{DIGEST}" in str(properties(stack)["Source"]["Image"]["Reference"])
    assert warnings(stack) == []


def test_each_part_of_an_index_is_pinned_separately() -> None:
    source = ImageSource.index(
        {"linux/amd64": ImageSource.tag("stable"), "linux/arm64": ImageSource.registry("ghcr.io/acme/agent:1")}
    )
    stack = declare({OWN: DIGEST}, source)

    parts = properties(stack)["Source"]["Index"]["Manifests"]
    assert [part["Source"] for part in parts] == [
        {"Digest": DIGEST},
        {"Image": {"Reference": "ghcr.io/acme/agent:1"}},
    ]
    assert "StateParameterName" in properties(stack)
    (warning,) = warnings(stack)
    assert "ghcr.io/acme/agent:1;" in warning
    assert "stable" not in warning


def test_two_parts_with_the_same_name_are_both_pinned() -> None:
    source = ImageSource.index({"linux/amd64": ImageSource.tag("stable"), "linux/arm64": ImageSource.tag("stable")})
    stack = declare({OWN: DIGEST}, source)

    parts = properties(stack)["Source"]["Index"]["Manifests"]
    assert [part["Source"] for part in parts] == [{"Digest": DIGEST}] * 2
    assert warnings(stack) == []


def test_warns_about_an_unpinned_name_and_says_how_to_pin_it() -> None:
    (warning,) = warnings(declare({}))

    assert "run `cdk-ecrpublic pin` to keep its digest in cdk.context.json" in warning


def test_another_account_has_separate_pins() -> None:
    elsewhere = declare({OWN: DIGEST}, env=Environment(account="999999999999", region="eu-west-1"))
    nowhere = declare({f"{KEY}public.ecr.aws/-/acme/agent:stable": OTHER}, env=None)

    assert properties(elsewhere)["Source"] == {"Tag": "stable"}
    assert properties(nowhere)["Source"] == {"Digest": OTHER}


@pytest.mark.parametrize("value", ["sha256:abc", "", 7, {"digest": DIGEST}, True])
def test_refuses_a_pin_that_is_not_a_digest(value: object) -> None:
    with pytest.raises(Exception, match=r"Agent/Release: context key 'cdk-ecrpublic:digest:.*is not a digest"):
        declare({OWN: value})


def test_the_error_for_an_invalid_pin_has_a_remedy() -> None:
    with pytest.raises(
        Exception, match=f"correct it in cdk.context.json, or remove it with: cdk context --reset '{OWN}'"
    ):
        declare({OWN: "sha256:abc"})


@pytest.mark.parametrize(
    ("repository", "tag", "shown"),
    [
        (Fn.import_value("name"), "stable", "tag 'stable' of repository 'Agent/Repository'"),
        ("acme/agent", Fn.import_value("tag"), "a tag that is not known before deployment"),
    ],
    ids=["repository", "tag"],
)
def test_a_name_that_is_known_only_at_deployment_cannot_be_pinned(
    repository: str, tag: str, shown: str, tmp_path: Path
) -> None:
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "Agent")
    imported = PublicRepository.from_repository_name(stack, "Repository", repository)
    PublicImage(stack, "Release", repository=imported, source=ImageSource.tag(tag))
    (warning,) = warnings(stack)
    app.synth()

    assert read_names(tmp_path) == []
    assert f"cannot pin {shown}: it pins only tags that synthesis knows" in warning
    assert "run `cdk-ecrpublic pin`" not in warning
    assert "Token[" not in warning


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (lambda _: ImageSource.tag("stable"), "tag 'stable' of repository 'acme/agent'"),
        (lambda _: ImageSource.registry("ghcr.io/acme/agent:1"), "ghcr.io/acme/agent:1"),
        (
            lambda stack: ImageSource.ecr(ecr.Repository.from_repository_name(stack, "Private", "in/side"), tag="1"),
            "….dkr.ecr.….amazonaws.com/in/side:1",
        ),
        (lambda stack: ImageSource.ecr(ecr.Repository(stack, "New"), tag="1"), "….dkr.ecr.….amazonaws.com/…:1"),
    ],
    ids=["own tag", "registry", "private ECR", "new private repository"],
)
def test_the_warning_names_tag_and_repository(source: Callable[[Stack], IImageSource], shown: str) -> None:
    stack = Stack(App(), "Agent")
    imported = PublicRepository.from_repository_name(stack, "Repository", "acme/agent")

    PublicImage(stack, "Release", repository=imported, source=source(stack))

    (warning,) = warnings(stack)
    assert warning.startswith(f"the source may later point to another image: {shown}; ")


def test_does_not_offer_to_pin_an_object_in_s3() -> None:
    stack = Stack(App(), "Agent", env=SOMEWHERE)
    archive = ImageSource.archive_object(s3.Bucket(stack, "Bucket"), "image.tar")
    PublicImage(
        stack,
        "Release",
        repository=PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
        source=ImageSource.index({"linux/amd64": ImageSource.tag("stable"), "linux/arm64": archive}),
    )

    (warning,) = warnings(stack)
    assert "run `cdk-ecrpublic pin` to keep its digest" in warning
    assert "cannot pin the object image.tar" in warning


def test_the_command_line_gets_the_account_of_the_stack(tmp_path: Path) -> None:
    """Otherwise the command would use the account of its credentials."""
    app = App(outdir=str(tmp_path))
    for name, env, registry_id in (("Own", SOMEWHERE, None), ("Any", None, None), ("Named", SOMEWHERE, "acme")):
        stack = Stack(app, name, env=env)
        imported = PublicRepository.from_repository_name(stack, "Repository", "acme/agent", registry_id=registry_id)
        PublicImage(stack, "Release", repository=imported, source=ImageSource.tag("stable"))
    app.synth()

    registries = {name.name.split("/")[1]: name.registry_id for name in read_names(tmp_path)}
    assert registries == {"123456789012": "123456789012", "-": "", "acme": "acme"}


def test_the_command_line_gets_every_name_whether_pinned_or_not(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path), context={FAR: DIGEST})
    stack = Stack(app, "Agent", env=SOMEWHERE)
    repository = PublicRepository.from_repository_name(stack, "Repository", "acme/agent")
    sources = [ImageSource.tag("stable"), ImageSource.registry("ghcr.io/acme/agent:1"), ImageSource.digest(DIGEST)]
    for number, source in enumerate(sources):
        PublicImage(stack, f"Image{number}", repository=repository, source=source, tags=[f"v{number}"])
    app.synth()

    assert [name.key for name in read_names(tmp_path)] == [FAR, OWN]
    own = read_names(tmp_path)[1]
    assert (own.repository_name, own.tag, own.reference) == ("acme/agent", "stable", "")
    template = (tmp_path / "Agent.template.json").read_text()
    assert "cdk-ecrpublic:mutable-name" not in template
