"""Schema, codec, constructs and documentation agree on the custom resource."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cdk_ecrpublic import IImageSource, ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.constructs import provider
from cdk_ecrpublic.constructs._iam import actions as _grants
from lambda_handler import errors
from lambda_handler.errors import ImageError, InvalidPropertiesError
from lambda_handler.oci import Digest, Platform
from lambda_handler.rules import RULES
from lambda_handler.rules.expected_digest import ExpectedDigest
from lambda_handler.rules.required_platforms import RequiredPlatforms
from lambda_handler.sources import SOURCES
from lambda_handler.spec import Property, decode

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCHEMA = Draft202012Validator(json.loads((REFERENCE / "custom-resource.schema.json").read_text()))
DIGEST = "sha256:" + "a" * 64
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"

GOOD: list[dict[str, Any]] = [
    {"Source": {"Digest": DIGEST}},
    {"Source": {"Tag": "build-1"}, "ImageTags": ["1", "latest"], "ImageDigest": DIGEST, "RegistryId": "acme"},
    {"Source": {"Image": {"Reference": "ghcr.io/a/b:1", "CredentialsSecretArn": "arn:x"}}, "Refresh": ""},
    {"Source": {"Manifest": {"Bucket": "b", "Key": "k", "MediaType": "x"}}, "RegistryId": "123456789012"},
    {"Source": {"Archive": {"Bucket": "b", "Key": "k"}}},
    {"Source": {"Archive": {"Bucket": "b", "Key": "k", "Reference": "agent:1.4"}}},
    {"Source": {"Index": {"Manifests": [{"Source": {"Tag": "a"}, "Platform": "linux/arm64/v8"}]}}},
    {"Source": {"Tag": "a"}, "SignWith": {"KmsKeyArn": KEY}},
    {"Source": {"Tag": "a"}, "SignWith": {"KmsKeyArn": KEY, "As": "Tag", "Children": "true"}},
    {"Source": {"Tag": "a"}, "SignWith": {"SigningProfileArn": PROFILE, "Children": "false"}},
    {"Source": {"Tag": "a"}, "RequiredSignatures": {"AllOf": [{"KmsKeyArn": KEY, "Repository": "ghcr.io/acme/agent"}]}},
    {
        "Source": {"Tag": "a"},
        "RequiredSignatures": {"AnyOf": [{"KmsKeyArn": KEY}, {"SigningProfileArn": PROFILE}], "EachPlatform": "true"},
        "WarnOnly": ["RequiredSignatures"],
    },
    {"Source": {"Tag": "a"}, "Platforms": ["linux/amd64"], "RequiredPlatforms": ["linux/arm/v7"]},
    {
        "Source": {"Tag": "a"},
        "IncludeReferrers": "true",
        "OnTagRemoved": "Keep",
        "OnDelete": "Keep",
        "ImmutableTags": [],
    },
    {
        "Source": {"Tag": "a"},
        "OnTagRemoved": "Untag",
        "OnDelete": "Delete",
        "ImmutableTags": ["1.*", "v?", "latest"],
        "WarnOnly": ["ImmutableTags", "RequiredPlatforms"],
        "StateParameterName": "/cdk-ecrpublic/acme/agent/Stack.Release",
    },
    {"Source": {"Tag": "a"}, "ForwardOnly": {"Tags": ["*"]}, "WarnOnly": ["ForwardOnly"]},
    {
        "Source": {"Tag": "a"},
        "ForwardOnly": {
            "Tags": ["latest", "v1*"],
            "OnOlder": "Refuse",
            "OnUnknown": "Proceed",
            "Prefix": "v",
            "Suffix": "-debug",
        },
    },
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": ["sbom", "https://slsa.dev/*"], "EachPlatform": "true"}},
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": ["application/vnd.example.x+json;version=0.2"]}},
    {"Source": {"Tag": "a"}, "ScanFindings": {"MaxSeverity": "NONE"}},
    {
        "Source": {"Tag": "a"},
        "ScanFindings": {
            "MaxSeverity": "HIGH",
            "OnlyFixable": "true",
            "AllowUnrated": "false",
            "Ignore": [{"Name": "CVE-2025-0001", "Reason": "not reachable", "Until": "2026-12-31"}],
            "MaxAgeSeconds": "604800",
            "AllowStates": ["SCAN_NOT_FOUND", "UNSUPPORTED_IMAGE"],
        },
        "WarnOnly": ["ScanFindings", "RequiredReferrers"],
    },
]

BAD: list[dict[str, Any]] = [
    {},
    {"Source": {}},
    {"Source": {"Digest": "sha256:1"}},
    {"Source": {"Digest": DIGEST, "Tag": "a"}},
    {"Source": {"Tag": "-"}},
    {"Source": {"Tag": "a"}, "ImageTags": "a"},
    {"Source": {"Tag": "a"}, "ImageTags": ["a", "a"]},
    {"Source": {"Tag": "a"}, "RepositoryName": "A"},
    {"Source": {"Tag": "a"}, "RegistryId": "-"},
    {"Source": {"Tag": "a"}, "Platforms": ["arm"]},
    {"Source": {"Tag": "a"}, "OnDelete": "delete"},
    {"Source": {"Tag": "a"}, "OnTagRemoved": "Remove"},
    {"Source": {"Tag": "a"}, "ImmutableTags": ["[0-9]"]},
    {"Source": {"Tag": "a"}, "WarnOnly": ["ImageDigest"]},
    {"Source": {"Tag": "a"}, "ForwardOnly": ["latest"]},
    {"Source": {"Tag": "a"}, "ForwardOnly": {"OnOlder": "Skip"}},
    {"Source": {"Tag": "a"}, "ForwardOnly": {"Tags": []}},
    {"Source": {"Tag": "a"}, "ForwardOnly": {"Tags": ["a b"]}},
    {"Source": {"Tag": "a"}, "ForwardOnly": {"Tags": ["*"], "OnOlder": "skip"}},
    {"Source": {"Tag": "a"}, "ForwardOnly": {"Tags": ["*"], "Prefix": "v/"}},
    {"Source": {"Tag": "a"}, "ForwardOnly": {"Tags": ["*"], "WarnOnly": "true"}},
    {"Source": {"Tag": "a"}, "RequiredReferrers": ["sbom"]},
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": []}},
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": ["attestation"]}},
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": ["*/sbom"]}},
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": ["a b/c"]}},
    {"Source": {"Tag": "a"}, "RequiredReferrers": {"Types": ["sbom"], "EachPlatform": "yes"}},
    {"Source": {"Tag": "a"}, "ScanFindings": {}},
    {"Source": {"Tag": "a"}, "ScanFindings": {"MaxSeverity": "high"}},
    {"Source": {"Tag": "a"}, "ScanFindings": {"MaxSeverity": "HIGH", "MaxAgeSeconds": "0"}},
    {"Source": {"Tag": "a"}, "ScanFindings": {"MaxSeverity": "HIGH", "AllowStates": ["IN_PROGRESS"]}},
    {"Source": {"Tag": "a"}, "ScanFindings": {"MaxSeverity": "HIGH", "Ignore": ["CVE-2025-0001"]}},
    {
        "Source": {"Tag": "a"},
        "ScanFindings": {
            "MaxSeverity": "HIGH",
            "Ignore": [{"Name": "CVE-2025-1", "Reason": " ", "Until": "2026-12-31"}],
        },
    },
    {
        "Source": {"Tag": "a"},
        "ScanFindings": {"MaxSeverity": "HIGH", "Ignore": [{"Name": "CVE-2025-1", "Reason": "x", "Until": "tomorrow"}]},
    },
    {"Source": {"Tag": "a"}, "SignWith": {}},
    {"Source": {"Tag": "a"}, "SignWith": {"SigningProfileArn": PROFILE, "KmsKeyArn": KEY}},
    {"Source": {"Tag": "a"}, "SignWith": {"SigningProfileArn": PROFILE, "As": "Tag"}},
    {"Source": {"Tag": "a"}, "SignWith": {"KmsKeyArn": "alias/release"}},
    {"Source": {"Tag": "a"}, "SignWith": {"KmsKeyArn": KEY, "As": "tag"}},
    {"Source": {"Tag": "a"}, "RequiredSignatures": {}},
    {"Source": {"Tag": "a"}, "RequiredSignatures": {"AllOf": []}},
    {"Source": {"Tag": "a"}, "RequiredSignatures": {"AllOf": [{"KmsKeyArn": KEY}], "AnyOf": [{"KmsKeyArn": KEY}]}},
    {"Source": {"Tag": "a"}, "RequiredSignatures": {"AllOf": [{"KmsKeyArn": KEY, "SigningProfileArn": PROFILE}]}},
    {"Source": {"Tag": "a"}, "RequiredSignatures": {"AllOf": [{"SigningProfileArn": PROFILE, "Repository": "a.b/c"}]}},
    {"Source": {"Tag": "a"}, "StateParameterName": "state"},
    {"Source": {"Tag": "a"}, "StateParameterName": "/aws/state"},
    {"Source": {"Tag": "a"}, "IncludeReferrers": "yes"},
    {"Source": {"Tag": "a"}, "Unknown": "1"},
    {"Source": {"Manifest": {}}},
    {"Source": {"Manifest": {"Body": "{}", "Key": "k"}}},
    {"Source": {"Image": {}}},
    {"Source": {"Archive": {"Bucket": "b"}}},
    {"Source": {"Archive": {"Bucket": "b", "Key": "k", "Reference": ""}}},
    {"Source": {"Index": {"Manifests": []}}},
    {"Source": {"Index": {"Manifests": [{"Source": {"Tag": "a"}, "X": 1}]}}},
]


@pytest.mark.parametrize("properties", GOOD, ids=str)
def test_schema_and_codec_accept_the_same_properties(properties: dict[str, Any]) -> None:
    declared = {"RepositoryName": "acme/agent", "ServiceToken": "arn", "ServiceTimeout": "300", **properties}

    SCHEMA.validate(declared)
    decode(declared)


@pytest.mark.parametrize("properties", BAD, ids=str)
def test_schema_and_codec_refuse_the_same_properties(properties: dict[str, Any]) -> None:
    declared = {"RepositoryName": "acme/agent", **properties}

    assert not SCHEMA.is_valid(declared)
    with pytest.raises(InvalidPropertiesError):
        decode(declared)


def test_schema_codec_and_page_have_the_same_names() -> None:
    page = (REFERENCE / "custom-resource.md").read_text()
    schema: dict[str, Any] = SCHEMA.schema  # type: ignore[assignment]

    assert set(schema["properties"]) == {*Property, "ServiceToken", "ServiceTimeout"}
    assert set(schema["$defs"]["source"]["properties"]) == set(SOURCES)
    for name in (*Property, *(f"Source.{kind}" for kind in SOURCES)):
        assert f"| `{name}` |" in page


TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
EXPECTED = "sha256:" + "a" * 64
PLATFORMS = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"])


@settings(max_examples=40)
@given(
    tags=st.lists(TAGS, unique=True, max_size=5),
    source=st.one_of(
        st.just(EXPECTED).map(ImageSource.digest),
        TAGS.map(ImageSource.tag),
        DIGESTS.map(lambda digest: ImageSource.registry(f"ghcr.io/acme/agent@{digest}")),
        st.dictionaries(PLATFORMS, DIGESTS.map(ImageSource.digest), min_size=1).map(ImageSource.index),
    ),
    expected=st.sampled_from([None, EXPECTED]),
    platforms=st.lists(PLATFORMS, max_size=2),
    refresh=st.none() | st.text(st.characters(codec="ascii"), min_size=1, max_size=5),
)
def test_the_handler_reads_what_a_construct_renders(
    tags: list[str], source: IImageSource, expected: str | None, platforms: list[str], refresh: str | None
) -> None:
    stack = Stack(App(), "Stack")
    PublicImage(
        stack,
        "Image",
        repository=PublicRepository.from_repository_name(stack, "Repository", "acme/agent"),
        source=source,
        tags=tags,
        expected_digest=expected,
        required_platforms=platforms,
        refresh=refresh,
    )
    (resource,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    rendered = {**resource["Properties"], "ServiceToken": "arn"}

    SCHEMA.validate(rendered)
    declaration = decode(rendered)

    assert (declaration.repository_name, declaration.tags) == ("acme/agent", tuple(tags))
    rules = [RequiredPlatforms(tuple(map(Platform.parse, platforms)))] if platforms else []
    assert list(declaration.rules) == [*([ExpectedDigest(Digest.parse(expected))] if expected else []), *rules]


def test_every_rule_is_a_property() -> None:
    assert RULES.keys() <= set(Property)


def test_every_error_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ImageError)]
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (REFERENCE / "errors.md").read_text(), re.MULTILINE))

    assert documented == {kind.code for kind in kinds}


def test_every_granted_action_is_documented() -> None:
    lists = {**vars(_grants), **vars(provider)}
    granted = {action for name, actions in lists.items() if name.endswith("_ACTIONS") for action in actions}
    page = (REFERENCE / "iam.md").read_text()

    assert [action for action in sorted(granted) if f"`{action}`" not in page] == []
