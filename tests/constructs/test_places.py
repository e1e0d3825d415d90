"""The places of stacks, and references between them: Regions, stages, pipelines, exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_cdk import App, CfnOutput, CfnParameter, Environment, Fn, NestedStack, RemovalPolicy, Stack, Stage, pipelines
from aws_cdk import aws_ssm as ssm
from aws_cdk.assertions import Template
from aws_cdk.region_info import RegionInfo

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicImageProviderStack, PublicRepository

DIGEST = "sha256:" + "a" * 64
ACCOUNT = "111111111111"
PARTITIONS = {region.name: region.partition for region in RegionInfo.regions}
COMMERCIAL = sorted(name for name, partition in PARTITIONS.items() if partition == "aws")
OTHERS = sorted(name for name, partition in PARTITIONS.items() if partition != "aws")


def image(scope: Stack, construct_id: str = "Release", **options: Any) -> PublicImage:
    repository = options.pop("repository", None) or PublicRepository.from_repository_name(
        scope, f"{construct_id}Repository", "acme/agent"
    )
    return PublicImage(scope, construct_id, repository=repository, **{"source": ImageSource.digest(DIGEST), **options})


def properties(stack: Stack) -> dict[str, Any]:
    (found,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return dict(found["Properties"])


def repository_arns(stack: Stack) -> Iterator[Any]:
    for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if "ecr-public:PutImage" in statement["Action"]:
                yield statement["Resource"]


def test_the_cdk_has_the_table_of_regions() -> None:
    assert {"us-east-1", "eu-central-1", "ap-southeast-2"} <= set(COMMERCIAL)
    assert {"cn-north-1", "us-gov-west-1"} <= set(OTHERS)


@pytest.mark.parametrize("region", COMMERCIAL)
def test_renders_the_same_in_every_commercial_region(region: str) -> None:
    """The API of ECR Public is in us-east-1. The function knows that, and the declaration does not depend on it."""
    here, virginia = (
        Stack(App(), "Stack", env=Environment(account=ACCOUNT, region=name)) for name in (region, "us-east-1")
    )
    for stack in (here, virginia):
        image(stack, tags=["1"])

    assert properties(here) == properties(virginia)
    assert list(repository_arns(here)) == list(repository_arns(virginia))
    assert region not in json.dumps(properties(here))


@pytest.mark.parametrize("region", OTHERS)
@pytest.mark.parametrize(
    "declare",
    [
        image,
        lambda stack: PublicImageProvider(stack, "Provider"),
        lambda stack: PublicRepository(stack, "Agent"),
        lambda stack: PublicImageProviderStack(
            stack.node.root, "Provider", repositories=["acme/agent"], env=Environment(region=stack.region)
        ),
    ],
    ids=["image", "provider", "repository", "provider stack"],
)
def test_refuses_partitions_without_ecr_public(region: str, declare: Callable[[Stack], object]) -> None:
    stack = Stack(App(), "Stack", env=Environment(account=ACCOUNT, region=region))

    with pytest.raises(ValueError, match=rf"is not available in partition 'aws-.*{region}|in us-east-1 only.*{region}"):
        declare(stack)


def test_a_stack_can_be_environment_agnostic() -> None:
    stack = Stack(App(), "Stack")
    image(stack, repository=PublicRepository(stack, "Agent"), removal_policy=RemovalPolicy.DESTROY)

    text = json.dumps(Template.from_stack(stack).to_json())
    assert "${Token" not in text
    assert '"Ref": "AWS::Region"' in text


def test_a_repository_of_another_stack_becomes_a_reference() -> None:
    app = App()
    repositories, releases = Stack(app, "Repositories"), Stack(app, "Releases")
    image(releases, repository=PublicRepository(repositories, "Agent"), removal_policy=RemovalPolicy.DESTROY)

    found = properties(releases)

    name = found["RepositoryName"]["Fn::ImportValue"]
    assert found["StateParameterName"]["Fn::Join"][1][1] == {"Fn::ImportValue": name}
    exported = {output["Export"]["Name"] for output in Template.from_stack(repositories).find_outputs("*").values()}
    assert name in exported
    assert {arn["Fn::ImportValue"] for arn in repository_arns(releases)} <= exported
    assert releases.dependencies == [repositories]


def test_a_repository_of_another_region_becomes_a_reference() -> None:
    """Repositories can be created only in us-east-1, but images can be published from any Region."""
    app = App()
    virginia, ireland = (
        Stack(app, name, env=Environment(account=ACCOUNT, region=region), cross_region_references=True)
        for name, region in (("Repositories", "us-east-1"), ("Releases", "eu-west-1"))
    )
    image(ireland, repository=PublicRepository(virginia, "Agent", repository_name="acme/agent"))

    assert properties(ireland)["RepositoryName"]["Fn::GetAtt"][0].startswith("ExportsReader")
    assert ireland.dependencies == [virginia]


def test_another_stack_can_use_the_attributes_of_an_image() -> None:
    app = App()
    first, second = Stack(app, "First"), Stack(app, "Second")
    release = image(first, tags=["1"])
    CfnOutput(second, "Uri", value=release.image_uri)
    CfnOutput(second, "Tag", value=release.image_uri_for_tag("1"))
    image(second, source=ImageSource.digest(release.image_digest), tags=["2"], expected_digest=release.image_digest)

    exported = set(Template.from_stack(first).find_outputs("*"))
    attributes = ("ImageDigest", "ImageUri", "RepositoryUri")
    assert {name for name in attributes if any(name in output for output in exported)} == set(attributes)
    digest = properties(second)["Source"]["Digest"]
    assert digest.keys() == {"Fn::ImportValue"}
    assert properties(second)["ImageDigest"] == digest


def test_another_stack_can_copy_a_published_image() -> None:
    app = App()
    first, second = Stack(app, "First"), Stack(app, "Second")
    release = image(first)
    mirror = PublicRepository.from_repository_name(second, "Mirror", "acme/mirror")
    image(second, repository=mirror, source=ImageSource.public(release.repository_uri, digest=release.image_digest))

    reference = properties(second)["Source"]["Image"]["Reference"]["Fn::Join"][1]
    assert [part if isinstance(part, str) else next(iter(part)) for part in reference] == [
        "Fn::ImportValue",
        "@",
        "Fn::ImportValue",
    ]


def test_name_digest_and_tags_can_be_parameters() -> None:
    stack = Stack(App(), "Stack")
    name, digest, version = (
        ssm.StringParameter.value_for_string_parameter(stack, f"/{each}") for each in ("name", "digest", "version")
    )
    image(
        stack,
        repository=PublicRepository.from_repository_name(stack, "Agent", name),
        source=ImageSource.digest(digest),
        tags=[version, f"{version}-slim", "latest"],
        immutable_tags=[version],
    )

    found = properties(stack)

    assert [type(tag) for tag in found["ImageTags"]] == [dict, dict, str]
    assert found["ImageTags"][1]["Fn::Join"] == ["", [found["ImageTags"][0], "-slim"]]
    assert found["ImmutableTags"] == [found["ImageTags"][0]]


def test_a_list_of_tags_can_come_from_another_stack() -> None:
    app = App()
    first, second = Stack(app, "First"), Stack(app, "Second")
    image(second, tags=CfnParameter(first, "Tags", type="CommaDelimitedList").value_as_list)

    assert properties(second)["ImageTags"].keys() == {"Fn::Split"}


def test_a_digest_can_be_an_export_from_outside_the_app() -> None:
    stack = Stack(App(), "Stack")
    image(stack, source=ImageSource.digest(Fn.import_value("Build:Digest")))

    assert properties(stack)["Source"] == {"Digest": {"Fn::ImportValue": "Build:Digest"}}


def test_a_nested_stack_can_publish_to_a_repository_of_its_parent() -> None:
    parent = Stack(App(), "Parent")
    nested = NestedStack(parent, "Nested")
    release = image(nested, repository=PublicRepository(parent, "Agent"), removal_policy=RemovalPolicy.DESTROY)
    CfnOutput(parent, "Digest", value=release.image_digest)

    (stack,) = Template.from_stack(parent).find_resources("AWS::CloudFormation::Stack").values()
    assert properties(nested)["RepositoryName"]["Ref"] in stack["Properties"]["Parameters"]
    (output,) = Template.from_stack(parent).find_outputs("*").values()
    assert output["Value"]["Fn::GetAtt"][1].startswith("Outputs.")
    assert properties(nested)["StateParameterName"]["Fn::Join"][1][-2:] == [
        {"Ref": "AWS::StackName"},
        f".{next(iter(Template.from_stack(nested).find_resources('Custom::ECRPublicImage')))}",
    ]


class Release(Stage):
    """A stage of a pipeline, with one image and its URI as an output."""

    def __init__(self, scope: App, name: str, account: str, region: str) -> None:
        super().__init__(scope, name, env=Environment(account=account, region=region))
        self.stack = Stack(self, "Stack")
        self.uri = CfnOutput(self.stack, "Uri", value=image(self.stack, tags=["1.4.2", "latest"]).image_uri)


def test_a_pipeline_deploys_stages_to_accounts_and_regions() -> None:
    """Each has one function and the same declaration, and passes the URI to the next step."""
    app = App()
    home = Stack(app, "Pipeline", env=Environment(account=ACCOUNT, region="us-east-1"))
    arn = f"arn:aws:codestar-connections:us-east-1:{ACCOUNT}:connection/c"
    source = pipelines.CodePipelineSource.connection("acme/agent", "main", connection_arn=arn)
    synth = pipelines.ShellStep("Synth", input=source, commands=["cdk synth"])
    pipeline = pipelines.CodePipeline(home, "Pipeline", synth=synth, cross_account_keys=True)
    stages = [Release(app, "Beta", ACCOUNT, "us-east-1"), Release(app, "Prod", "222222222222", "eu-west-1")]
    for stage in stages:
        test = pipelines.ShellStep("Pull", commands=["docker pull $URI"], env_from_cfn_outputs={"URI": stage.uri})
        pipeline.add_stage(stage, post=[test])

    assembly = app.synth()

    assert {"Beta-Stack", "Prod-Stack"} <= {artifact.stack_name for artifact in assembly.stacks_recursively}
    beta, prod = (Template.from_stack(stage.stack).to_json()["Resources"] for stage in stages)
    assert beta["ECRPublicImageHandler"]["Type"] == prod["ECRPublicImageHandler"]["Type"] == "AWS::Lambda::Function"
    assert properties(stages[0].stack) == properties(stages[1].stack)


@pytest.mark.parametrize(
    ("first", "second", "account", "is_told"),
    [("Dev", "Prod", None, True), ("Dev", "Dev", None, False), ("Dev", "Prod", "111111111111", False)],
    ids=["two stacks", "one stack", "one account"],
)
def test_the_error_for_two_stacks_without_accounts_says_how_to_distinguish_them(
    first: str, second: str, account: str | None, *, is_told: bool
) -> None:
    app, env = App(), Environment(account=account, region="eu-west-1")
    stacks = {name: Stack(app, name, env=env) for name in {first, second}}
    image(stacks[first], tags=["latest"])

    with pytest.raises(ValueError, match="already declared by 'Dev/Release'") as failure:
        image(stacks[second], "Twin", tags=["latest"])

    assert ("(env=Environment(account=…)), or put each into a Stage" in str(failure.value)) == is_told
