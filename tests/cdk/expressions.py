"""Templates with tags in all forms that a template allows, each with the values that it needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SSM = "AWS::SSM::Parameter::Value"


@dataclass
class Written:
    """
    A template, and the values for its deployment.

    Attributes:
        given: The values of parameters.
        stored: The required parameters in Systems Manager.
        resources: Resources in addition to the images.
        nested: The templates of nested stacks, by the logical id of the nested stack.
    """

    images: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    mappings: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    nested: dict[str, Any] = field(default_factory=dict)

    @property
    def template(self) -> dict[str, Any]:
        sections = {"Parameters": self.parameters, "Mappings": self.mappings, "Conditions": self.conditions}
        return {
            **{name: section for name, section in sections.items() if section},
            "Resources": {**self.resources, **self.images},
        }

    def nest(self, name: str, template: Mapping[str, object], **parameters: object) -> None:
        """Add a nested stack; its template is a file asset, named after its content."""
        self.nested[name] = template
        url = f"https://s3.us-east-1.amazonaws.com/{BUCKET}/{key_of(template)}"
        properties = {"TemplateURL": url, "Parameters": parameters}
        self.resources[name] = {"Type": "AWS::CloudFormation::Stack", "Properties": properties}

    def parameter(self, name: str, kind: str = "String", **more: object) -> dict[str, str]:
        self.parameters[name] = {"Type": kind, **more}
        return {"Ref": name}


BUCKET = "templates"


def key_of(template: Mapping[str, object]) -> str:
    """Return the key of a template in S3."""
    return f"{hashlib.sha256(json.dumps(template).encode()).hexdigest()}.json"


Tags = Callable[[Written, str, str], object]
"""Writes the list of tags that is only this one: template, a name that nothing else has, the tag."""


def _default(written: Written, name: str, tag: str) -> object:
    return [written.parameter(name, Default=tag)]


def _told(written: Written, name: str, tag: str) -> object:
    written.given[name] = tag
    return [written.parameter(name, Default="never")]


def _listed(written: Written, name: str, tag: str) -> object:
    written.given[name] = tag
    return written.parameter(name, "CommaDelimitedList", Default="never")


def _selected(written: Written, name: str, tag: str) -> object:
    return [{"Fn::Select": ["1", written.parameter(name, "CommaDelimitedList", Default=f"a, {tag} ,b")]}]


def _number(written: Written, name: str, tag: str) -> object:
    return [{"Fn::Sub": [f"{tag[:-1]}${{Number}}", {"Number": written.parameter(name, "Number", Default=tag[-1])}]}]


def _ssm(written: Written, name: str, tag: str) -> object:
    written.stored[f"/t/{name}"] = tag
    return [written.parameter(name, f"{SSM}<String>", Default=f"/t/{name}")]


def _ssm_list(written: Written, name: str, tag: str) -> object:
    written.stored[f"/t/{name}"] = f"{tag}"
    written.given[name] = f"/t/{name}"
    return written.parameter(name, f"{SSM}<List<String>>", Default="/t/never")


def _dynamic(written: Written, name: str, tag: str) -> object:
    written.stored[f"/t/{name}"] = tag
    return [f"{{{{resolve:ssm:/t/{name}}}}}"]


def _mapped(written: Written, name: str, tag: str) -> object:
    written.mappings[name] = {"prod": {"tag": tag}}
    return [{"Fn::FindInMap": [name, written.parameter(name, Default="prod"), "tag"]}]


def _chosen(written: Written, name: str, tag: str) -> object:
    stage = written.parameter(name, Default="prod")
    written.conditions[name] = {"Fn::Equals": [stage, "prod"]}
    written.conditions[f"{name}Not"] = {"Fn::Not": [{"Fn::Or": [{"Condition": name}, {"Fn::Equals": ["a", "b"]}]}]}
    never = {"Fn::If": [f"{name}Not", "never", {"Ref": "AWS::NoValue"}]}
    return [{"Fn::If": [name, tag, "never"]}, never]


def _joined(_: Written, __: str, tag: str) -> object:
    first, last = tag.rsplit("-", 1)
    return [{"Fn::Join": ["-", {"Fn::Split": ["/", f"{first}/{last}"]}]}]


def _pseudo(_: Written, __: str, tag: str) -> object:
    known = {"Fn::Join": ["-", [{"Ref": "AWS::Region"}, {"Ref": "AWS::AccountId"}, {"Ref": "AWS::StackName"}]]}
    return [tag, {"Fn::Sub": [f"{tag}-${{Known}}-${{AWS::Partition}}", {"Known": known}]}]


def _attribute(written: Written, name: str, tag: str) -> object:
    written.resources[name] = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": tag}}
    return [{"Fn::GetAtt": [name, "Value"]}]


def _imported(_: Written, __: str, tag: str) -> object:
    return [tag, {"Fn::Sub": [f"{tag}-${{Shared}}", {"Shared": {"Fn::ImportValue": "templates-shared"}}]}]


def _weak(_: Written, __: str, tag: str) -> object:
    shared = {"Fn::GetStackOutput": {"StackName": "Provider", "OutputName": "Shared"}}
    return [tag, {"Fn::Sub": [f"{tag}-${{Shared}}", {"Shared": shared}]}]


def _nested(written: Written, name: str, tag: str) -> object:
    inner = {
        "Parameters": {"Tags": {"Type": "CommaDelimitedList"}, "Unused": {"Type": "String", "Default": "x"}},
        "Conditions": {"Always": {"Fn::Equals": [{"Ref": "Unused"}, "x"]}},
        "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {"Tag": {"Value": {"Fn::Select": [1, {"Ref": "Tags"}]}, "Condition": "Always"}},
    }
    written.nest(name, inner, Tags={"Fn::Join": [",", ["never", written.parameter(f"{name}Inner", Default=tag)]]})
    return [{"Fn::GetAtt": [name, "Outputs.Tag"]}]


def _constrained(written: Written, name: str, tag: str) -> object:
    written.given[name] = tag
    allowed: dict[str, Any] = {
        "AllowedValues": [tag, "never"],
        "AllowedPattern": "[a-z0-9-]+",
        "MinLength": 1,
        "MaxLength": 128,
    }
    return [written.parameter(name, Default="never", **allowed)]


FORMS: Mapping[str, Tags] = {
    "default": _default,
    "told": _told,
    "list": _listed,
    "selected": _selected,
    "number": _number,
    "ssm": _ssm,
    "ssm list": _ssm_list,
    "dynamic": _dynamic,
    "mapped": _mapped,
    "chosen": _chosen,
    "joined": _joined,
    "pseudo": _pseudo,
    "attribute": _attribute,
    "imported": _imported,
    "weak": _weak,
    "nested": _nested,
    "constrained": _constrained,
}
