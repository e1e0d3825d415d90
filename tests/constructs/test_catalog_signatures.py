"""Signatures in a catalog: the keys that sign its images, and the signatures that they must have."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from cdk_ecrpublic import CatalogError, ImageSettings, PublicImageCatalog, RequiredSignature, Signing
from cdk_ecrpublic.catalog.signatures import REQUIRED, SIGNING

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

CATALOG = f"""
defaults:
  sign_with: {{kms: {{key: "{KEY}", as_tag: true}}}}
  rules:
    required_signatures: {{signatures: [{{kms: {{key: "{KEY}", repository: ghcr.io/acme/agent}}}}]}}
repositories:
  acme/agent:
    images:
      - digest: {A}
        tags: ["1"]
      - digest: {B}
        tags: ["2"]
        sign_with: false
        rules: {{required_signatures: false}}
      - source: {HOST}/acme/agent@{C}
        tags: ["3"]
        sign_with: {{signer_profile: {{profile_arn: "{PROFILE}", children: true}}}}
        rules:
          required_signatures:
            signatures: [{{kms: {{key: "{KEY}"}}}}, {{ecr_managed: {{profile_arn: "{PROFILE}"}}}}]
            any_of: true
            each_platform: true
            warn_only: true
"""


def synthesized(text: str, tmp_path: Path, **options: Any) -> Template:
    path = tmp_path / "images.yaml"
    path.write_text(text, encoding="utf-8")
    stack = Stack(App(), "Stack")
    PublicImageCatalog.from_file(stack, "Catalog", path, **options)
    return Template.from_stack(stack)


def declared(template: Template) -> list[dict[str, Any]]:
    """Return the properties about signatures of each image, in the order of the tags."""
    found = [each["Properties"] for each in template.find_resources("Custom::ECRPublicImage").values()]
    names = ("SignWith", "RequiredSignatures", "WarnOnly")
    return [
        {name: each[name] for name in names if name in each}
        for each in sorted(found, key=lambda each: str(each["ImageTags"]))
    ]


def actions_on(template: Template, arn: str) -> set[str]:
    """Return the actions that the role may do with a key or a profile."""
    policies = template.find_resources("AWS::IAM::Policy").values()
    found: set[str] = set()
    for statement in (each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]):
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        found.update(actions if arn in resources else ())
    return found


def test_the_signatures_of_a_catalog_apply_to_its_images(tmp_path: Path) -> None:
    template = synthesized(CATALOG, tmp_path)

    assert declared(template) == [
        {
            "SignWith": {"KmsKeyArn": KEY, "As": "Tag"},
            "RequiredSignatures": {"AllOf": [{"KmsKeyArn": KEY, "Repository": "ghcr.io/acme/agent"}]},
        },
        {},
        {
            "SignWith": {"SigningProfileArn": PROFILE, "Children": True},
            "RequiredSignatures": {
                "AnyOf": [{"KmsKeyArn": KEY}, {"SigningProfileArn": PROFILE}],
                "EachPlatform": True,
            },
            "WarnOnly": ["RequiredSignatures"],
        },
    ]


def test_the_role_may_use_only_the_keys_in_the_file(tmp_path: Path) -> None:
    template = synthesized(CATALOG, tmp_path)

    assert actions_on(template, KEY) == {"kms:GetPublicKey", "kms:Sign", "kms:Verify"}
    assert actions_on(template, PROFILE) == {"signer:SignPayload"}
    assert actions_on(template, "*") & {"kms:Sign", "kms:Verify", "signer:SignPayload"} == set()


def test_an_app_can_pass_its_own_keys(tmp_path: Path) -> None:
    """Defaults are objects, or the same data as in a file."""
    text = f"repositories: {{acme/agent: {{images: [{{digest: {A}, tags: [latest]}}]}}}}"
    key = kms.Key.from_key_arn(Stack(App(), "Keys"), "Key", KEY)
    required = {"signatures": [RequiredSignature.kms(key)]}
    by_object = ImageSettings(sign_with=Signing.kms(key), rules={"required_signatures": required})
    by_name = ImageSettings(
        sign_with={"kms": {"key": KEY}}, rules={"required_signatures": {"signatures": [{"kms": {"key": KEY}}]}}
    )

    for defaults in (by_object, by_name):
        assert declared(synthesized(text, tmp_path, defaults=defaults)) == [
            {
                "SignWith": {"KmsKeyArn": KEY, "As": "Referrer"},
                "RequiredSignatures": {"AllOf": [{"KmsKeyArn": KEY}]},
            }
        ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("sign_with: {}", "7:20: repositories.acme/agent.images[0].sign_with: has none of them; expected exactly one"),
        ("sign_with: true", "7:20: repositories.acme/agent.images[0].sign_with: is true (a truth value); expected a"),
        ("sign_with: {pgp: {}}", "sign_with: 'pgp' is an unknown key; allowed: kms, signer_profile"),
        ("sign_with: {kms: {}}", "7:26: repositories.acme/agent.images[0].sign_with.kms: 'key' is missing; add it"),
        ("sign_with: {kms: {key: alias/release}}", "sign_with.kms.key: 'alias/release' is not the ARN of a KMS key"),
        (
            f"sign_with: {{kms: {{key: '{KEY.replace('key/', 'alias/')}'}}}}",
            "is an alias, on which IAM grants nothing; use the ARN of the key itself",
        ),
        (f"sign_with: {{kms: {{key: '{KEY}', as_tag: 'yes'}}}}", "sign_with.kms.as_tag: is yes (a string); expected"),
        ("sign_with: {signer_profile: {profile_arn: release}}", "profile_arn: 'release' is not the ARN of a signing"),
        (
            f"sign_with: {{kms: {{key: '{KEY}'}}, signer_profile: {{profile_arn: '{PROFILE}'}}}}",
            "sign_with: has kms and signer_profile; expected exactly one of kms, signer_profile",
        ),
        ("rules: {required_signatures: {}}", "rules.required_signatures: 'signatures' is missing; add it"),
        ("rules: {required_signatures: {signatures: []}}", "required_signatures.signatures: is empty; list something"),
        ("rules: {required_signatures: {signatures: [a]}}", "signatures[0]: is a (a string); expected a mapping with"),
        (
            f"rules: {{required_signatures: {{signatures: [{{kms: {{key: '{KEY}', repository: agent}}}}]}}}}",
            "rules.required_signatures.signatures[0].kms.repository: 'agent' ",
        ),
    ],
)
def test_an_error_in_a_file_has_its_line(tmp_path: Path, keys: str, said: str) -> None:
    text = f"""
