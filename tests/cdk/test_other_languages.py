"""Images that are declared without this library: raw CloudFormation, SAM, and an app in TypeScript."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk
import pytest
import yaml
from jsonschema import Draft202012Validator

from cdk_ecrpublic.review.app.resolver import Resolver
from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import push_image
from tests.support.distribution import CHECKOUT
from tests.support.scope import FixedScope

from .conftest import Project

pytestmark = pytest.mark.cdk

DOCS = CHECKOUT / "docs"
SCHEMA = json.loads((DOCS / "reference" / "custom-resource.schema.json").read_text(encoding="utf-8"))
GUIDE = (DOCS / "how-to" / "other-languages.md").read_text(encoding="utf-8")
TYPESCRIPT = DOCS / "examples" / "typescript"
SAM = DOCS / "examples" / "sam" / "template.yaml"

LANGUAGES = ("languages/yaml", "languages/sam", "languages/typescript")

APP = f"""
from aws_cdk import App
from cdk_ecrpublic import PublicImageProviderStack

app = App()
PublicImageProviderStack(app, "Images", repositories={list(LANGUAGES)!r}, removes=True)
app.synth()
"""

TEMPLATE = """
Resources:
  Release:
    Type: Custom::ECRPublicImage
    Properties:
      ServiceToken: !ImportValue ECRPublicImageHandlerArn
      ServiceTimeout: 300
      RepositoryName: {repository}
      ImageTags: [{tags}]
      OnTagRemoved: Untag
      OnDelete: Delete
      StateParameterName: /cdk-ecrpublic/{repository}/Raw.Release
      Source:
        Digest: {digest}
Outputs:
  Uri:
    Value: !GetAtt Release.ImageUri
