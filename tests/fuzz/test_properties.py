"""Events and their properties give a declaration, or all of their problems."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.cfn import Event
from lambda_handler.cfn.response import RESPONSE_MAX_BYTES, Response, Status
from lambda_handler.errors import InvalidPropertiesError, ProtocolError
from lambda_handler.oci import Digest
from lambda_handler.sources import SOURCES, decode_source, source_class
from lambda_handler.spec import Declaration, decode
from lambda_handler.values import Value
from tests.fuzz.hostile import JSON, OBJECTS, TEXTS, changed, outcome
from tests.fuzz.test_manifests import IMAGE

DIGEST = str(Digest.of(b""))
EVERY_SOURCE: tuple[dict[str, Any], ...] = (
    {"Digest": DIGEST},
    {"Tag": "build-77"},
    {"Manifest": {"Body": json.dumps(IMAGE), "MediaType": IMAGE["mediaType"]}},
    {"Manifest": {"Bucket": "bucket", "Key": "key"}},
    {"Image": {"Reference": "ghcr.io/acme/agent:1", "CredentialsSecretArn": "arn:aws:secretsmanager:…"}},
    {"Archive": {"Bucket": "bucket", "Key": "key", "Reference": "agent:1"}},
    {"Index": {"Manifests": [{"Source": {"Tag": "a"}, "Platform": "linux/arm64", "Annotations": {"a": "b"}}]}},
)
PROPERTIES = st.sampled_from(EVERY_SOURCE).map(
    lambda source: {
        "ServiceToken": "arn:…",
        "ServiceTimeout": "300",
        "RegistryId": "123456789012",
        "RepositoryName": "acme/agent",
        "ImageTags": ["1.4", "latest"],
        "ImageDigest": DIGEST,
        "Source": copy.deepcopy(source),
        "Platforms": ["linux/amd64"],
        "RequiredPlatforms": ["linux/arm64/v8"],
        "ImmutableTags": ["1.*"],
        "RequiredReferrers": {"Types": ["sbom", "https://slsa.dev/provenance/v1"], "EachPlatform": "true"},
        "ScanFindings": {
            "MaxSeverity": "MEDIUM",
            "OnlyFixable": "true",
            "Ignore": [{"Name": "CVE-2025-0001", "Reason": "not reachable", "Until": "2026-12-31"}],
            "MaxAgeSeconds": "604800",
            "AllowStates": ["UNSUPPORTED_IMAGE"],
        },
        "WarnOnly": ["ScanFindings"],
        "IncludeReferrers": "true",
        "OnTagRemoved": "Untag",
        "OnDelete": "Delete",
        "StateParameterName": "/cdk-ecrpublic/acme/agent/Stack.Release",
        "Refresh": "1",
    }
)
EVENT = {
    "RequestType": "Update",
    "RequestId": "5a7d8f10",
    "ResponseURL": "https://example.com/",
    "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10",
    "LogicalResourceId": "Release",
    "ResourceType": "Custom::ECRPublicImage",
    "PhysicalResourceId": "ecr-public:123456789012/acme/agent:Release",
    "ResourceProperties": {"ServiceTimeout": "300"},
    "OldResourceProperties": {},
}
EVENTS = changed(st.just(EVENT)) | OBJECTS
NOW = 1_795_870_860.0


@settings(max_examples=600)
@given(changed(PROPERTIES) | changed(PROPERTIES, TEXTS) | OBJECTS)
def test_any_properties_are_decoded_or_refused_with_their_problems(properties: dict[str, Any]) -> None:
    declaration = outcome(lambda: decode(properties))

    assert isinstance(declaration, Declaration | InvalidPropertiesError)
    assert isinstance(declaration, Declaration) or declaration.problems


@pytest.mark.parametrize("name", ["ImageTags", "IncludeReferrers", "OnDelete", "Source", "StateParameterName"])
@pytest.mark.parametrize("value", [[], {}, [[]], [{}], {"a": []}, 7, False, "", float("nan")], ids=repr)
def test_refuses_a_property_of_another_shape(name: str, value: object) -> None:
    properties = {"RepositoryName": "acme/agent", "Source": {"Tag": "a"}, name: value}

    assert isinstance(outcome(lambda: decode(properties)), Declaration | InvalidPropertiesError)


@pytest.mark.parametrize("kind", SOURCES)
@settings(max_examples=30)
@given(JSON)
def test_any_value_is_decoded_as_a_source_or_refused(kind: str, data: object) -> None:
    source = outcome(lambda: decode_source(Value({kind: data}, "Source")))

    assert isinstance(source, source_class(kind) | InvalidPropertiesError)


@pytest.mark.parametrize("kind", ["Manifest", "Archive"])
@pytest.mark.parametrize("name", ["Bucket", "Key"])
def test_refuses_a_string_that_no_request_can_contain(kind: str, name: str) -> None:
    source = {kind: {"Bucket": "bucket", "Key": "key", name: "half \ud800"}}

    with pytest.raises(InvalidPropertiesError, match="is not Unicode text: surrogates not allowed at character 5"):
        decode({"RepositoryName": "acme/agent", "Source": source})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def indexes(depth: int) -> dict[str, Any]:
    source: dict[str, Any] = {"Tag": "a"}
    for _ in range(depth):
        source = {"Index": {"Manifests": [{"Source": source}]}}
    return source


def test_refuses_properties_of_any_depth() -> None:
    """Lambda parses an event with a shallow call stack, so it may be deeper than the handler can follow."""
    for depth in (100, 200, 500, sys.getrecursionlimit() - 100, sys.getrecursionlimit() - 10):
        for source in (indexes(depth), nested(depth), {"Tag": nested(depth)}):
            properties = {"RepositoryName": "acme/agent", "Source": source}

            assert isinstance(outcome(lambda p=properties: decode(p)), InvalidPropertiesError)  # type: ignore[misc]


@settings(max_examples=400)
@given(EVENTS)
def test_any_event_is_parsed_or_refused(data: dict[str, Any]) -> None:
    event = outcome(lambda: Event.parse(data, NOW))

    assert isinstance(event, Event | ProtocolError)
    if isinstance(event, Event):
        assert event.sent <= NOW
        assert 1 <= event.service_timeout <= 3600
        answer = Response(status=Status.FAILED, physical_resource_id=event.physical_resource_id, reason="x" * 5000)
        assert len(answer.encode(event)) <= RESPONSE_MAX_BYTES


def test_refuses_an_event_of_excessive_depth() -> None:
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        for key in EVENT:
            event = outcome(lambda key=key, depth=depth: Event.parse({**EVENT, key: nested(depth)}, NOW))  # type: ignore[misc]

            assert isinstance(event, ProtocolError)
        timed = Event.parse({**EVENT, "ResourceProperties": {"ServiceTimeout": nested(depth)}}, NOW)
        assert timed.service_timeout == 3600
