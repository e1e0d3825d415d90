"""Values of properties: each is parsed as the expected type, or refused with its path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import InvalidPropertiesError
from lambda_handler.oci import Digest
from lambda_handler.values import Value

DIGEST = Digest.of(b"")


def refused(value: object, reader: str, *arguments: object) -> str:
    with pytest.raises(InvalidPropertiesError) as failure:
        getattr(Value(value, "Source.X"), reader)(*arguments)
    (problem,) = failure.value.problems
    return problem


@pytest.mark.parametrize("text", ["x", " ", "ü", "a\nb", "false", "7"])
def test_accepts_a_string_unchanged(text: str) -> None:
    assert Value(text, "X").string() == text


@pytest.mark.parametrize("value", ["", None, 7, True, [], ["x"], {}])
def test_refuses_what_is_not_a_string(value: object) -> None:
    assert refused(value, "string") == f"Source.X: is {value!r}; expected a string"


def test_a_parser_gets_the_string() -> None:
    assert Value(str(DIGEST), "Source.Digest").parse(Digest.parse) == DIGEST


def test_the_error_of_a_parser_gets_the_path() -> None:
    assert refused("sha256:1", "parse", Digest.parse).startswith("Source.X: 'sha256:1' is not a digest; expected")


def test_accepts_a_choice() -> None:
    assert Value("Keep", "X").choice(["Keep", "Untag"]) == "Keep"


@pytest.mark.parametrize("value", ["keep", "", None, ["Keep"], {}])
def test_refuses_another_choice_and_lists_the_allowed_ones(value: object) -> None:
    assert refused(value, "choice", ["Keep", "Untag"]) == f"Source.X: is {value!r}; allowed: Keep, Untag"


def test_items_know_their_path() -> None:
    assert [item.path for item in Value(["a", "b"], "ImageTags").items()] == ["ImageTags[0]", "ImageTags[1]"]


@pytest.mark.parametrize("value", ["a", None, {"0": "a"}, ("a",)])
def test_refuses_what_is_not_a_list(value: object) -> None:
    assert refused(value, "items").endswith("; expected a list")


def test_reports_the_problems_of_all_items() -> None:
    with pytest.raises(InvalidPropertiesError) as failure:
        Value(["ok", "", 7], "X").each(Value.string)

    assert failure.value.problems == ("X[1]: is ''; expected a string", "X[2]: is 7; expected a string")


def test_fields_know_their_path() -> None:
    assert {key: field.path for key, field in Value({"A": "1"}, "X").fields({"A", "B"}).items()} == {"A": "X.A"}


def test_refuses_unknown_fields_and_lists_the_known_ones() -> None:
    problem = refused({"A": "1", "C": "2", "D": "3"}, "fields", {"A", "B"})

    assert problem == "Source.X: has unknown keys: C, D; allowed: A, B"


@pytest.mark.parametrize("value", ["a", None, ["A"]])
@pytest.mark.parametrize("reader", ["fields", "string_map"])
def test_refuses_what_is_not_an_object(value: object, reader: str) -> None:
    arguments = [{"A"}] if reader == "fields" else []

    assert refused(value, reader, *arguments).endswith("; expected an object")


def test_reads_a_mapping_of_strings() -> None:
    assert Value({"a": "1", "b.c": "x"}, "X").string_map() == {"a": "1", "b.c": "x"}


def test_refuses_a_mapping_with_other_values() -> None:
    assert refused({"a": 7}, "string_map") == "Source.X.a: is 7; expected a string"


@given(st.text(min_size=200))
def test_truncates_a_long_value_in_the_message(text: str) -> None:
    assert len(refused([text], "string")) < 200
