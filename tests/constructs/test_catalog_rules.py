"""Rules in a catalog: each is a method of ReleaseRule with its arguments."""

from __future__ import annotations

import inspect
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from cdk_ecrpublic import CatalogError, ImageSettings, PublicImageCatalog, ReleaseRule
from cdk_ecrpublic.catalog.rules import REQUIRED, RULES

A, B = ("sha256:" + letter * 64 for letter in "ab")

METHODS = {name: each.__func__ for name, each in vars(ReleaseRule).items() if isinstance(each, staticmethod)}

SCHEMA = json.loads(files("cdk_ecrpublic.catalog").joinpath("catalog.schema.json").read_text(encoding="utf-8"))


def declared(text: str, tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    """Return the properties with rules of each image, in the order of the tags."""
    path = tmp_path / "images.yaml"
    path.write_text(text, encoding="utf-8")
    stack = Stack(App(), "Stack")
    PublicImageCatalog.from_file(stack, "Catalog", path, **options)
    found = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    rules = ("RequiredPlatforms", "ImmutableTags", "ForwardOnly", "WarnOnly")
    sorted_images = sorted((each["Properties"] for each in found), key=lambda each: str(each["ImageTags"]))
    return [{name: each[name] for name in rules if name in each} for each in sorted_images]


CATALOG = f"""
defaults:
  rules:
    forward_only: {{}}
    immutable_tags: {{patterns: ["*.*.*"], warn_only: true}}
repositories:
  acme/agent:
    images:
      - digest: {A}
        tags: ["1.9.1", "latest"]
      - digest: {B}
        tags: ["2.0.0", "edge"]
        rules:
          immutable_tags: false
          forward_only: {{tags: [edge], on_older: refuse, prefix: v, suffix: -debug, allow_unknown: true}}
          required_platforms: {{platforms: [linux/amd64]}}
"""


def test_the_rules_of_a_catalog_apply_to_its_images(tmp_path: Path) -> None:
    """A rule of an image replaces the same rule of the defaults and keeps the others."""
    assert declared(CATALOG, tmp_path) == [
        {
            "ImmutableTags": ["*.*.*"],
            "ForwardOnly": {"Tags": ["*"], "OnOlder": "Skip"},
            "WarnOnly": ["ImmutableTags"],
        },
        {
            "RequiredPlatforms": ["linux/amd64"],
            "ForwardOnly": {
                "Tags": ["edge"],
                "OnOlder": "Refuse",
                "OnUnknown": "Proceed",
                "Prefix": "v",
                "Suffix": "-debug",
            },
        },
    ]


def test_rules_can_be_given_for_a_whole_file(tmp_path: Path) -> None:
    text = f"repositories: {{acme/agent: {{images: [{{digest: {A}, tags: [latest]}}]}}}}"
    defaults = ImageSettings(rules={"forward_only": {"on_older": "refuse"}})

    assert declared(text, tmp_path, defaults=defaults) == [{"ForwardOnly": {"Tags": ["*"], "OnOlder": "Refuse"}}]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"forward": {}}, "'forward' is not a rule; there are: required_platforms, immutable_tags, forward_only"),
        ({"forward_only": {"on_olde": "skip"}}, "forward_only: got an unexpected keyword argument 'on_olde'"),
        ({"forward_only": True}, "forward_only: True is a bool; expected its arguments"),
        ({"immutable_tags": {}}, "immutable_tags: missing a required argument: 'patterns'"),
    ],
)
def test_names_a_mistake_in_defaults(tmp_path: Path, rules: Any, said: str) -> None:
    text = f"repositories: {{acme/agent: {{images: [{{digest: {A}, tags: [latest]}}]}}}}"

    with pytest.raises(ValueError, match="Catalog/acme--agent/latest: rules") as failure:
        declared(text, tmp_path, defaults=ImageSettings(rules=rules))

    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            "{forward: {}}",
            "8:17: repositories.acme/agent.images[0].rules: 'forward' is an unknown key; allowed: required_platforms",
        ),
        ("{forward_only: true}", "8:31: repositories.acme/agent.images[0].rules.forward_only: is true (a truth value)"),
        ("{forward_only: {older: skip}}", "rules.forward_only: 'older' is an unknown key; allowed: tags, on_older"),
        ("{forward_only: {on_older: Skip}}", "rules.forward_only.on_older: 'Skip' is not allowed; expected skip or"),
        ("{forward_only: {tags: []}}", "rules.forward_only.tags: is empty; list something, or leave it out"),
        ("{forward_only: {tags: [a b]}}", "rules.forward_only.tags[0]: 'a b' is not a tag or a tag pattern"),
        ("{forward_only: {prefix: a/b}}", "rules.forward_only.prefix: 'a/b' cannot be a part of a tag"),
        ("{forward_only: {warn_only: 'yes'}}", "rules.forward_only.warn_only: is yes (a string); expected true or"),
        ("{immutable_tags: {}}", "rules.immutable_tags: 'patterns' is missing; add it"),
        ("{required_referrers: {types: [nothing]}}", "types[0]: 'nothing' is not the type of a referrer"),
        ("{required_referrers: {types: []}}", "required_referrers.types: is empty"),
        ("{scan_findings: {}}", "rules.scan_findings: 'max_severity' is missing"),
        ("{scan_findings: {max_severity: high}}", "max_severity: 'high' is not allowed; expected NONE or"),
        ("{scan_findings: {max_severity: LOW, max_age: soon}}", "max_age: 'soon' is not an age; expected a number of"),
        (
            "{scan_findings: {max_severity: LOW, ignore: [{name: CVE-2025-1, reason: x, until: '2025-13-01'}]}}",
            "ignore[0].until: '2025-13-01' is not a date",
        ),
        ("[forward_only]", "8:16: repositories.acme/agent.images[0].rules: is a list; expected a mapping with"),
        ("{required_platforms: {platforms: [linux/arm64]}}", "required_platforms is declared twice; keep either"),
    ],
)
def test_an_error_in_a_file_has_its_line(tmp_path: Path, rules: str, said: str) -> None:
    text = f"""
repositories:
  acme/agent:
    images:
      - digest: {A}
        tags: [latest]
        required_platforms: [linux/arm64]
        rules: {rules}
"""
    with pytest.raises(CatalogError) as failure:
        declared(text, tmp_path)

    assert said in str(failure.value)


def test_a_catalog_has_every_rule_with_every_argument() -> None:
    in_schema = SCHEMA["$defs"]["rules"]["properties"]
    arguments = {name: inspect.signature(method).parameters for name, method in METHODS.items()}

    assert {name: list(readers) for name, readers in RULES.items()} == {
        name: list(parameters) for name, parameters in arguments.items()
    }
    assert {name: set(each["anyOf"][1]["properties"]) for name, each in in_schema.items()} == {
        name: set(readers) for name, readers in RULES.items()
    }
    for name, parameters in arguments.items():
        required = [key for key, each in parameters.items() if each.default is inspect.Parameter.empty]
        assert list(REQUIRED.get(name, ())) == in_schema[name]["anyOf"][1].get("required", []) == required
