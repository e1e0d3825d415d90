"""Errors of botocore are translated by their code, never by their message."""

from __future__ import annotations

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from lambda_handler.aws.errcode import ERRORS, translated
from lambda_handler.errors import AccessError, IntegrityError, RejectedError, RemoteError, UnavailableError

OPERATION = "ecr-public:PutImage"


def translation(error: Exception) -> RemoteError:
    with pytest.raises(RemoteError) as failure, translated(OPERATION):
        raise error
    return failure.value


def answered(code: str, status: int = 400, message: str = "text") -> exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(response, "PutImage")  # type: ignore[arg-type]


@pytest.mark.parametrize(("code", "kind"), ERRORS.items())
def test_a_known_code_becomes_its_error_class(code: str, kind: type[RemoteError]) -> None:
    error = translation(answered(code))

    assert type(error) is kind
    assert error.message == f"ecr-public:PutImage failed: {code}: text"
    assert error.operation == OPERATION


@pytest.mark.parametrize(("status", "kind"), [(400, RejectedError), (500, UnavailableError), (503, UnavailableError)])
def test_an_unknown_code_is_classified_by_its_http_status(status: int, kind: type[RemoteError]) -> None:
    assert type(translation(answered("Surprise", status))) is kind


@pytest.mark.parametrize("text", ["AccessDenied", "throttling, try again", "already exists", "not found"])
def test_the_message_does_not_affect_the_classification(text: str) -> None:
    assert type(translation(answered("Surprise", message=text))) is RejectedError


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectTimeoutError(endpoint_url="http://x"),
        exceptions.ReadTimeoutError(endpoint_url="http://x"),
        exceptions.ConnectionClosedError(endpoint_url="http://x"),
        exceptions.ResponseStreamingError(error="x"),
        ResponseParserError("not JSON"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_missing_response_is_retryable(error: Exception) -> None:
    found = translation(error)

    assert found.retryable
    assert found.message == f"ecr-public:PutImage failed: incomplete response ({type(error).__name__})"


def test_an_unreachable_endpoint_is_named_without_its_path() -> None:
    found = translation(exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/key?secret=1"))

    assert found.retryable
    assert found.message == "ecr-public:PutImage failed: cannot connect to http://127.0.0.1:4566"


@pytest.mark.parametrize(
    "error", [exceptions.NoCredentialsError(), exceptions.PartialCredentialsError(provider="x", cred_var="y")]
)
def test_missing_credentials_are_reported(error: Exception) -> None:
    assert type(translation(error)) is AccessError
    assert "no AWS credentials are available" in translation(error).message


def test_a_request_that_botocore_refuses_is_not_retried() -> None:
    error = translation(exceptions.ParamValidationError(report="imageTag too long"))

    assert type(error) is RejectedError
    assert "was not sent" in error.message


def test_a_long_message_is_truncated() -> None:
    assert len(translation(answered("Surprise", message="x" * 9000)).message) < 500


def test_a_response_that_lacks_required_fields_is_retryable() -> None:
    """botocore does not check responses; tests/fuzz covers every operation."""
    error = translation(KeyError("imageDetails"))

    assert type(error) is UnavailableError
    assert error.message == "ecr-public:PutImage failed: the response does not match the service model (KeyError)"


@pytest.mark.parametrize("error", [AssertionError(), OSError(), IntegrityError("other bytes")], ids=repr)
def test_other_exceptions_are_not_translated(error: Exception) -> None:
    with pytest.raises(type(error)) as passed, translated(OPERATION):
        raise error

    assert passed.value is error