"""


@pytest.fixture(scope="module")
def account(aws: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """An account in which the function is a separate stack."""
    folder = tmp_path_factory.mktemp("provider")
    (folder / "cdk.json").write_text('{"app": "python3 app.py"}', encoding="utf-8")
    (folder / "app.py").write_text(APP, encoding="utf-8")
    for name in LANGUAGES:
        aws.client("ecr-public").create_repository(repositoryName=name)
    Project(aws, folder, "").deploy()
    yield aws
    aws.client("cloudformation").delete_stack(StackName="Images")


@pytest.fixture
def provider(account: SandboxProcess, tmp_path: Path) -> Iterator[Project]:
    """Give a test its own stack, which imports the function."""
    yield Project(account, tmp_path, "languages/yaml")
    for name in ("Raw", "AgentRelease"):
        account.client("cloudformation").delete_stack(StackName=name)


def wait(provider: Project, what: str) -> None:
    waiter = provider.sandbox.client("cloudformation").get_waiter(what)
    waiter.wait(StackName="Raw", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def problems(template: dict[str, Any]) -> list[str]:
    """Validate the images of a template against the schema in the documentation."""
    parameters = {name: each.get("Default") for name, each in template.get("Parameters", {}).items()}
    resolve = Resolver(FixedScope(parameters))
    images = [each for each in template["Resources"].values() if each["Type"] == "Custom::ECRPublicImage"]
    assert images
    return [
        f"{error.json_path}: {error.message}"
        for image in images
        for error in Draft202012Validator(SCHEMA).iter_errors(resolve(image["Properties"]))
    ]


def test_a_yaml_template_publishes_moves_and_removes(provider: Project) -> None:
    cloudformation = provider.sandbox.client("cloudformation")
    first, second = provider.push("first"), provider.push("second")
    push_image(provider.sandbox, provider.repository, first, ["by-hand"])

    def template(digest: str, *tags: str) -> str:
        return TEMPLATE.format(
            repository=provider.repository, digest=digest, tags=", ".join(f'"{tag}"' for tag in tags)
        )

    cloudformation.create_stack(StackName="Raw", TemplateBody=template(first.digest, "1.0", "latest"))
    wait(provider, "stack_create_complete")
    assert provider.tags() == {"1.0": first.digest, "by-hand": first.digest, "latest": first.digest}
    (output,) = cloudformation.describe_stacks(StackName="Raw")["Stacks"][0]["Outputs"]
    assert output["OutputValue"].endswith(f"/{provider.repository}@{first.digest}")

    cloudformation.update_stack(StackName="Raw", TemplateBody=template(second.digest, "latest"))
    wait(provider, "stack_update_complete")
    assert provider.tags() == {"by-hand": first.digest, "latest": second.digest}

    cloudformation.delete_stack(StackName="Raw")
    wait(provider, "stack_delete_complete")
    assert provider.tags() == {"by-hand": first.digest}


def test_the_sam_template_is_valid_and_publishes(provider: Project) -> None:
    """
    The sandbox validates it unchanged, and deploys the result of SAM's transform.

    The transform is AWS's own. It rewrites ``AWS::Serverless::*``, of which the
    template has none, and leaves everything else as it stands.
    """
    provider = replace(provider, repository="languages/sam")
    cloudformation, image = provider.sandbox.client("cloudformation"), provider.push("sam")
    text = SAM.read_text(encoding="utf-8")
    template = parse(text)

    assert problems(template) == []
    assert not [each for each in template["Resources"].values() if each["Type"].startswith("AWS::Serverless::")]
    declared = cloudformation.validate_template(TemplateBody=text)["Parameters"]
    assert {each["ParameterKey"] for each in declared} == {"Repository", "Version", "Digest"}

    values = {"Repository": provider.repository, "Version": "2.0.0", "Digest": image.digest}
    cloudformation.create_stack(
        StackName="Raw",
        TemplateBody=text.replace(f"Transform: {template['Transform']}\n", ""),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    )
    wait(provider, "stack_create_complete")
    assert provider.tags() == {"2.0.0": image.digest, "latest": image.digest}


def test_a_typescript_app_is_synthesized_and_deployed(provider: Project) -> None:
    provider = replace(provider, repository="languages/typescript", folder=provider.folder / "app")
    image = provider.push("typescript")
    shutil.copytree(TYPESCRIPT, provider.folder)
    install_npm_packages(provider.folder / "node_modules")
    context = {"repository": provider.repository, "version": "3.1.4", "digest": image.digest}
    options = [part for name, value in context.items() for part in ("--context", f"{name}={value}")]

    synthesized = provider.cdk("synth", "--quiet", *options)
    assert synthesized.returncode == 0, synthesized.stdout
    template = json.loads((provider.folder / "cdk.out" / "AgentRelease.template.json").read_text(encoding="utf-8"))
    assert problems(template) == []
    assert [each["Type"] for each in template["Resources"].values()] == ["Custom::ECRPublicImage"]

    deployed = provider.cdk("deploy", "--app", "cdk.out", "--require-approval", "never")
    assert deployed.returncode == 0, deployed.stdout
    assert provider.tags() == dict.fromkeys(("3.1.4", "3.1", "3", "latest"), image.digest)
    assert f"/{provider.repository}@{image.digest}" in deployed.stdout


def install_npm_packages(folder: Path) -> None:
    """
    Install the npm packages aws-cdk-lib and constructs in the pinned versions.

    jsii's packages for Python bring npm's, with their bundled dependencies, so
    nothing has to be downloaded.
    """
    packages = Path(aws_cdk.__file__).parents[1]
    for archive in [*packages.glob("aws_cdk/**/_jsii/*.jsii.tgz"), *packages.glob("constructs/_jsii/*.jsii.tgz")]:
        with tarfile.open(archive) as tar:
            described = tar.extractfile("package/package.json")
            assert described
            target = folder / json.load(described)["name"]
            members = tar.getmembers()
            for member in members:
                member.name = member.name.removeprefix("package/")
            tar.extractall(target, members, filter="data")


def test_the_typescript_example_uses_the_pinned_versions() -> None:
    asked = json.loads((TYPESCRIPT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")

    assert set(asked) == {"aws-cdk-lib", "constructs"}
    for name, versions in asked.items():
        assert f'"{name}>={versions.removeprefix("^").removesuffix(".0").removesuffix(".0")},' in project


def test_the_typescript_types_have_every_property_and_source() -> None:
    source = (TYPESCRIPT / "public-image.ts").read_text(encoding="utf-8")
    interface = re.search(r"interface PublicImageProperties \{\n(.*?)\n\}", source, re.DOTALL)
    union = re.search(r"type Source =\n(.*?);\n\n", source, re.DOTALL)
    assert interface
    assert union
    named = dict(re.findall(r"^  readonly (\w+)(\??):", interface[1], re.MULTILINE))

    assert set(named) == set(SCHEMA["properties"]) - {"ServiceToken", "ServiceTimeout"}
    assert {name for name, optional in named.items() if not optional} == set(SCHEMA["required"])
    assert set(re.findall(r"\| \{ readonly (\w+):", union[1])) == set(SCHEMA["$defs"]["source"]["properties"])


def test_the_templates_of_the_guide_follow_the_schema() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)

    assert blocks
    assert [problems(parse(block)) for block in blocks] == [[] for _ in blocks]


def test_detects_a_template_that_does_not_follow_the_schema() -> None:
    text = SAM.read_text(encoding="utf-8").replace("ImageTags:", "Tags:")

    assert problems(parse(text)) == ["$: Additional properties are not allowed ('Tags' was unexpected)"]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A YAML loader that reads CloudFormation's short forms as long forms."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, object]:
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": loader.construct_scalar(node)}


_Loader.add_multi_constructor("!", _intrinsic)


def parse(text: str) -> dict[str, Any]:
    """Read a template in YAML."""
    template: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506 - one of SafeLoader's kind
    return template
