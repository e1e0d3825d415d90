"""The template of a stack with an image, and refusals at synthesis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Aspects, CfnParameter, Duration, Environment, Fn, NestedStack, Stack, Stage, Tag, Token
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Annotations, Match, Template

from cdk_ecrpublic import (
    IImageSource,
    ImageSource,
    IPublicRepository,
    PublicImage,
    PublicImageProvider,
    PublicRepository,
)
from lambda_handler.spec import decode

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})

UNKNOWN = Token.as_string({"Ref": "Parameter"})


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def image(
    stack: Stack, construct_id: str = "Release", source: IImageSource | None = None, **options: Any
) -> PublicImage:
    name = options.pop("repository_name", "acme/agent")
    repository = PublicRepository.from_repository_name(stack, f"{construct_id}Repository", name)
    return PublicImage(
        stack, construct_id, repository=repository, source=source or ImageSource.digest(DIGEST), **options
    )


def resource(stack: Stack) -> dict[str, Any]:
    """Return the only Custom::ECRPublicImage of a stack."""
    (found,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return dict(found)


def statements(stack: Stack) -> list[dict[str, Any]]:
    """Return the function's permissions, except those for its log and its records."""
    policy = Template.from_stack(stack).find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    found: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return [statement for statement in found if not _serves_every_image(statement)]


def _serves_every_image(statement: dict[str, Any]) -> bool:
    """Whether it is about the log, the records or the stack; ``tests/constructs/test_records.py`` has these."""
    actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
    return {action.partition(":")[0] for action in actions} <= {"logs", "ssm", "cloudformation"}


def arn(service_and_rest: str) -> dict[str, Any]:
    head, account, rest = service_and_rest.partition("ACCOUNT")
    parts = ["arn:", {"Ref": "AWS::Partition"}, head, *([{"Ref": "AWS::AccountId"}, rest] if account else [])]
    return {"Fn::Join": ["", parts]}


REPOSITORY_ARN = arn(":ecr-public::ACCOUNT:repository/acme/agent")
PUBLISH = {
    "Action": ["ecr-public:DescribeImages", "ecr-public:DescribeRepositories", "ecr-public:PutImage"],
    "Effect": "Allow",
    "Resource": REPOSITORY_ARN,
}
COPY = {
    "Action": [
        "ecr-public:BatchCheckLayerAvailability",
        "ecr-public:CompleteLayerUpload",
        "ecr-public:InitiateLayerUpload",
        "ecr-public:UploadLayerPart",
    ],
    "Effect": "Allow",
    "Resource": REPOSITORY_ARN,
}
LOGIN = {
    "Action": ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"],
    "Effect": "Allow",
    "Resource": "*",
}


def test_a_release_renders_exactly_this(stack: Stack) -> None:
    """Reviewers read the names and their order, and deployed stacks depend on them."""
    image(stack, tags=["1.4.2", "latest"])

    properties = resource(stack)["Properties"]

    assert list(properties.items()) == [
        ("ServiceToken", {"Fn::GetAtt": ["ECRPublicImageHandler", "Arn"]}),
        ("ServiceTimeout", "300"),
        ("RepositoryName", "acme/agent"),
        ("ImageTags", ["1.4.2", "latest"]),
        ("Source", {"Digest": DIGEST}),
    ]


def test_the_provider_s_logical_ids_never_change(stack: Stack) -> None:
    image(stack)

    template = Template.from_stack(stack).to_json()

    ids = {logical_id for logical_id in template["Resources"] if logical_id.startswith("ECRPublicImage")}
    assert ids == {
        "ECRPublicImageHandler",
        "ECRPublicImageHandlerInvocations",
        "ECRPublicImageHandlerLogs",
        "ECRPublicImageHandlerPolicy",
        "ECRPublicImageHandlerRole",
        *(logical_id for logical_id in ids if logical_id.startswith("ECRPublicImageProviderUndo")),
    }


