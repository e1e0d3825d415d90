"""Records: encoding, parsing, and refusing other strings."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import InvalidPropertiesError
from lambda_handler.oci import Digest
from lambda_handler.resources.record import DEPLOYED_MAX, RECORD_MAX_BYTES, Record
from lambda_handler.resources.record_names import declaration_key

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10-0000-4000-8000-123456789abc"
X, Y, Z = Digest.of(b"x"), Digest.of(b"y"), Digest.of(b"z")

RECORD = Record(
    stack=STACK,
    request="9c1b0b1e-0000-4000-8000-123456789abc",
    sent=1_795_870_800.25,
    undoes_to="0123456789abcdef",
    tags=("1.4.3", "1.4", "latest"),
    found={"1.4": X, "latest": X, "stable": Y},
    existed=frozenset({X, Z}),
    deployed={"0123456789abcdef": X, "fedcba9876543210": Y},
    failed="fedcba9876543210",
    failed_sent=1_795_870_900.0,
    previous="moving",
    left_over=True,
)

digests = st.sampled_from([X, Y, Z])
keys = st.text(max_size=20)
times = st.floats(0, 4e9).map(lambda seconds: round(seconds, 3))
tags = st.lists(st.text(max_size=10), max_size=5, unique=True)
records = st.builds(
    Record,
    stack=st.text(max_size=30),
    request=keys,
    sent=times,
    undoes_to=keys,
    tags=st.none() | tags.map(tuple),
    found=st.none() | st.dictionaries(st.text(max_size=10), digests, max_size=5),
    existed=st.none() | st.frozensets(digests),
    deployed=st.dictionaries(keys, digests, max_size=2),
    failed=keys,
    failed_sent=times,
    previous=keys,
    left_over=st.booleans(),
)


@given(records)
def test_a_record_round_trips(record: Record) -> None:
    assert Record.parse(record.text()) == record


def test_the_text_has_every_field() -> None:
    assert json.loads(RECORD.text()) == {
        "version": 1,
        "stack": STACK,
        "request": RECORD.request,
        "sent": 1795870800.25,
        "undoesTo": "0123456789abcdef",
        "tags": ["1.4.3", "1.4", "latest"],
        "found": {str(X): ["1.4", "latest"], str(Y): ["stable"]},
        "existed": sorted([str(X), str(Z)]),
        "deployed": {"0123456789abcdef": str(X), "fedcba9876543210": str(Y)},
        "failed": "fedcba9876543210",
        "failedSent": 1795870900.0,
        "previous": "moving",
        "leftOver": True,
    }


def test_a_typical_record_is_short() -> None:
    """There may be hundreds of images, each with a parameter that is read often."""
    usual = Record(stack=STACK, request=RECORD.request, sent=RECORD.sent, tags=RECORD.tags)

    assert set(json.loads(usual.text())) == {"version", "stack", "request", "sent", "tags"}


def test_distinguishes_unknown_values_from_empty_ones() -> None:
    unknown = Record(stack=STACK, tags=None, found=None, existed=None)

    assert Record.parse(unknown.text()) == unknown
    assert unknown != Record(stack=STACK)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "1",
        '"version"',
        "{}",
        '{"version": 1}',
        "not JSON",
        "[" * 100_000,
        '{"version": 1' + "0" * 5000 + "}",
    ],
    ids=lambda text: text[:20] or "nothing",
)
def test_refuses_what_is_not_a_record(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Record.parse(text)


ODD = [
    ("sent", None),
    ("sent", "soon"),
    ("sent", [1]),
    ("tags", 1),
    ("tags", "latest"),
    ("found", [["latest", str(X)]]),
    ("found", {"latest": str(X)}),
    ("found", {str(X): "latest"}),
    ("found", {"sha256:short": ["latest"]}),
    ("existed", ["latest"]),
    ("deployed", [str(X)]),
    ("deployed", {"key": "latest"}),
    ("failedSent", "soon"),
    ("leftOver", "false"),
]


@pytest.mark.parametrize(("name", "value"), ODD, ids=str)
def test_refuses_a_field_of_the_wrong_type(name: str, value: object) -> None:
    """An unreadable record forbids a removal; a misread one would allow it, or restore the wrong image."""
    data = {**json.loads(RECORD.text()), name: value}

    with pytest.raises(ValueError, match=r".*"):
        Record.parse(json.dumps(data))


@pytest.mark.parametrize("version", [0, 2, "1", None, []])
def test_refuses_a_record_of_another_version(version: object) -> None:
    with pytest.raises(ValueError, match="version"):
        Record.parse(json.dumps({**json.loads(RECORD.text()), "version": version}))


def test_ignores_a_field_that_a_later_version_adds() -> None:
    assert Record.parse(json.dumps({**json.loads(RECORD.text()), "color": "green"})) == RECORD


FIRST = {
    "resource": "ecr-public:123456789012/acme/agent:Release",
    "madeBy": "9c1b0b1e",
    "tags": ["1.4", "latest"],
    "digests": {"0123456789abcdef": str(X), "fedcba9876543210": str(Y)},
    "before": {"tags": {"latest": str(Z)}, "images": [str(X)]},
}
"""As version 0.1 wrote it."""


def first(**changes: Any) -> Record:
    return Record.parse_first_version(json.dumps({**FIRST, **changes}))


def test_reads_records_of_the_first_version() -> None:
    assert first() == Record(
        request="9c1b0b1e",
        tags=("1.4", "latest"),
        found={"latest": Z},
        existed=frozenset({X}),
        deployed={"0123456789abcdef": X, "fedcba9876543210": Y},
    )
    assert first().latest == Y


def test_what_the_first_version_did_not_know_stays_unknown() -> None:
    unknown = first(before=None)

    assert (unknown.found, unknown.existed) == (None, None)
    assert first(before={"tags": {}, "images": None}).existed is None


def test_a_record_of_the_first_version_without_a_resource_owns_nothing() -> None:
    record = first(resource="")

    assert (record.tags, record.left_over) == ((), True)


@pytest.mark.parametrize("text", [RECORD.text(), "", "null", "[]", "{}", "[" * 100_000, json.dumps({"tags": []})])
def test_refuses_what_the_first_version_never_wrote(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Record.parse_first_version(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tags", 7),
        ("tags", "latest"),
        ("digests", [str(X)]),
        ("digests", {"key": "latest"}),
        ("before", {}),
        ("before", {"tags": {"latest": "latest"}, "images": None}),
        ("before", {"tags": {}, "images": ["latest"]}),
    ],
    ids=str,
)
def test_refuses_a_field_of_the_first_version_of_the_wrong_type(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        first(**{name: value})


def many(number: int) -> tuple[str, ...]:
    return tuple(f"a-rather-long-tag-{place:03}" for place in range(number))


def test_too_many_tags_to_store_count_as_all_tags_of_the_image() -> None:
    record = replace(RECORD, tags=many(200))

    text = record.text()

    assert len(text) <= RECORD_MAX_BYTES
    assert Record.parse(text) == replace(record, tags=None)


def test_too_many_manifests_to_store_count_as_existing_before() -> None:
    existed = frozenset(Digest.of(str(number).encode()) for number in range(60))
    record = replace(RECORD, existed=existed)

    assert Record.parse(record.text()) == replace(record, tags=None, existed=None)


def test_what_an_undo_needs_takes_priority_over_all_other_fields() -> None:
    existed = frozenset(Digest.of(str(number).encode()) for number in range(60))
    found = dict.fromkeys(many(120), X)

    read = Record.parse(replace(RECORD, tags=many(200), existed=existed, found=found).text())

    assert (read.tags, read.existed, read.found) == (None, None, found)
    assert (read.deployed, read.failed, read.sent) == (RECORD.deployed, RECORD.failed, RECORD.sent)


@pytest.mark.parametrize("images", [1, 200], ids=["all of one image", "each of another image"])
def test_refuses_too_many_tags_to_give_back_with_their_number_and_a_remedy(images: int) -> None:
    found = {tag: Digest.of(str(number % images).encode()) for number, tag in enumerate(many(200))}

    with pytest.raises(InvalidPropertiesError) as refusal:
        replace(RECORD, found=found).text()

    (problem,) = refusal.value.problems
    assert problem.startswith("ImageTags: takes over 200 tags ")
    assert "more than the 4096 bytes of a record hold, so a rollback could not give them back" in problem
    assert problem.endswith("declare some of them in another PublicImage, or take them over in several deployments")


@pytest.mark.parametrize("number", range(1, 200, 7))
def test_no_text_exceeds_the_limit_of_a_parameter(number: int) -> None:
    found = dict.fromkeys(many(number), X)
    record = replace(RECORD, tags=many(number), found=found)
    try:
        text = record.text()
    except InvalidPropertiesError:
        assert len(json.dumps(list(found), separators=(",", ":"))) > RECORD_MAX_BYTES - 1000
    else:
        assert len(text.encode()) <= RECORD_MAX_BYTES
        assert Record.parse(text).found == found


def test_remembers_the_latest_declarations() -> None:
    """A rollback may have to skip several failed declarations."""
    record = Record()
    for number in range(DEPLOYED_MAX + 2):
        record = record.with_deployed(str(number), Digest.of(str(number).encode()))

    assert list(record.deployed) == [str(number) for number in range(2, DEPLOYED_MAX + 2)]
    assert record.latest == Digest.of(str(DEPLOYED_MAX + 1).encode())


def test_a_repeated_declaration_becomes_the_latest() -> None:
    record = Record().with_deployed("a", X).with_deployed("b", Y).with_deployed("a", Z)

    assert list(record.deployed.items()) == [("b", Y), ("a", Z)]
    assert record.latest == Z


def test_an_empty_record_has_no_latest_declaration() -> None:
    assert Record().latest is None


PROPERTIES = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": {"Tag": "stable"}}


def test_the_key_of_a_declaration_depends_only_on_the_image_properties() -> None:
    key = declaration_key(PROPERTIES)

    assert len(key) == 16
    assert key == declaration_key(dict(reversed(PROPERTIES.items())))
    for name in ("ServiceToken", "ServiceTimeout", "StateParameterName"):
        assert key == declaration_key({**PROPERTIES, name: "another"})


@pytest.mark.parametrize("change", [{"ImageTags": ["2"]}, {"Refresh": "1"}, {"Source": {"Tag": "x"}}, {"New": ""}])
def test_another_declaration_has_another_key(change: dict[str, object]) -> None:
    assert declaration_key({**PROPERTIES, **change}) != declaration_key(PROPERTIES)
