"""Templates that use all features of CloudFormation: plan, deployment and verify agree."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.review.app.assembly import Assembly, Reading, read_assembly
from cdk_ecrpublic.review.drift import Finding, Verdict, find_drift
from cdk_ecrpublic.review.effect import Effect, State
from cdk_ecrpublic.review.forecast import find_effects
from cdk_ecrpublic.review.live.environment import environments
from cdk_ecrpublic.review.live.registry import Registry
from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import build_image, push_image, resolve_tags

from .conftest import Project
from .expressions import BUCKET, FORMS, Written, key_of

pytestmark = pytest.mark.cdk

REPOSITORY, STACK = "templates/image", "Templates"
IMAGES = tuple(build_image({"etc/name": name}) for name in (b"one", b"two"))

PROVIDER = f"""
from aws_cdk import App, CfnOutput
from cdk_ecrpublic import PublicImageProviderStack

app = App()
stack = PublicImageProviderStack(app, "Provider", repositories=[{REPOSITORY!r}], removes=True)
CfnOutput(stack, "Shared", value="shared", export_name="templates-shared")
app.synth()
"""


@dataclass
class Account:
    """An account in which the function is a separate stack."""

    sandbox: SandboxProcess
    folder: Path

    def begin(self) -> None:
        """Delete the stack and all tags."""
        self.cloudformation.delete_stack(StackName=STACK)
        self.wait("stack_delete_complete")
        ecr = self.sandbox.client("ecr-public")
        if tags := self.tags():
            ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag} for tag in tags])
        for image in IMAGES:
            push_image(self.sandbox, REPOSITORY, image, [])

    @property
    def cloudformation(self) -> Any:
        return self.sandbox.client("cloudformation")

    def tags(self) -> dict[str, str]:
        return resolve_tags(self.sandbox, REPOSITORY)

    def store(self, stored: Mapping[str, str]) -> None:
        for name, value in stored.items():
            self.sandbox.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    def read(self, written: Written, *, as_deployed: bool = False) -> tuple[Assembly, Registry]:
        """Read the template as if cdk had synthesized it, without an account and Region."""
        artifact = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": "template.json"},
            "dependencies": ["assets"],
        }
        assets = {"type": "cdk:asset-manifest", "properties": {"file": "assets.json"}}
        (self.folder / "manifest.json").write_text(json.dumps({"artifacts": {STACK: artifact, "assets": assets}}))
        files = {}
        for template in written.nested.values():
            (self.folder / key_of(template)).write_text(json.dumps(template))
            place = {"bucketName": BUCKET, "objectKey": key_of(template)}
            files[key_of(template)] = {"source": {"path": key_of(template)}, "destinations": {"here": place}}
        (self.folder / "assets.json").write_text(json.dumps({"files": files}))
        (self.folder / "template.json").write_text(json.dumps(written.template))
        registry = Registry()
        reading = Reading(environments=environments(registry), parameters=written.given, as_deployed=as_deployed)
        return read_assembly(self.folder, reading=reading), registry

    def plan(self, written: Written) -> list[Effect]:
        return find_effects(*self.read(written))

    def verify(self, written: Written) -> list[Finding]:
        assembly, registry = self.read(written, as_deployed=True)
        return find_drift(assembly.images, registry)

    def deploy(self, written: Written) -> None:
        """Deploy as cdk does, so that parameters that are not given keep their values."""
        stacks = {each["StackName"] for each in self.cloudformation.describe_stacks()["Stacks"]}
        known = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0] if STACK in stacks else {}
        before = {each["ParameterKey"] for each in known.get("Parameters", ())} & written.parameters.keys()
        parameters = [
            *({"ParameterKey": name, "ParameterValue": value} for name, value in written.given.items()),
            *({"ParameterKey": name, "UsePreviousValue": True} for name in before - written.given.keys()),
        ]
        for template in written.nested.values():
            self.sandbox.client("s3").put_object(Bucket=BUCKET, Key=key_of(template), Body=json.dumps(template))
        call = self.cloudformation.update_stack if known else self.cloudformation.create_stack
        call(StackName=STACK, TemplateBody=json.dumps(written.template), Parameters=parameters)
        self.wait("stack_update_complete" if known else "stack_create_complete")

    def wait(self, what: str, stack: str = STACK) -> None:
        waiter = self.cloudformation.get_waiter(what)
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


@pytest.fixture(scope="module")
def account(aws: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "cdk.json").write_text('{"app": "python3 app.py"}')
    (folder / "app.py").write_text(PROVIDER)
    aws.client("ecr-public").create_repository(repositoryName=REPOSITORY)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    Project(aws, folder, REPOSITORY).deploy()
    before = dict(os.environ)
    os.environ.update(aws.environment())
    yield Account(aws, tmp_path_factory.mktemp("assembly"))
    os.environ.clear()
    os.environ.update(before)
    aws.client("cloudformation").delete_stack(StackName=STACK)
    aws.client("cloudformation").delete_stack(StackName="Provider")


def write(forms: Sequence[str], version: str, image: int) -> Written:
    """Declare an image for each form, and one in a nested stack, each with a unique tag."""
    written = Written()
    for number, form in enumerate(forms):
        name = f"{form.title().replace(' ', '')}{number}"
        tags = FORMS[form](written, f"P{name}", f"{name.lower()}-{version}")
        add(written, f"Image{number}", tags, IMAGES[image].digest, **condition(written, number))
    nested = Written()
    add(nested, "Image", [nested.parameter("Tag")], IMAGES[image].digest)
    written.nest("Nested", nested.template, Tag=written.parameter("NestedTag", Default=f"nested-{version}"))
    return written


def condition(written: Written, number: int) -> Mapping[str, str]:
    """Make a third of the images conditional, and every second one of these conditions false."""
    if number % 3:
        return {}
    name = f"Is{number}"
    stage = written.parameter(f"Stage{number}", Default="prod")
    written.conditions[name] = {"Fn::Equals": [stage, "prod" if number % 2 else "dev"]}
    return {"Condition": name}


def add(written: Written, name: str, tags: object, digest: object, **more: object) -> None:
    properties = {
        "ServiceToken": {"Fn::ImportValue": "ECRPublicImageHandlerArn"},
        "ServiceTimeout": 300,
        "RepositoryName": REPOSITORY,
        "ImageTags": tags,
        "Source": {"Digest": digest},
    }
    written.images[name] = {"Type": "Custom::ECRPublicImage", "Properties": properties, **more}


def check(account: Account, written: Written) -> None:
    """Plan, deploy, verify, and plan again."""
    account.store(written.stored)
    before, effects = account.tags(), account.plan(written)
    assert [effect.problems for effect in effects if effect.state is State.UNKNOWN] == []
    account.deploy(written)
    assert account.tags() == {**before, **{tag.tag: tag.after for effect in effects for tag in effect.tags}}
    assert {finding.verdict for finding in account.verify(written)} == {Verdict.AS_DECLARED}
    assert {effect.state for effect in account.plan(written)} == {State.UNCHANGED}


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(forms=st.permutations(sorted(FORMS)), some=st.lists(st.sampled_from(sorted(FORMS)), max_size=3))
def test_a_plan_predicts_the_deployment_of_any_template(
    account: Account, forms: Sequence[str], some: Sequence[str]
) -> None:
    account.begin()
    first = write([*forms[:7], *some], "1", 0)
    check(account, first)
    second = write([*forms[:7], *some, *forms[7:]], "1", 1)
    # A parameter that is no longer given keeps its value.
    second.given = {name: value for name, value in second.given.items() if name not in first.given}
    check(account, second)


def test_a_condition_decides_whether_there_is_an_image(account: Account) -> None:
    account.begin()
    written = Written(conditions={"Prod": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}})
    written.parameter("Stage", Default="dev")
    add(written, "Always", ["always"], IMAGES[0].digest)
    add(written, "InProd", ["stable"], IMAGES[0].digest, Condition="Prod")

    check(account, written)
    assert account.tags().keys() == {"always"}
    written.given["Stage"] = "prod"
    check(account, written)
    assert account.tags().keys() == {"always", "stable"}
    written.given.clear()
    assert len(account.plan(written)) == 2, "the stack keeps the given values"


def test_a_changed_ssm_parameter_takes_effect_with_the_next_deployment(account: Account) -> None:
    account.begin()
    account.store({"/t/digest": IMAGES[0].digest})
    written = Written()
    digest = written.parameter("Digest", "AWS::SSM::Parameter::Value<String>", Default="/t/digest")
    add(written, "Image", ["latest"], digest)
    account.deploy(written)
    account.store({"/t/digest": IMAGES[1].digest})

    (finding,), (effect,) = account.verify(written), account.plan(written)

    assert finding.verdict is Verdict.AS_DECLARED, "the deployed value counts, not the current one"
    assert effect.state is State.CHANGED
    account.deploy(written)
    assert account.tags() == {"latest": IMAGES[1].digest}


def test_a_changed_dynamic_reference_may_go_unnoticed(account: Account) -> None:
    """It is unknown when CloudFormation resolves one again, so a plan cannot show it."""
    account.begin()
    account.store({"/t/moving": IMAGES[0].digest})
    written = Written()
    add(written, "Image", ["latest"], "{{resolve:ssm:/t/moving}}")
    check(account, written)
    account.store({"/t/moving": IMAGES[1].digest})

    (effect,) = account.plan(written)

    assert effect.state is State.UNKNOWN
    assert "add a version: " in effect.problems[0]


def test_a_changed_output_of_another_stack_may_go_unnoticed(account: Account) -> None:
    """With a weak reference, the template stays the same, so CloudFormation may have nothing to do."""
    account.begin()
    output = {"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}
    bodies = [json.dumps({**output, "Outputs": {"Digest": {"Value": image.digest}}}) for image in IMAGES]
    account.cloudformation.create_stack(StackName="Weak", TemplateBody=bodies[0])
    account.wait("stack_create_complete", "Weak")
    written = Written()
    add(written, "Image", ["latest"], {"Fn::GetStackOutput": {"StackName": "Weak", "OutputName": "Digest"}})
    check(account, written)
    account.cloudformation.update_stack(StackName="Weak", TemplateBody=bodies[1])
    account.wait("stack_update_complete", "Weak")

    (effect,) = account.plan(written)

    assert effect.state is State.UNKNOWN
    assert "the stack Weak may have been deployed since" in effect.problems[0]


def test_a_nested_stack_outside_the_app_does_not_count_as_removed(account: Account) -> None:
    account.begin()
    written, nested = Written(), Written()
    add(written, "Own", ["own"], IMAGES[0].digest)
    add(nested, "Image", ["nested"], IMAGES[0].digest, DeletionPolicy="Delete")
    nested.images["Image"]["Properties"]["OnDelete"] = "Delete"
    written.nest("Nested", nested.template)
    account.deploy(written)
    written.nested.clear()

    states = {effect.path: effect.state for effect in account.plan(written)}

    assert states == {"Own": State.UNCHANGED, "Nested": State.UNKNOWN}


def test_a_secret_is_neither_resolved_nor_printed(account: Account) -> None:
    account.begin()
    account.sandbox.client("secretsmanager").create_secret(Name="t-password", SecretString="hunter2")
    written = Written()
    add(written, "Image", ["{{resolve:secretsmanager:t-password}}"], IMAGES[0].digest)

    (effect,) = account.plan(written)

    assert effect.state is State.UNKNOWN
    assert "hunter2" not in repr(effect)
    assert "declare the ARN of the secret" in effect.problems[0]