def test_a_stack_gets_no_outputs_by_default(stack: Stack) -> None:
    image(stack)

    assert Template.from_stack(stack).find_outputs("*") == {}


def test_the_function_waits_for_its_policy(stack: Stack) -> None:
    image(stack)

    handler = Template.from_stack(stack).to_json()["Resources"]["ECRPublicImageHandler"]

    assert "ECRPublicImageHandlerPolicy" in handler["DependsOn"]


def test_the_function_is_small_and_modern(stack: Stack) -> None:
    image(stack)

    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Handler": "lambda_handler.entrypoint.handler",
            "Runtime": "python3.14",
            "Architectures": ["arm64"],
            "MemorySize": 512,
            "Timeout": 900,
            "LoggingConfig": {"LogGroup": {"Ref": "ECRPublicImageHandlerLogs"}},
            "Environment": Match.absent(),
        },
    )


def test_the_same_app_renders_the_same_template_twice() -> None:
    templates = []
    for _ in range(2):
        stack = Stack(App(), "Stack")
        image(stack, tags=["1"], refresh="7")
        templates.append(Template.from_stack(stack).to_json())

    assert templates[0] == templates[1]


@pytest.mark.parametrize(
    ("source", "granted"),
    [
        (lambda _: ImageSource.digest(DIGEST), [LOGIN, PUBLISH]),
        (lambda _: ImageSource.tag("build-1"), [LOGIN, PUBLISH]),
        (lambda _: ImageSource.manifest(MANIFEST), [PUBLISH]),
        (lambda _: ImageSource.registry("ghcr.io/acme/agent:1"), [PUBLISH, COPY, LOGIN]),
        (lambda _: ImageSource.public("public.ecr.aws/acme/other", digest=DIGEST), [LOGIN, PUBLISH, COPY]),
        (
            lambda stack: ImageSource.ecr(ecr.Repository.from_repository_name(stack, "Private", "in/side"), tag="1"),
            [
                {
                    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    "Effect": "Allow",
                    "Resource": Match.any_value(),
                },
                {"Action": "ecr:GetAuthorizationToken", "Effect": "Allow", "Resource": "*"},
                PUBLISH,
                COPY,
                LOGIN,
            ],
        ),
        (lambda _: ImageSource.index({"linux/amd64": ImageSource.digest(DIGEST)}), [LOGIN, PUBLISH]),
    ],
)
def test_a_source_grants_exactly_what_it_needs(
    stack: Stack, source: Callable[[Stack], IImageSource], granted: list[dict[str, Any]]
) -> None:
    image(stack, source=source(stack))

    found = statements(stack)

    assert len(found) == len(granted)
    for statement, expected in zip(found, granted, strict=True):
        assert statement == {**expected, "Resource": _any(expected["Resource"], statement["Resource"])}


def _any(expected: object, found: object) -> object:
    return expected if isinstance(expected, str | dict) else found


def test_credentials_are_a_reference_to_a_secret_that_the_function_may_read(stack: Stack) -> None:
    secret = secretsmanager.Secret(stack, "Secret")

    image(stack, source=ImageSource.registry("ghcr.io/acme/agent:1", credentials=secret))

    reference = {"Ref": stack.get_logical_id(secret.node.default_child)}  # type: ignore[arg-type]
    assert resource(stack)["Properties"]["Source"]["Image"]["CredentialsSecretArn"] == reference
    assert any(
        "secretsmanager:GetSecretValue" in statement["Action"] and statement["Resource"] == reference
        for statement in statements(stack)
    )


def test_two_repositories_become_two_resources_of_one_statement(stack: Stack) -> None:
    image(stack, "First", source=ImageSource.manifest(MANIFEST))
    image(stack, "Second", source=ImageSource.manifest(MANIFEST), repository_name="acme/other")

    assert statements(stack) == [
        {**PUBLISH, "Resource": [REPOSITORY_ARN, arn(":ecr-public::ACCOUNT:repository/acme/other")]}
    ]


