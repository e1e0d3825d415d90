"""The response: complete, at most 4096 bytes, with the beginning of the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.cfn import Event, Response, Status
from lambda_handler.cfn.response import RESPONSE_MAX_BYTES

from .test_cloudformation_protocol import EVENT, NOW

REQUEST = Event.parse(EVENT, NOW)


def encoded(**fields: Any) -> bytes:
    return Response(**{"status": Status.FAILED, "physical_resource_id": "id", **fields}).encode(REQUEST)


def answer(**fields: Any) -> dict[str, Any]:
    body = encoded(**fields)
    assert len(body) <= RESPONSE_MAX_BYTES
    read: dict[str, Any] = json.loads(body)
    return read


def test_returns_the_ids_of_the_request_verbatim() -> None:
    read = answer(reason="why")

    for key in ("StackId", "RequestId", "LogicalResourceId"):
        assert read[key] == EVENT[key]
    assert (read["Status"], read["Reason"], read["PhysicalResourceId"]) == ("FAILED", "why", "id")


def test_keeps_a_short_reason() -> None:
    assert answer(reason="x" * 1500)["Reason"] == "x" * 1500


@pytest.mark.parametrize("character", ["x", "ü", "日", "😀", '"', "\\", "\x00", "\n", "\ud800"])
def test_truncates_a_long_reason_and_points_to_the_log(character: str) -> None:
    reason = answer(reason="CODE: " + character * 9000)["Reason"]

    assert reason.startswith("CODE: " + character * 100)
    assert reason.endswith(" ... (truncated; see the function's log)")


def test_keeps_the_longest_data_that_fits() -> None:
    room = RESPONSE_MAX_BYTES - len(encoded(status=Status.SUCCESS, data={"A": ""}))

    body = encoded(status=Status.SUCCESS, data={"A": "x" * room})

    assert len(body) == RESPONSE_MAX_BYTES
    assert json.loads(body)["Status"] == "SUCCESS"


def test_data_that_is_one_byte_too_long_fails_the_request() -> None:
    room = RESPONSE_MAX_BYTES - len(encoded(status=Status.SUCCESS, data={"A": ""}))

    read = answer(status=Status.SUCCESS, data={"A": "x" * (room + 1)})

    assert read["Status"] == "FAILED"
    assert read["Reason"] == "the data of the response exceeds the 4096 bytes that CloudFormation accepts"
    assert read["Data"] == {}


def test_shortens_the_reason_in_favor_of_the_data() -> None:
    read = answer(status=Status.SUCCESS, reason="x" * 1500, data={"A": "y" * 3000})

    assert (read["Status"], read["Data"]) == ("SUCCESS", {"A": "y" * 3000})


@given(
    physical_id=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(
        lambda text: len(text.encode()) <= 1024
    ),
    reason=st.text(max_size=3000),
)
def test_returns_any_id_that_cloudformation_allows(physical_id: str, reason: str) -> None:
    """A resource of another function may have any id of up to 1 KB, and a failed response repeats it."""
    assert answer(physical_resource_id=physical_id, reason=reason)["PhysicalResourceId"] == physical_id


@pytest.mark.parametrize("character", ["x", "ü", "日", "😀", '"', "\x7f"])
def test_returns_the_longest_id(character: str) -> None:
    physical_id = character * (1024 // len(character.encode()))

    assert answer(physical_resource_id=physical_id, reason="x" * 9000)["PhysicalResourceId"] == physical_id
