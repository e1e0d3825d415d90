"""Resolving templates: unknown values must not look known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdk_ecrpublic.review.app.assembly import Reading, read_assembly
from cdk_ecrpublic.review.app.declared import DeclaredImage
from tests.support.environment import ACCOUNT, REGION, FixedEnvironment, KnownStack

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
UNKNOWN_PLACE = "aws://unknown-account/unknown-region"

Template = dict[str, Any]


def image(tag: object = "1", digest: object = DIGEST, **more: object) -> Template:
    properties = {"RepositoryName": "acme/agent", "ImageTags": [tag], "Source": {"Digest": digest}}
    return {"Type": "Custom::ECRPublicImage", "Properties": properties, **more}


def one(tag: object = "1", digest: object = DIGEST, **sections: Any) -> Template:
    return {"Resources": {"Image": image(tag, digest)}, **sections}


def read(
    folder: Path,
    templates: dict[str, Template],
    environment: FixedEnvironment,
    *,
    places: dict[str, str] | None = None,
    given: dict[str, str] | None = None,
) -> tuple[DeclaredImage, ...]:
    """Read the templates of an app, by stack name."""
    artifacts = {}
    for name, template in templates.items():
        (folder / f"{name}.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": (places or {}).get(name, UNKNOWN_PLACE),
            "properties": {"templateFile": f"{name}.json"},
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return read_assembly(folder, reading=Reading(environments=environment, parameters=given or {})).images


def only(folder: Path, template: Template, environment: FixedEnvironment | None = None, **given: str) -> DeclaredImage:
    (found,) = read(folder, {"Agent": template}, environment or FixedEnvironment(), given=given)
    return found


@pytest.mark.parametrize(
    ("declared", "value", "problem"),
    [
        ({"AllowedValues": ["dev", "prod"]}, "test", 'AllowedValues is ["dev", "prod"]'),
        ({"AllowedPattern": "v[0-9]+"}, "v1-rc", "AllowedPattern is v[0-9]+"),
        ({"MinLength": 2}, "1", "MinLength is 2"),
        ({"MaxLength": "3"}, "latest", "MaxLength is 3"),
        ({"Type": "Number", "MinValue": 2}, "1", "MinValue is 2"),
        ({"Type": "Number", "MaxValue": "2"}, "3", "MaxValue is 2"),
        ({"Type": "Number"}, "one", "'one' is not a number"),
    ],
)
def test_does_not_plan_a_value_that_cloudformation_refuses(
    tmp_path: Path, declared: Template, value: str, problem: str
) -> None:
    template = one({"Ref": "Tag"}, Parameters={"Tag": {"Type": "String", "Default": "1", **declared}})

    (said,) = only(tmp_path, template, Tag=value).unknowns

    assert said == (
        f"the parameter Tag is not known here: CloudFormation will refuse {value!r}: {problem}; "
        "give it with --parameters Tag=VALUE"
    )


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"AllowedValues": [1, 2]}, "2"),
        ({"AllowedPattern": "(?i)v[0-9]+"}, "V1"),
        ({"AllowedPattern": "[[:nonsense"}, "1"),
        ({"MinLength": 1, "MaxLength": "3"}, "1.4"),
        ({"Type": "Number", "MinValue": 1, "MaxValue": 10}, "9"),
    ],
)
def test_plans_a_value_that_cloudformation_accepts(tmp_path: Path, declared: Template, value: str) -> None:
    found = only(tmp_path, one({"Ref": "Tag"}, Parameters={"Tag": {"Type": "String", **declared}}), Tag=value)

    assert (found.unknowns, found.properties["ImageTags"]) == ((), [value])


def test_constraints_apply_to_list_items_and_to_names_of_ssm_parameters(tmp_path: Path) -> None:
    environment = FixedEnvironment(parameters={"/agent/tag": "latest"})
    names = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/agent/tag", "AllowedPattern": "/agent/.*"}
    tags = {"Type": "CommaDelimitedList", "Default": "1, 2", "AllowedPattern": "[0-9]"}
    template = one({"Fn::Join": ["-", {"Ref": "Tags"}]}, Parameters={"Tags": tags, "Name": names})
    template["Resources"]["Image"]["Properties"]["ImageTags"].append({"Ref": "Name"})

    assert only(tmp_path, template, environment).properties["ImageTags"] == ["1-2", "latest"]


STAGE = {"Parameters": {"Stage": {"Type": "String", "Default": "dev"}, "Zones": {"Type": "CommaDelimitedList"}}}
CONTAINS = {"Fn::Contains": [["prod", "test"], {"Ref": "Stage"}]}


def of_rule(assertion: object, condition: object = None, name: str = "Stages") -> Template:
    rule: Template = {"Assertions": [{"Assert": assertion, "AssertDescription": "only known stages"}]}
    return one(**STAGE, Rules={name: {**rule, **({"RuleCondition": condition} if condition else {})}})


@pytest.mark.parametrize(
    ("template", "stage"),
    [
        (of_rule(CONTAINS), "dev"),
        (of_rule(CONTAINS, {"Fn::Equals": [{"Ref": "Stage"}, "dev"]}), "dev"),
        (of_rule({"Fn::Not": [CONTAINS]}), "prod"),
        (of_rule({"Fn::EachMemberEquals": [{"Ref": "Zones"}, "a"]}), "dev"),
        (of_rule({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "c"]]}), "dev"),
    ],
)
def test_does_not_plan_parameters_that_a_rule_refuses(tmp_path: Path, template: Template, stage: str) -> None:
    found = only(tmp_path, template, Stage=stage, Zones="a,b")

    assert found.unknowns == (
        "the result of the rule Stages is not known here: CloudFormation will refuse it: only known stages",
    )


@pytest.mark.parametrize(
    ("template", "stage"),
    [
        (of_rule(CONTAINS), "prod"),
        (of_rule(CONTAINS, {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}), "dev"),
        (of_rule({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b", "c"]]}), "dev"),
        (of_rule({"Fn::EachMemberEquals": [{"Fn::Split": ["|", "a|a"]}, "a"]}), "dev"),
        (of_rule(CONTAINS, name="CheckBootstrapVersion"), "dev"),
    ],
)
def test_plans_parameters_that_a_rule_accepts(tmp_path: Path, template: Template, stage: str) -> None:
    assert only(tmp_path, template, Stage=stage, Zones="a,b").unknowns == ()


@pytest.mark.parametrize(
    "assertion", [{"Fn::Contains": [{"Fn::RefAll": "AWS::EC2::VPC::Id"}, {"Ref": "Stage"}]}, {"Fn::Contains": ["dev"]}]
)
def test_a_rule_that_cannot_be_evaluated_is_unknown(tmp_path: Path, assertion: object) -> None:
    (problem,) = only(tmp_path, of_rule(assertion), Zones="a").unknowns

    assert problem.startswith(("Fn::RefAll is not known", "Fn::Contains"))


@pytest.mark.parametrize("macro", ["Acme::Tags", ["AWS::LanguageExtensions", {"Name": "AWS::Include"}]])
def test_a_macro_may_change_every_image(tmp_path: Path, macro: object) -> None:
    (said,) = only(tmp_path, one(Transform=macro)).unknowns

    assert "does not run macros" in said


@pytest.mark.parametrize("macro", ["AWS::Serverless-2016-10-31", ["AWS::LanguageExtensions"]])
def test_a_macro_that_leaves_images_alone_does_not_matter(tmp_path: Path, macro: object) -> None:
    assert only(tmp_path, one(Transform=macro)).unknowns == ()


@pytest.mark.parametrize("name", ["Fn::Transform", "Fn::ForEach::Tags"])
def test_properties_that_a_transform_extends_are_unknown(tmp_path: Path, name: str) -> None:
    template = one()
    template["Resources"]["Image"]["Properties"][name] = {"Name": "AWS::Include"}

    (said,) = only(tmp_path, template).unknowns

    assert said.startswith(f"{name} is not known here: ")


def test_resources_that_a_macro_adds_can_be_images(tmp_path: Path) -> None:
    template = one()
    template["Resources"]["Fn::Transform"] = {"Name": "AWS::Include"}

    assert len(only(tmp_path, template).unknowns) == 1


def test_a_condition_from_a_loop_is_unknown(tmp_path: Path) -> None:
    template = one(Conditions={"Fn::ForEach::Stages": ["Stage", ["Prod"], {"Is${Stage}": True}]})
    template["Resources"]["Image"]["Condition"] = "IsProd"

    (said,) = only(tmp_path, template).unknowns

    assert "does not evaluate the function" in said


def test_a_mapping_that_a_macro_extends_is_unknown(tmp_path: Path) -> None:
    lookup = {"Fn::FindInMap": ["Stages", "prod", "tag", {"DefaultValue": "latest"}]}
    template = one(lookup, Mappings={"Stages": {"Fn::Transform": {"Name": "AWS::Include"}}})

    (said,) = only(tmp_path, template).unknowns

    assert "does not run macros" in said


def test_a_dynamic_reference_in_a_condition_is_not_compared(tmp_path: Path) -> None:
    template = one(Conditions={"Prod": {"Fn::Equals": ["{{resolve:ssm:/stage}}", "prod"]}})
    template["Resources"]["Image"]["Condition"] = "Prod"

    (said,) = only(tmp_path, template, FixedEnvironment(parameters={"/stage": "prod"})).unknowns

    assert "AWS::SSM::Parameter::Value<String>" in said


def test_a_deletion_policy_can_depend_on_a_condition(tmp_path: Path) -> None:
    template = one(Conditions={"Prod": {"Fn::Equals": ["prod", "prod"]}})
    template["Resources"]["Image"]["DeletionPolicy"] = {"Fn::If": ["Prod", "Retain", "Delete"]}

    assert only(tmp_path, template).outlives == {"DeletionPolicy"}


FIRST: Template = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {"Tag": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}, "Export": {"Name": "tag"}}},
}
CHANGED: Template = {**FIRST, "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "x"}}}}
WEAK = {"Fn::GetStackOutput": {"StackName": "First", "OutputName": "Tag"}}
STRONG = {"Fn::ImportValue": "tag"}


def deployed(second: Template | None = None) -> FixedEnvironment:
    """The first stack is deployed, and perhaps the second."""
    stacks = {"First": KnownStack(FIRST, outputs={"Tag": "topic-1"})}
    if second is not None:
        stacks["Second"] = KnownStack(second)
    return FixedEnvironment(stacks=stacks, exports={"tag": "topic-1"})


@pytest.mark.parametrize("reference", [WEAK, STRONG], ids=["weak", "strong"])
def test_an_unchanged_output_is_read_from_the_deployed_stack(tmp_path: Path, reference: object) -> None:
    (found,) = read(tmp_path, {"First": FIRST, "Second": one(reference)}, deployed())

    assert (found.unknowns, found.properties["ImageTags"]) == ((), ["topic-1"])


@pytest.mark.parametrize("reference", [WEAK, STRONG], ids=["weak", "strong"])
def test_an_output_that_may_change_is_unknown(tmp_path: Path, reference: object) -> None:
    """The stack of the app with this output is deployed first."""
    (found,) = read(tmp_path, {"First": CHANGED, "Second": one(reference)}, deployed())

    assert found.unknowns == ("Fn::GetAtt Topic.TopicName is not known here: it is known after the deployment",)


@pytest.mark.parametrize(
    "parameter", [{"Type": "String", "Default": "a"}, {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/a"}]
)
def test_an_output_that_depends_on_a_changing_parameter_is_unknown(tmp_path: Path, parameter: Template) -> None:
    first = {
        "Parameters": {"Name": parameter},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Name"}}}},
        "Outputs": FIRST["Outputs"],
    }
    environment = FixedEnvironment(stacks={"First": KnownStack(first, outputs={"Tag": "topic-1"})})
    given = {"First:Name": "b"} if parameter["Type"] == "String" else {}

    (found,) = read(tmp_path, {"First": first, "Second": one(WEAK)}, environment, given=given)

    assert len(found.unknowns) == 1


def test_an_export_that_the_deployed_stack_imports_cannot_change(tmp_path: Path) -> None:
    environment = deployed(one(STRONG))

    (found,) = read(tmp_path, {"First": CHANGED, "Second": one(STRONG, OTHER)}, environment)

    assert found.properties["ImageTags"] == ["topic-1"]


def test_stacks_with_and_without_an_explicit_account_share_exports(tmp_path: Path) -> None:
    first = {"Resources": {}, "Outputs": {"Tag": {"Value": "new", "Export": {"Name": "tag"}}}}
    second = {"Resources": {"Weak": image(WEAK), "Strong": image(STRONG)}}
    environment = deployed()

    found = read(
        tmp_path, {"First": first, "Second": second}, environment, places={"First": f"aws://{ACCOUNT}/{REGION}"}
    )

    assert [each.properties["ImageTags"] for each in found] == [["new"], ["new"]]


def test_an_output_without_its_condition_does_not_exist(tmp_path: Path) -> None:
    first = {
        "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
        "Resources": {},
        "Outputs": {"Tag": {"Value": "new", "Condition": "Never"}},
    }

    (found,) = read(tmp_path, {"First": first, "Second": one(WEAK)}, FixedEnvironment())

    assert len(found.unknowns) == 1


TYPED = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/tag"}


def storing(value: object) -> Template:
    properties = {"Name": "/tag", "Type": "String", "Value": value}
    return {"Resources": {"Parameter": {"Type": "AWS::SSM::Parameter", "Properties": properties}}}


@pytest.mark.parametrize("reads", [{"Ref": "Tag"}, "{{resolve:ssm:/tag}}"], ids=["parameter", "dynamic reference"])
@pytest.mark.parametrize(
    ("value", "is_known"), [("old", True), ("new", False), ({"Ref": "AWS::StackId"}, False)], ids=str
)
def test_a_parameter_that_another_stack_of_the_app_changes_is_unknown(
    tmp_path: Path, *, reads: object, value: object, is_known: bool
) -> None:
    """It depends on which stack is deployed first."""
    templates = {"First": storing(value), "Second": one(reads, Parameters={"Tag": TYPED})}

    (found,) = read(tmp_path, templates, FixedEnvironment(parameters={"/tag": "old"}))

    cure = (
        "the parameter /tag of Systems Manager is not known here: the stack First sets it, too; deploy that stack first"
    )
    assert found.unknowns == (() if is_known else (cure,))


@pytest.mark.parametrize(("reads", "is_known"), [({"Ref": "Tag"}, True), ("{{resolve:ssm:/tag}}", False)])
def test_parameters_of_a_stack_are_read_before_its_own_resources_change(
    tmp_path: Path, *, reads: object, is_known: bool
) -> None:
    """It is not documented when a dynamic reference is resolved."""
    template = one(reads, Parameters={"Tag": TYPED})
    template["Resources"] |= storing("new")["Resources"]

    found = only(tmp_path, template, FixedEnvironment(parameters={"/tag": "old"}))

    assert (found.properties["ImageTags"] == ["old"]) is is_known


def test_a_parameter_that_refers_to_itself_is_read_once(tmp_path: Path) -> None:
    environment = FixedEnvironment(parameters={"/tag": "old"})

    (found,) = read(
        tmp_path, {"First": storing("{{resolve:ssm:/tag}}"), "Second": one("{{resolve:ssm:/tag}}")}, environment
    )

    assert found.properties["ImageTags"] == ["old"]


@pytest.mark.parametrize(("inside", "number"), [(image(), 1), ({"Type": "AWS::SNS::Topic"}, 0)], ids=["image", "topic"])
def test_images_in_a_nested_stack_outside_the_app_are_unknown(tmp_path: Path, inside: Template, number: int) -> None:
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://example.com/t.json"}}
    template = {"Resources": {"Nested": nested}}
    stacks = {
        "Agent": KnownStack(template, physical_ids={"Nested": "arn:nested"}),
        "arn:nested": KnownStack({"Resources": {"Image": inside}}),
    }

    found = read(tmp_path, {"Agent": template}, FixedEnvironment(stacks=stacks))

    assert [each.path for each in found] == ["Nested"] * number
    assert all("it is not a file of the app" in each.unknowns[0] for each in found)