repositories:
  acme/agent:
    images:
      - digest: {A}
        tags: [latest]
        {keys}
"""
    with pytest.raises(CatalogError) as failure:
        synthesized(text, tmp_path)

    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sign_with": {"pgp": {}}}, "sign_with: {'pgp': {}}; expected one of kms, signer_profile, with its arguments"),
        ({"sign_with": {"kms": {}}}, "sign_with: kms: missing a required argument: 'key'"),
        ({"sign_with": {"kms": KEY}}, "sign_with: kms: "),
        ({"sign_with": "kms"}, "sign_with: 'kms'"),
    ],
)
def test_names_a_mistake_in_defaults(tmp_path: Path, settings: Mapping[str, Any], said: str) -> None:
    text = f"repositories: {{acme/agent: {{images: [{{digest: {A}, tags: [latest]}}]}}}}"

    with pytest.raises(ValueError, match="Catalog/acme--agent/latest") as failure:
        synthesized(text, tmp_path, defaults=ImageSettings(**settings))

    assert said in str(failure.value)


def test_a_catalog_accepts_every_argument() -> None:
    """This applies to the file and to its schema."""
    schema = json.loads(files("cdk_ecrpublic.catalog").joinpath("catalog.schema.json").read_text(encoding="utf-8"))
    definitions = schema["$defs"]
    described = definitions["signing"]["anyOf"][1], definitions["required_signature"]

    for methods, readers, found in zip((Signing, RequiredSignature), (SIGNING, REQUIRED), described, strict=True):
        parameters = {
            name: inspect.signature(each.__func__).parameters
            for name, each in vars(methods).items()
            if isinstance(each, staticmethod)
        }
        names = {name: [*each] for name, each in parameters.items()}
        assert {name: [*each] for name, each in readers.items()} == names
        assert {name: [*each["properties"]] for name, each in found["properties"].items()} == names
        for name, each in parameters.items():
            needed = [key for key, value in each.items() if value.default is inspect.Parameter.empty]
            assert found["properties"][name]["required"] == needed == names[name][:1]
