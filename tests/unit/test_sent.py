"""When CloudFormation sent a request: its signed address says so."""

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
def test_a_signature_of_either_version_tells(query: str) -> None:
    assert sent(query) == A_MINUTE_BEFORE


def test_the_newer_version_counts_where_there_are_both() -> None:
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
def test_one_that_does_not_say_it_counts_as_just_sent(query: str) -> None:
    assert sent(query) == NOW


@pytest.mark.parametrize("query", ["X-Amz-Date=20261128T130200Z", "Expires=1795888000", "X-Amz-Date=99991231T235959Z"])
def test_no_request_is_sent_after_it_came(query: str) -> None:
    """Clocks differ; a deadline that counts from then may not end later for it."""
    assert sent(query) == NOW


@pytest.mark.parametrize("address", ["https://[::1", "https://[", "x", "?X-Amz-Date=no", "//[?Expires=1"])
def test_an_invalid_address_counts_as_just_sent(address: str) -> None:
    """It is refused later, when the answer is to be sent there."""
    assert Event.parse({**EVENT, "ResponseURL": address}, NOW).sent == NOW


@given(name=st.sampled_from(["X-Amz-Date", "Expires", "X-Amz-Expires"]), value=st.text())
def test_whatever_an_address_says_is_a_time_until_now(name: str, value: str) -> None:
    assert sent(f"{name}={value}") <= NOW
