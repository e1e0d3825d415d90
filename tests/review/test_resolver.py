"""Expressions of templates: the results of intrinsic functions, and values that cannot be known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_ecrpublic.review.app.resolver import NO_VALUE, Resolver
from cdk_ecrpublic.review.app.unknown import CORRECT, Unknown, problems_with
from tests.support.scope import FixedScope

SCOPE = FixedScope(
    names={
        "Name": "agent",
        "Tags": ["1.4", "latest"],
        "Port": "8080",
        "Flag": "true",
        "AWS::Region": "eu-west-1",
        "AWS::NoValue": NO_VALUE,
        "Repository.Arn": "arn:aws:ecr-public::123456789012:repository/acme/agent",
        "Other.Digest": "sha256:a",
    },
    conditions={"Prod": True, "Dev": False},
    mappings={"Stages": {"prod": {"tag": "stable"}}},
    exports={"shared-name": "acme/shared"},
    parameters={"/acme/tag": "1.5", "/acme/tag:3": "1.3"},
)
RESOLVE = Resolver(SCOPE)

KNOWN: list[tuple[object, object]] = [
    ({"Ref": "Name"}, "agent"),
    ({"Ref": "Tags"}, ["1.4", "latest"]),
    ({"Fn::GetAtt": ["Repository", "Arn"]}, "arn:aws:ecr-public::123456789012:repository/acme/agent"),
    ({"Fn::GetAtt": "Repository.Arn"}, "arn:aws:ecr-public::123456789012:repository/acme/agent"),
    ({"Fn::Join": ["/", ["acme", {"Ref": "Name"}]]}, "acme/agent"),
    ({"Fn::Join": ["-", {"Ref": "Tags"}]}, "1.4-latest"),
    ({"Fn::Join": ["", ["a", 1, True, {"Ref": "AWS::NoValue"}]]}, "a1true"),
    ({"Fn::Sub": "acme/${Name}-${!Literal}"}, "acme/agent-${Literal}"),
    ({"Fn::Sub": "${Repository.Arn}:${AWS::Region}"}, f"{SCOPE.names['Repository.Arn']}:eu-west-1"),
    ({"Fn::Sub": ["${What}/${Name}", {"What": {"Ref": "AWS::Region"}}]}, "eu-west-1/agent"),
    ({"Fn::Select": [1, {"Fn::Split": ["-", "a-b-c"]}]}, "b"),
    ({"Fn::Select": ["0", {"Ref": "Tags"}]}, "1.4"),
    ({"Fn::Select": [0, ["a", {"Ref": "Gone"}]]}, "a"),
    ({"Fn::If": ["Prod", "stable", {"Ref": "Gone"}]}, "stable"),
    ({"Fn::If": ["Dev", "stable", "edge"]}, "edge"),
    ({"A": {"Fn::If": ["Dev", "x", {"Ref": "AWS::NoValue"}]}, "B": 1}, {"B": 1}),
    (["a", {"Fn::If": ["Dev", "x", {"Ref": "AWS::NoValue"}]}], ["a"]),
    ({"Fn::FindInMap": ["Stages", "prod", "tag"]}, "stable"),
    ({"Fn::FindInMap": ["Stages", "dev", "tag", {"DefaultValue": {"Ref": "Name"}}]}, "agent"),
    ({"Fn::ImportValue": {"Fn::Join": ["-", ["shared", "name"]]}}, "acme/shared"),
    ({"Fn::GetStackOutput": {"StackName": "Other", "OutputName": "Digest"}}, "sha256:a"),
    ({"Fn::Base64": "agent"}, "YWdlbnQ="),
    ({"Fn::Length": {"Ref": "Tags"}}, 2),
    ("{{resolve:ssm:/acme/tag}}-{{resolve:ssm:/acme/tag:3}}", "1.5-1.3"),
    ({"Fn::Join": ["", ["{{resolve:ssm:", "/acme/tag", "}}"]]}, "1.5"),
    ([{"Tags": [{"Ref": "Name"}]}], [{"Tags": ["agent"]}]),
    ({"Ref": "Name", "Other": 1}, {"Ref": "Name", "Other": 1}),
]


@pytest.mark.parametrize(("value", "resolved"), KNOWN, ids=[str(value)[:60] for value, _ in KNOWN])
def test_resolves_known_values(value: object, resolved: object) -> None:
    assert RESOLVE(value) == resolved


CONDITIONS: list[tuple[object, object]] = [
    ({"Fn::Equals": [{"Ref": "Name"}, "agent"]}, True),
    ({"Fn::Equals": [{"Ref": "Port"}, 8080]}, True),
    ({"Fn::Equals": [{"Ref": "Flag"}, True]}, True),
    ({"Fn::Equals": [{"Ref": "Gone"}, "agent"]}, Unknown("Gone")),
    ({"Condition": "Prod"}, True),
    ({"Fn::Not": [{"Condition": "Prod"}]}, False),
    ({"Fn::And": [{"Condition": "Prod"}, {"Condition": "Dev"}]}, False),
    ({"Fn::And": [{"Condition": "Gone"}, {"Condition": "Dev"}]}, False),
    ({"Fn::And": [{"Condition": "Gone"}, {"Condition": "Prod"}]}, Unknown("Gone")),
    ({"Fn::Or": [{"Condition": "Gone"}, {"Condition": "Prod"}]}, True),
    ({"Fn::Or": [{"Condition": "Dev"}, {"Fn::Equals": ["a", "b"]}]}, False),
]


@pytest.mark.parametrize(("value", "holds"), CONDITIONS, ids=[str(value)[:60] for value, _ in CONDITIONS])
def test_evaluates_conditions(value: object, holds: object) -> None:
    """An unknown condition matters only if the others do not decide."""
    assert RESOLVE.condition(value) == holds


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        ({"Fn::Join": ["", ["a", {"Ref": "Gone"}]]}, "it is known after the deployment"),
        ({"Fn::If": ["Gone", "a", "b"]}, "it is known after the deployment"),
        ({"Fn::GetAZs": ""}, "write the value into the app"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, "write the value into the app"),
        ({"Fn::ToJsonString": {"a": 1}}, "write the value into the app"),
        ({"Fn::Transform": {"Name": "Macro"}}, "write what the macro adds into the app"),
        ({"Fn::Join": "nonsense"}, "correct the template"),
        ({"Fn::Sub": ["${A}"]}, "correct the template"),
        ({"Fn::Select": ["5", ["a"]]}, "correct the template"),
        ({"Fn::FindInMap": ["Stages", "dev", "tag"]}, "correct the template"),
        ({"Fn::If": ["Prod", "a"]}, "correct the template"),
        ("{{resolve:secretsmanager:acme:SecretString:password}}", "declare the ARN of the secret"),
        ("{{resolve:ssm-secure:/acme/password}}", "declare the ARN of the secret"),
        ("{{resolve:nonsense:x}}", "correct the template"),
    ],
    ids=str,
)
def test_an_unknown_value_comes_with_a_remedy(value: object, cure: str) -> None:
    (problem,) = problems_with(RESOLVE(value))

    assert cure in problem


NAMES = st.sampled_from(["Ref", "Condition", "a", *Resolver.functions])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text("a${!}.", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=2),
)


@given(JSON | st.fixed_dictionaries({"Fn::Select": st.lists(JSON, min_size=2, max_size=2)}))
def test_any_template_is_resolved_as_far_as_possible(value: object) -> None:
    RESOLVE(value)
    RESOLVE.condition(value)


def test_an_error_shows_the_mistake_and_a_remedy() -> None:
    assert RESOLVE({"Fn::Join": "x"}) == Unknown('Fn::Join "x"', CORRECT)