def test_a_small_manifest_is_in_the_template_with_its_digest(stack: Stack) -> None:
    image(stack, source=ImageSource.manifest(MANIFEST))

    properties = resource(stack)["Properties"]

    assert properties["Source"] == {"Manifest": {"Body": MANIFEST}}
    assert properties["ImageDigest"].startswith("sha256:")


@pytest.mark.parametrize("text", ["é", "x" * 17_000])
def test_a_large_or_non_ascii_manifest_becomes_an_object_that_only_the_function_may_read(
    stack: Stack, tmp_path: Path, text: str
) -> None:
    content = json.dumps({**json.loads(MANIFEST), "annotations": {"a": text}}, ensure_ascii=False).encode()
    (tmp_path / "manifest.json").write_bytes(content)

    image(stack, source=ImageSource.manifest_file(tmp_path / "manifest.json"))

    source = resource(stack)["Properties"]["Source"]["Manifest"]
    (read,) = [statement for statement in statements(stack) if statement["Action"] == "s3:GetObject"]
    assert source.keys() == {"Bucket", "Key"}
    assert read["Resource"]["Fn::Join"][1][-1] == f"/{source['Key']}"


def test_a_copy_gets_the_maximum_time_of_the_function(stack: Stack) -> None:
    image(stack, source=ImageSource.registry("ghcr.io/acme/agent:1"))

    assert resource(stack)["Properties"]["ServiceTimeout"] == "960"


def test_renders_only_the_given_rules(stack: Stack) -> None:
    image(
        stack,
        expected_digest=DIGEST,
        platforms=["linux/amd64"],
        required_platforms=("linux/arm64",),
        refresh="again",
        tags=("1",),
    )

    properties = resource(stack)["Properties"]

    assert list(properties)[2:] == [
        "RepositoryName", "ImageTags", "ImageDigest", "Source", "Platforms", "RequiredPlatforms", "Refresh",
    ]  # fmt: skip
    assert decode({key: value for key, value in properties.items() if key != "ServiceToken"}).tags == ("1",)


def test_attributes_are_those_of_the_resource(stack: Stack) -> None:
    release = image(stack)

    resolved = stack.resolve([release.image_digest, release.image_uri, release.image_uri_for_tag("1")])

    logical_id = next(iter(Template.from_stack(stack).find_resources("Custom::ECRPublicImage")))
    assert resolved == [
        {"Fn::GetAtt": [logical_id, "ImageDigest"]},
        {"Fn::GetAtt": [logical_id, "ImageUri"]},
        {"Fn::Join": [":", [{"Fn::GetAtt": [logical_id, "RepositoryUri"]}, "1"]]},
    ]


def test_accepts_tokens_for_every_value(stack: Stack) -> None:
    parameter = CfnParameter(stack, "Parameter").value_as_string
    repository = PublicRepository.from_repository_name(stack, "Repository", parameter, registry_id=parameter)

    PublicImage(
        stack,
        "Release",
        repository=repository,
        source=ImageSource.digest(Fn.import_value("digest")),
        tags=Token.as_list(Fn.split(",", parameter)),
        expected_digest=parameter,
        refresh=parameter,
    )
    PublicImage(stack, "Tag", repository=repository, source=ImageSource.tag(parameter), tags=[parameter])
    PublicImage(stack, "Manifest", repository=repository, source=ImageSource.manifest(parameter), tags=["x"])
    PublicImage(stack, "Copy", repository=repository, source=ImageSource.registry(parameter), tags=["y"])

    Template.from_stack(stack).has_resource_properties(
        "Custom::ECRPublicImage",
        {
            "RegistryId": {"Ref": "Parameter"},
            "RepositoryName": {"Ref": "Parameter"},
            "ImageTags": {"Fn::Split": [",", {"Ref": "Parameter"}]},
            "Source": {"Digest": {"Fn::ImportValue": "digest"}},
        },
    )


