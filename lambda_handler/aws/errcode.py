"""botocore's errors as ours: one table, never the text of a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

from ..errors import (
    AccessError,
    AlreadyExistsError,
    ConflictError,
    ImageNotFoundError,
    MissingContentError,
    NotFoundError,
    QuotaExceededError,
    RejectedError,
    RemoteError,
    RepositoryNotFoundError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)

_SHOWN_CHARACTERS = 400

ERRORS: Mapping[str, type[RemoteError]] = {
    "AccessDenied": AccessError,
    "AccessDeniedException": AccessError,
    "ExpiredTokenException": AccessError,
    "InvalidClientTokenId": AccessError,
    "InvalidSignatureException": AccessError,
    "UnrecognizedClientException": AccessError,
    "ImageNotFoundException": ImageNotFoundError,
    "ImageAlreadyExistsException": AlreadyExistsError,
    "NoSuchBucket": NotFoundError,
    "NoSuchKey": NotFoundError,
    "ParameterNotFound": NotFoundError,
    "RegistryNotFoundException": NotFoundError,
    "RepositoryNotFoundException": RepositoryNotFoundError,
    "LayersNotFoundException": MissingContentError,
    "ReferencedImagesNotFoundException": MissingContentError,
    "ImageTagAlreadyExistsException": ConflictError,
    "ImageDigestDoesNotMatchException": RejectedError,
    "InvalidParameterException": RejectedError,
    "InvalidTagParameterException": RejectedError,
    "TooManyTagsException": RejectedError,
    "LimitExceededException": QuotaExceededError,
    "UnsupportedCommandException": UnsupportedError,
    "ThrottlingException": ThrottledError,
    "Throttling": ThrottledError,
    "TooManyRequestsException": ThrottledError,
    "TooManyUpdates": ThrottledError,
    "RequestLimitExceeded": ThrottledError,
    "SlowDown": ThrottledError,
    "RequestTimeout": UnavailableError,
    "ServerException": UnavailableError,
    "ServiceUnavailable": UnavailableError,
    "ServiceUnavailableException": UnavailableError,
    "InternalFailure": UnavailableError,
    "InternalError": UnavailableError,
    "InternalServerError": UnavailableError,
}
"""Error codes of the operations that the handler calls, and the common ones of AWS."""

_HINTS: Mapping[str, str] = {
    "ExpiredTokenException": "the function's own credentials have expired; deploy again",
    "ImageTagAlreadyExistsException": "the repository forbids moving the tag; publish under another one",
    "LayersNotFoundException": "push the image's layers to this very repository first",
    "ReferencedImagesNotFoundException": "push each image that the index lists to this very repository first",
    "RepositoryNotFoundException": (
        "create the repository first, and check its name (without registry host and alias) and the account; "
        "another account's registry is named by its alias"
    ),
    "UnsupportedCommandException": "Amazon ECR Public's API is served in us-east-1 only",
}

_SERVER_ERRORS = range(500, 600)


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """
    Let botocore's errors leave as ours, and those of reading the answer too.

    botocore does not check that an answer is what the service's model says;
    so every field of it is read in here.

    Args:
        operation: As IAM names it: ``ecr-public:PutImage``.
    """
    try:
        yield
    except ClientError as error:
        raise _client_error(error, operation) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        message = f"{operation} was not sent: the function has no AWS credentials"
        raise AccessError(message, operation=operation) from error
    except (HTTPClientError, BotoConnectionError, IncompleteReadError, ResponseParserError) as error:
        message = f"{operation} failed: no complete answer ({type(error).__name__})"
        raise UnavailableError(message, operation=operation) from error
    except BotoCoreError as error:
        message = f"{operation} was not sent: {error}"
        raise RejectedError(message, operation=operation) from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        # RuntimeError: nested without end, or a time that no calendar has.
        message = f"{operation} failed: its answer is none that the service's model knows ({type(error).__name__})"
        raise UnavailableError(message, operation=operation) from error


def error_code(error: ClientError) -> str:
    """Return the service's code: ``RepositoryNotFoundException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _client_error(error: ClientError, operation: str) -> RemoteError:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = ERRORS.get(code, UnavailableError if status in _SERVER_ERRORS else RejectedError)
    text = str(error.response.get("Error", {}).get("Message", "")).strip()[:_SHOWN_CHARACTERS]
    hint = _HINTS.get(code)
    if kind is AccessError and hint is None:
        hint = f"allow {operation} in the role of the handler's function"
    return kind(f"{operation} failed: {code}: {text}".rstrip(": "), operation=operation, hint=hint)
