"""The value of a parameter, which others may change, is a record or causes a ValueError."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambda_handler.errors import InvalidPropertiesError
from lambda_handler.oci import Digest
from lambda_handler.resources.record import RECORD_MAX_BYTES, Record
from tests.fuzz.hostile import JSON, changed, damaged, written

DIGEST = str(Digest.of(b""))
STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10"

RECORD = {
    "version": 1,
    "stack": STACK,
    "request": "5a7d8f10",
    "sent": 1795870800.25,
    "undoesTo": "0123456789abcdef",
    "tags": ["1.4", "latest"],
    "found": {DIGEST: ["latest"]},
    "existed": [DIGEST],
    "deployed": {"0123456789abcdef": DIGEST},
    "failed": "0123456789abcdef",
    "failedSent": 1795870800.25,
    "previous": "moving",
    "leftOver": True,
}
OF_VERSION_0_1 = {
    "resource": "ecr-public:123456789012/acme/agent:Release",
    "madeBy": "5a7d8f10",
    "tags": ["1.4"],
    "digests": {"0123456789abcdef": DIGEST},
    "before": {"tags": {"latest": DIGEST}, "images": [DIGEST]},
}

PARSERS = pytest.mark.parametrize("parse", [Record.parse, Record.parse_first_version], ids=["this version", "0.1"])


def texts(record: dict[str, Any]) -> st.SearchStrategy[str]:
    records = st.just(record)
    contents = written(JSON) | written(changed(records)) | written(changed(records)) | damaged(written(records))
    return contents.map(lambda content: content.decode("utf-8", "replace")) | st.text()


def read(parse: Callable[[str], Record], text: str) -> Record | None:
    """Parse a record. Any error except a ValueError is a bug, and is not caught."""
    try:
        return parse(text)
    except ValueError:
        return None


@PARSERS
@settings(max_examples=400)
@given(texts(RECORD) | texts(OF_VERSION_0_1))
@example("[" * 100_000)
@example('{"version": 1, "sent": 1' + "0" * 400 + "}")
def test_any_string_is_a_record_or_a_value_error(parse: Callable[[str], Record], text: str) -> None:
    assert isinstance(read(parse, text), Record | None)


@PARSERS
@settings(max_examples=400)
@given(texts(RECORD) | texts(OF_VERSION_0_1))
@example(json.dumps({**RECORD, "undoneBy": "x" * RECORD_MAX_BYTES}))
def test_every_parsed_record_round_trips(parse: Callable[[str], Record], text: str) -> None:
    if (record := read(parse, text)) is None:
        return
    try:
        again = record.text()
    except InvalidPropertiesError:
        assert len(text) > RECORD_MAX_BYTES // 2
        return
    assert len(again.encode()) <= RECORD_MAX_BYTES
    # Texts are compared, because NaN does not equal itself.
    assert Record.parse(again).text() == again


def test_the_unchanged_record_is_valid() -> None:
    """Otherwise all examples would be refused."""
    assert Record.parse(json.dumps(RECORD)).tags == ("1.4", "latest")
    assert Record.parse_first_version(json.dumps(OF_VERSION_0_1)).tags == ("1.4",)