def test_warns_about_a_tag_as_source(stack: Stack) -> None:
    image(stack, source=ImageSource.tag("build-1"))

    Annotations.from_stack(stack).has_warning(
        "/Stack/Release",
        Match.string_like_regexp(
            "tag 'build-1' of repository 'acme/agent'; cdk diff cannot see that.*@cdk-ecrpublic:mutableTag"
        ),
    )


def test_does_not_warn_about_a_digest_as_source(stack: Stack) -> None:
    image(stack)

    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


def test_a_nested_stack_has_its_own_function(stack: Stack) -> None:
    nested = NestedStack(stack, "Nested")
    image(nested)

    Template.from_stack(nested).resource_count_is("AWS::Lambda::Function", 1)


def test_the_provider_can_get_grants(stack: Stack) -> None:
    provider = PublicImageProvider(stack, "Provider")

    s3.Bucket(stack, "Bucket").grant_read(provider)

    assert any("s3:GetObject*" in statement["Action"] for statement in statements(stack))


def test_aspects_of_the_stack_apply_to_the_function(stack: Stack) -> None:
    image(stack)
    Aspects.of(stack).add(Tag("team", "agent"))

    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function", {"Tags": [{"Key": "team", "Value": "agent"}]}
    )


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda s: image(s, tags=["la test"]), "Stack/Release: tags[0]: 'la test' is not a tag; expected"),
        (lambda s: image(s, tags="latest"), "Stack/Release: tags: 'latest' is a str; expected a list of tags"),
        (lambda s: image(s, tags=["1", "1"]), "Stack/Release: tags: listed twice: '1'"),
        (lambda s: image(s, source=ImageSource.digest("sha256:1")), "ImageSource.digest: 'sha256:1' is not a digest"),
        (lambda s: image(s, source=ImageSource.tag("")), "ImageSource.tag: '' is not a tag"),
        (lambda s: image(s, source=ImageSource.manifest("{}")), "ImageSource.manifest: the manifest has no mediaType"),
        (
            lambda s: image(s, source=ImageSource.manifest(MANIFEST, digest=DIGEST)),
            "ImageSource.manifest: the manifest has the digest",
        ),
        (
            lambda s: image(s, source=ImageSource.manifest_file("missing.json")),
            "ImageSource.manifest_file: 'missing.json' cannot be read: No such file",
        ),
        (lambda s: image(s, source=ImageSource.registry("nginx")), "ImageSource.registry: 'nginx' is not an image"),
        (
            lambda s: image(s, source=ImageSource.public("public.ecr.aws/a/b")),
            "ImageSource.public: tag is None and digest is None; expected exactly one of them",
        ),
        (
            lambda s: image(s, source=ImageSource.index({"linux/arm64": ImageSource.manifest(UNKNOWN, digest=DIGEST)})),
            "Stack/Release: ImageSource.index: linux/arm64: the manifest is a token, so only the deployment can",
        ),
        (
            lambda s: image(s, source=ImageSource.manifest(UNKNOWN, digest=DIGEST), platforms=["linux/arm64"]),
            "Stack/Release: platforms: the manifest is a token, so only the deployment can compare",
        ),
        (lambda s: image(s, source=ImageSource.index({})), "ImageSource.index: has no images"),
        (
            lambda s: image(s, source=ImageSource.index({"arm": ImageSource.digest(DIGEST)})),
            "ImageSource.index: 'arm' is not a platform",
        ),
        (
            lambda s: image(s, source=ImageSource.index({"a/b": ImageSource.digest(DIGEST)}, media_type="x")),
            "ImageSource.index: media_type: 'x' is unknown",
        ),
        (lambda s: image(s, platforms=["arm"]), "Stack/Release: platforms[0]: 'arm' is not a platform"),
        (lambda s: image(s, expected_digest="x"), "Stack/Release: expected_digest: 'x' is not a digest"),
        (lambda s: image(s, expected_digest=OTHER), "Stack/Release: expected_digest: 'sha256:bbbb"),
        (
            lambda s: image(s, source=ImageSource.manifest(MANIFEST), expected_digest=DIGEST),
            "Stack/Release: expected_digest: 'sha256:aaaa",
        ),
        (lambda s: image(s, tags=None), "Stack/Release: tags: None; expected a list of tags"),
        (lambda s: image(s, repository_name="public.ecr.aws/X"), "(without registry host and alias)"),
        (lambda s: image(s).image_uri_for_tag("a b"), "Stack/Release: image_uri_for_tag: 'a b' is not a tag"),
        (
            lambda s: PublicImageProvider(s, "P", timeout=Duration.seconds(30)),
            "Stack/P: timeout: 30 seconds; allowed: 60 to 900",
        ),
        (lambda s: [image(s), PublicImageProvider(s, "P")], "Stack/P: stack 'Stack' already has a PublicImageProvider"),
        (
            lambda s: image(s, provider=PublicImageProvider(Stack(s.node.root, "Other"), "P")),
            "Stack/Release: provider: 'Other/P' is in another stack; create a PublicImageProvider in stack 'Stack'",
        ),
    ],
)
def test_refuses_with_the_path_the_value_and_what_is_allowed(
    stack: Stack, declare: Callable[[Stack], object], said: str
) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the whole text is compared
        declare(stack)

    assert said in str(failure.value)


