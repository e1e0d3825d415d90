"""The tree of errors: stable codes, one line of explanation, and which of them are retryable."""

from __future__ import annotations

import pytest

from lambda_handler import errors
from lambda_handler.errors import ImageError, InvalidPropertiesError, RemoteError, RuleViolationError, truncated_repr

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ImageError)]


def test_every_error_class_has_a_unique_code() -> None:
    own = [kind.code for kind in KINDS if "code" in vars(kind)]

    assert sorted(own) == sorted(set(own))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_code_is_easy_to_search_for(kind: type[ImageError]) -> None:
    assert kind.code.replace("_", "").isupper()
    assert kind.__doc__


def test_the_documented_tree_matches_the_classes() -> None:
    drawn = {word for word in str(errors.__doc__).replace("─", " ").split() if word.endswith("Error")}

    assert drawn == {kind.__name__ for kind in KINDS}


def test_only_transient_errors_are_retryable() -> None:
    assert {kind.__name__ for kind in KINDS if kind.retryable} == {
        "ThrottledError",
        "UnavailableError",
        "NotYetVisibleError",
        "UploadLostError",
    }


REMOTE_KINDS = [kind for kind in KINDS if issubclass(kind, RemoteError)]


@pytest.mark.parametrize("kind", REMOTE_KINDS, ids=lambda kind: kind.__name__)
def test_a_remote_error_explains_itself_in_one_line(kind: type[RemoteError]) -> None:
    error = kind("what happened", operation="ecr-public:PutImage", hint="do this")

    assert error.explain() == f"{kind.code}: what happened. Hint: do this"
    assert str(error) == "what happened"
    assert error.operation == "ecr-public:PutImage"


def test_without_a_hint_the_explanation_is_the_message() -> None:
    assert ImageError("what").explain() == "INTERNAL: what"


@pytest.mark.parametrize("kind", [InvalidPropertiesError, RuleViolationError])
def test_several_problems_are_joined_in_one_message(kind: type[InvalidPropertiesError | RuleViolationError]) -> None:
    assert str(kind(["a: is missing", "b: is 7"])) == "a: is missing; b: is 7"


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\nb", "'a\\nb'"), (7, "7"), ([], "[]"), ("x" * 78, "'" + "x" * 78 + "'"), ("x" * 79, "'" + "x" * 76 + "...")],
)
def test_a_value_is_shown_in_one_line_and_truncated(value: object, text: str) -> None:
    assert truncated_repr(value) == text
