"""The time when CloudFormation sent a request, read from its presigned URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.cfn import Event

from .test_cloudformation_protocol import EVENT, NOW

ADDRESS = "https://cloudformation-custom-resource-response-euwest1.s3-eu-west-1.amazonaws.com/arn%3Aaws%3A/Release%7C1"

A_MINUTE_BEFORE = 1_795_870_800.0


def sent(query: str, received: float = NOW) -> float:
    return Event.parse({**EVENT, "ResponseURL": f"{ADDRESS}?{query}"}, received).sent


VERSION_2 = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1795878000&Signature=5ecret%2B%3D"
VERSION_4 = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261128T130000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=7200"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261128%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=5ecret"
)


@pytest.mark.parametrize("query", [VERSION_2, VERSION_4], ids=["version 2", "version 4"])
def test_reads_the_time_from_either_version_of_the_signature(query: str) -> None:
    assert sent(query) == A_MINUTE_BEFORE


def test_prefers_the_newer_version_if_a_url_has_both() -> None:
    assert sent("Expires=1&X-Amz-Date=20261128T130000Z") == A_MINUTE_BEFORE


@pytest.mark.parametrize(
    "query",
    [
        "",
        "X-Amz-Signature=5ecret",
        "X-Amz-Date=",
        "X-Amz-Date=20261128",
        "X-Amz-Date=20261328T130000Z",
        "X-Amz-Date=2026-11-28T13:00:00Z",
        "X-Amz-Date=20261128T130000%2B0100",
        "x-amz-date=20261128T130000Z",
        "Expires=",
        "Expires=soon",
        "Expires=1e9",
        "Expires=NaN",
        "Expires=" + "9" * 400,
        "Expires=" + "9" * 5000,
        "%",
        "=&=&;;",
    ],
    ids=lambda query: query[:40] or "nothing",
)
def test_a_url_without_a_time_counts_as_just_sent(query: str) -> None:
    assert sent(query) == NOW


@pytest.mark.parametrize("query", ["X-Amz-Date=20261128T130200Z", "Expires=1795888000", "X-Amz-Date=99991231T235959Z"])
def test_the_time_is_never_after_the_arrival_of_the_request(query: str) -> None:
    """Clocks differ, and that must not extend a deadline."""
    assert sent(query) == NOW


@pytest.mark.parametrize("address", ["https://[::1", "https://[", "x", "?X-Amz-Date=no", "//[?Expires=1"])
def test_an_invalid_url_counts_as_just_sent(address: str) -> None:
    """It is refused later, when the response is sent."""
    assert Event.parse({**EVENT, "ResponseURL": address}, NOW).sent == NOW


@given(name=st.sampled_from(["X-Amz-Date", "Expires", "X-Amz-Expires"]), value=st.text())
def test_any_url_gives_a_time_that_is_not_in_the_future(name: str, value: str) -> None:
    assert sent(f"{name}={value}") <= NOW
