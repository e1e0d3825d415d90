"""Events and responses with any content."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.cfn import Event, Response, Status
from lambda_handler.errors import ImageError, ProtocolError
from lambda_handler.spec import decode

NOW = 1_795_870_860.0
"""Saturday, 28 November 2026, 13:01 UTC."""

EVENT = {
    "RequestType": "Create",
    "ResponseURL": "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=s3cret",
    "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/Agent/1",
    "RequestId": "request",
    "LogicalResourceId": "Release",
    "ResourceType": "Custom::ECRPublicImage",
    "ResourceProperties": {"ServiceToken": "arn:…", "ServiceTimeout": "300"},
}


def test_an_event_hides_its_response_url() -> None:
    assert "s3cret" not in repr(Event.parse(EVENT, NOW))


@pytest.mark.parametrize("key", ["RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId"])
@pytest.mark.parametrize("value", [None, "", 7, {}])
def test_refuses_what_is_not_an_event(key: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=key):
        Event.parse({**EVENT, key: value}, NOW)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("300", 300),
        ("1", 1),
        ("0", 1),
        ("3601", 3600),
        ("99999999", 3600),
        ("abc", 3600),
        ("", 3600),
        ("-5", 3600),
        ("٣", 3600),
    ],
)
def test_the_service_timeout_is_clamped_and_an_invalid_one_becomes_the_default(told: str, seconds: int) -> None:
    assert Event.parse({**EVENT, "ResourceProperties": {"ServiceTimeout": told}}, NOW).service_timeout == seconds


@given(
    reason=st.text(max_size=6000),
    data=st.dictionaries(st.text(max_size=20), st.text(max_size=3000), max_size=3),
    status=st.sampled_from(Status),
)
def test_every_response_fits_and_is_complete(reason: str, data: dict[str, str], status: Status) -> None:
    event = Event.parse(EVENT, NOW)

    body = Response(status=status, reason=reason, data=data, physical_resource_id="id").encode(event)

    answer = json.loads(body)
    assert len(body) <= 4096
    assert answer["PhysicalResourceId"] == "id"
    assert answer["Data"] == data or (answer["Status"], answer["Data"]) == ("FAILED", {})
    assert answer["Reason"][:20] == reason[:20] or answer["Status"] == "FAILED"


values = st.recursive(
    st.none() | st.text(max_size=10) | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
KEYS = ["RepositoryName", "ImageTags", "Source", "ImageDigest", "Platforms", "RegistryId", "OnDelete", "Refresh", "X"]


@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_any_properties_are_decoded_or_refused(properties: dict[str, Any]) -> None:
    with suppress(ImageError):
        decode(properties)


SOURCE_KEYS = ["Digest", "Tag", "Manifest", "Image", "Index", "Archive"]


@given(st.dictionaries(st.sampled_from(SOURCE_KEYS), values, min_size=1, max_size=2))
def test_any_source_is_decoded_or_refused(source: dict[str, Any]) -> None:
    with suppress(ImageError):
        decode({"RepositoryName": "acme/agent", "Source": source})
