"""Values of the wrong type, as users pass them, and the messages."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import jsii
import pytest
from aws_cdk import App, IStableAnyProducer, Lazy, RemovalPolicy, Stack, Token
from aws_cdk import aws_ecr as ecr
from aws_cdk.assertions import Template
from constructs import Construct

from cdk_ecrpublic import (
    IImageSource,
    ImageSource,
    PublicImage,
    PublicImageProvider,
    PublicImageProviderStack,
    PublicRepository,
)

DIGEST = "sha256:" + "a" * 64


def image(stack: Stack, **options: Any) -> PublicImage:
    given = {"repository": PublicRepository.from_repository_name(stack, "Agent", "acme/agent"), **options}
    return PublicImage(stack, "I", **{"source": ImageSource.digest(DIGEST), **given})


class Unbound:
    """A source whose ``bind`` returns only properties."""

    def bind(self, _: Construct, __: PublicImageProvider) -> dict[str, str]:
        return {"Digest": "x"}


def index(**options: Any) -> IImageSource:
    return ImageSource.index({"linux/amd64": ImageSource.digest(DIGEST)}, **options)


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (
            lambda s: image(s, repository="acme/agent"),
            "Stack/I: repository: 'acme/agent' is a str; expected a repository of ECR Public: PublicRepository.from_",
        ),
        (
            lambda s: image(s, repository=ecr.Repository(s, "R")),
            "a private repository can be the source: ImageSource.ecr",
        ),
        (lambda s: image(s, source=DIGEST), "is a str; expected a source, e.g. ImageSource.digest('sha256:…')"),
        (
            lambda s: ImageSource.ecr(PublicRepository.from_repository_name(s, "P", "acme/x"), tag="1"),  # type: ignore[arg-type]
            "for ECR Public use ImageSource.public",
        ),
        (
            lambda _: ImageSource.docker_asset("agent"),  # type: ignore[arg-type]
            "ImageSource.docker_asset: 'agent' is a str; expected a DockerImageAsset",
        ),
        (
            lambda _: ImageSource.archive_object("builds", "a.tar"),  # type: ignore[arg-type]
            "ImageSource.archive_object: bucket: 'builds' is a str; expected a bucket",
        ),
        (
            lambda s: PublicImageProvider(s, "P", memory_size=64),
            "Stack/P: memory_size: 64 MiB; allowed: 128 to 10240",
        ),
        (
            lambda s: PublicImageProvider(s, "P", memory_size="1024"),  # type: ignore[arg-type]
            "Stack/P: memory_size: '1024' is a str; expected an integer from 128 to 10240",
        ),
        (
            lambda s: PublicImageProvider(s, "P", memory_size=True),
            "memory_size: True is a bool; expected an integer",
        ),
        (
            lambda s: PublicImageProvider(s, "P", timeout=300),  # type: ignore[arg-type]
            "Stack/P: timeout: 300 is an int; expected a duration: Duration.minutes(5)",
        ),
        (
            lambda s: PublicImageProvider(s, "P", log_retention=30),  # type: ignore[arg-type]
            "Stack/P: log_retention: 30 is an int; expected a RetentionDays, e.g. RetentionDays.ONE_DAY",
        ),
        (
            lambda s: PublicImageProvider(s, "P", reserved_concurrent_executions=0),
            "Stack/P: reserved_concurrent_executions: 0; allowed: 1 to",
        ),
        (
            lambda s: PublicImageProvider(s, "P", security_groups=["sg-1"]),  # type: ignore[list-item]
            "Stack/P: security_groups[0]: 'sg-1' is a str; expected a security group",
        ),
        (
            lambda s: PublicImageProvider(s, "P").allow("s3:GetObject", "*"),
            "PublicImageProvider.allow: actions: 's3:GetObject' is a str; expected a list of IAM actions",
        ),
        (
            lambda s: image(s, include_referrers="false"),
            "Stack/I: include_referrers: 'false' is a str; expected True or False",
        ),
        (
            lambda s: image(s, include_referrers=Token.as_any({"Ref": "Referrers"})),
            "Stack/I: include_referrers: an Intrinsic; expected True or False",
        ),
        (
            lambda s: image(s, on_tag_removed=RemovalPolicy.DESTROY),
            "Stack/I: on_tag_removed: RemovalPolicy.DESTROY; expected OnTagRemoved.KEEP or OnTagRemoved.UNTAG",
        ),
        (lambda s: image(s, on_tag_removed="UNTAG"), "on_tag_removed: 'UNTAG' is a str; expected OnTagRemoved.KEEP or"),
        (lambda s: image(s, removal_policy="DESTROY"), "removal_policy: 'DESTROY' is a str; expected RemovalPolicy."),
        (lambda s: image(s, immutable_tags=True), "Stack/I: immutable_tags: True is a bool; expected a list of tags"),
        (lambda s: image(s, platforms=None), "platforms: None; expected a list of platforms, e.g. ['linux/amd64']"),
        (lambda s: image(s, platforms={"a/b"}), "Stack/I: platforms: {'a/b'} is a set; expected a list of platforms"),
        (lambda s: image(s, refresh=["x"]), "Stack/I: refresh: ['x'] is a list; expected any string, e.g. '2'"),
        (lambda s: image(s, provider="x"), "Stack/I: provider: 'x' is a str; expected a PublicImageProvider of this"),
        (
            lambda s: image(s, provider=PublicRepository.from_repository_name(s, "P", "acme/x")),
            "Stack/I: provider: a Repository; expected a PublicImageProvider of this stack",
        ),
        (lambda s: image(s, source=Unbound()), "Stack/I: source: {'Digest': 'x'} is a dict; expected a SourceBinding"),
        (
            lambda s: image(s, repository=ecr.CfnPublicRepository(s, "R")),
            "a CfnPublicRepository; expected a repository: wrap it with PublicRepository.from_cfn_public_repository(…)",
        ),
        (
            lambda _: ImageSource.manifest({"schemaVersion": 2}),  # type: ignore[arg-type]
            "ImageSource.manifest: {'schemaVersion': 2} is a dict; expected the manifest as a string, exactly",
        ),
        (
            lambda _: ImageSource.manifest(b"{}"),  # type: ignore[arg-type]
            "b'{}' is a bytes; expected the manifest as a string, exactly as it was received: serializing it again",
        ),
        (
            lambda _: ImageSource.index({"linux/amd64": DIGEST}),  # type: ignore[dict-item]
            f"ImageSource.index: linux/amd64: '{DIGEST}' is a str; expected a source, e.g. ImageSource.digest",
        ),
        (
            lambda _: ImageSource.index([ImageSource.digest(DIGEST)]),  # type: ignore[arg-type]
            'ImageSource.index: a list; expected a source for each platform: {"linux/amd64": …',
        ),
        (
            lambda _: index(annotations=["v"]),
            "ImageSource.index: annotations: ['v'] is a list; expected strings by",
        ),
        (lambda _: index(annotations={"v": 1}), "ImageSource.index: annotations['v']: 1 is an int; expected a string"),
        (
            lambda _: ImageSource.archive(None),  # type: ignore[arg-type]
            "ImageSource.archive: None; expected the path of a file",
        ),
        (
            lambda s: PublicRepository(s, "R", architectures="ARM"),
            "Stack/R: architectures: 'ARM' is a str; expected a list of any of 'ARM', 'ARM 64', 'x86', 'x86-64'",
        ),
        (
            lambda s: PublicRepository(s, "R", description=1),  # type: ignore[arg-type]
            "Stack/R: description: 1 is an int; expected a string",
        ),
        (
            lambda s: PublicRepository(s, "R", removal_policy="DESTROY"),  # type: ignore[arg-type]
            "Stack/R: removal_policy: 'DESTROY' is a str; expected RemovalPolicy.DESTROY, RemovalPolicy.RETAIN, ",
        ),
        (
            lambda s: PublicRepository(s, "R").grant_push("role"),  # type: ignore[arg-type]
            "Stack/R: grantee: 'role' is a str; expected a role",
        ),
        (
            lambda s: PublicRepository(s, "R").grant(PublicImageProvider(s, "P"), ["a:B"]),  # type: ignore[arg-type]
            "Stack/R: actions: ['a:B'] is a list; expected IAM actions, each as a separate string",
        ),
        (
            lambda s: PublicImageProviderStack(s.node.root, "P", repositories="acme/agent"),
            "P: repositories: 'acme/agent' is a str; expected a list of names, e.g. ['acme/agent']",
        ),
        (
            lambda s: PublicImageProviderStack(s.node.root, "P", repositories=["ab"], make_provider=lambda _: None),  # type: ignore[arg-type,return-value]
            "P: make_provider(): None; expected a PublicImageProvider",
        ),
    ],
)
def test_says_what_is_expected(declare: Callable[[Stack], object], said: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(Stack(App(), "Stack"))

    assert said in str(failure.value)


def test_the_error_does_not_repeat_credentials_in_a_string() -> None:
    with pytest.raises(ValueError, match="credentials: a str; expected a secret: secretsmanager") as failure:
        ImageSource.registry("ghcr.io/acme/agent:1", credentials="user:password")  # type: ignore[arg-type]

    assert "password" not in str(failure.value)


def test_accepts_values_that_are_known_only_at_deployment() -> None:
    stack = Stack(App(), "Stack")
    text, texts = Token.as_string({"Ref": "A"}), Token.as_list({"Ref": "B"})
    # A token of a number is a float.
    number: Any = Token.as_number({"Ref": "C"})

    PublicRepository(stack, "R", repository_name=text, description=text, architectures=texts)
    PublicImageProvider(stack, "P", memory_size=number, reserved_concurrent_executions=number)
    image(
        stack,
        source=ImageSource.index({"a/b": ImageSource.manifest(text, media_type=text)}, annotations={"v": text}),
        tags=texts,
        immutable_tags=texts,
        required_platforms=[text],
        refresh=Lazy.any(Later()),
    )

    template = Template.from_stack(stack)
    template.has_resource_properties("AWS::Lambda::Function", {"MemorySize": {"Ref": "C"}})
    template.has_resource_properties(
        "AWS::ECR::PublicRepository",
        {"RepositoryCatalogData": {"RepositoryDescription": {"Ref": "A"}, "Architectures": {"Ref": "B"}}},
    )
    template.has_resource_properties(
        "Custom::ECRPublicImage", {"ImageTags": {"Ref": "B"}, "RequiredPlatforms": [{"Ref": "A"}], "Refresh": "later"}
    )


@jsii.implements(IStableAnyProducer)
class Later:
    def produce(self) -> str:
        return "later"


@pytest.mark.parametrize(
    "declare",
    [
        lambda stack: image(stack, tags=["la test"]),
        lambda _: ImageSource.digest("sha256:abc"),
        lambda _: ImageSource.manifest("{}"),
        lambda _: ImageSource.manifest_file("nothing.json"),
        lambda _: ImageSource.archive("nothing.tar"),
        lambda stack: PublicRepository.from_repository_arn(stack, "R", "arn:aws:ecr:::x"),
    ],
    ids=["tag", "digest", "manifest", "manifest file", "archive", "ARN"],
)
def test_an_error_has_only_one_traceback(declare: Callable[[Stack], object]) -> None:
    """With two, people read the last line of the first."""
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the messages are tested elsewhere
        declare(Stack(App(), "Stack"))

    shown = "".join(traceback.format_exception(failure.value))
    assert shown.count("Traceback (most recent call last)") == 1