def test_refuses_a_tag_that_is_declared_twice_in_the_app() -> None:
    app = App()
    image(Stack(app, "First"), tags=["1", "latest"])

    with pytest.raises(
        ValueError, match="tag 'latest' of repository 'acme/agent' is already declared by 'First/Release'"
    ):
        image(Stack(app, "Second"), tags=["2", "latest"])


ARN = "arn:aws:ecr-public::111111111111:repository/acme/agent"


@pytest.mark.parametrize(
    "second",
    [
        lambda stack: PublicRepository.from_repository_name(stack, "Second", "acme/agent", registry_id="acme"),
        lambda stack: PublicRepository.from_repository_name(stack, "Second", "acme/agent", registry_id="111111111111"),
        lambda stack: PublicRepository.from_repository_arn(stack, "Second", ARN),
        lambda stack: PublicRepository.from_repository_arn(stack, "Second", ARN, registry_alias="acme"),
        lambda stack: PublicRepository.from_cfn_public_repository(
            ecr.CfnPublicRepository(stack, "Second", repository_name="acme/agent")
        ),
    ],
    ids=["alias", "account", "ARN", "ARN and alias", "L1"],
)
def test_refuses_a_duplicate_tag_even_if_the_repository_is_named_in_two_ways(
    second: Callable[[Stack], IPublicRepository],
) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region="us-east-1"))
    image(stack, tags=["latest"])

    with pytest.raises(
        ValueError, match="tag 'latest' of repository 'acme/agent' is already declared by 'Stack/Release'"
    ):
        PublicImage(stack, "Twin", repository=second(stack), source=ImageSource.digest(DIGEST), tags=["latest"])


@pytest.mark.parametrize(
    ("first", "second"), [("111111111111", "222222222222"), (None, "111111111111"), ("111111111111", None)]
)
def test_accepts_the_same_tag_in_two_accounts(first: str | None, second: str | None) -> None:
    app = App()
    for name, account in (("First", first), ("Second", second)):
        image(Stack(app, name, env=Environment(account=account, region="eu-west-1")), tags=["latest"])


def test_accepts_the_same_tag_in_two_stages_while_accounts_are_unknown() -> None:
    app = App()
    for name in ("Development", "Production"):
        image(Stack(Stage(app, name), "Stack"), tags=["latest"])


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_refuses_a_partition_without_ecr_public(region: str) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region=region))

    with pytest.raises(ValueError, match="Amazon ECR Public is not available in partition"):
        image(stack)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "ap-southeast-2"])
def test_accepts_any_commercial_region(region: str) -> None:
    image(Stack(App(), "Stack", env=Environment(account="111111111111", region=region)))
