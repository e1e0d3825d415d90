"""Translates botocore's errors by their codes, never by their messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
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
    ScanNotFoundError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)

_MESSAGE_MAX_CHARACTERS = 400

ERRORS: Mapping[str, type[RemoteError]] = {
    "AccessDenied": AccessError,
    "AccessDeniedException": AccessError,
    "AuthorizationError": AccessError,
    "ExpiredTokenException": AccessError,
    "InvalidClientTokenId": AccessError,
    "InvalidSignatureException": AccessError,
    "UnrecognizedClientException": AccessError,
    "ImageNotFoundException": ImageNotFoundError,
    "ImageAlreadyExistsException": AlreadyExistsError,
    "NoSuchBucket": NotFoundError,
    "NoSuchKey": NotFoundError,
    "NotFoundException": NotFoundError,
    "ParameterNotFound": NotFoundError,
    "RegistryNotFoundException": NotFoundError,
    "ResourceNotFoundException": NotFoundError,
    "RepositoryNotFoundException": RepositoryNotFoundError,
    "ScanNotFoundException": ScanNotFoundError,
    "LayersNotFoundException": MissingContentError,
    "ReferencedImagesNotFoundException": MissingContentError,
    "ImageTagAlreadyExistsException": ConflictError,
    "ConditionalRequestConflict": ConflictError,
    "PreconditionFailed": ConflictError,
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
"""The error codes of the operations that the handler calls, and the common error codes of AWS."""

_HINTS: Mapping[str, str] = {
    "ExpiredTokenException": "the function's credentials have expired; deploy again",
    "ImageTagAlreadyExistsException": "the repository does not allow moving the tag; publish with another tag",
    "LimitExceededException": (
        "an image can have 1,000 tags, a layer 10,000 MiB, and a repository 100,000 images, which can be raised: "
        "remove tags or images that are not needed, publish to another repository, or request a higher quota"
    ),
    "LayersNotFoundException": "push the layers of the image to the same repository first",
    "ReferencedImagesNotFoundException": "push all images that the index lists to the same repository first",
    "RepositoryNotFoundException": (
        "create the repository first, or correct its name (without registry host and alias) or the account; "
        "use the registry alias for another account"
    ),
    "UnsupportedCommandException": "the API of Amazon ECR Public is only available in us-east-1",
}

_SERVER_ERRORS = range(500, 600)


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """
    Translate botocore's errors, and errors of reading the response.

    botocore does not validate responses against the service model, so the
    fields of a response are read inside this context.

    Args:
        operation: The IAM action: ``ecr-public:PutImage``.
    """
    try:
        yield
    except ClientError as error:
        raise _client_error(error, operation) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        message = f"{operation} was not sent: no AWS credentials are available"
        raise AccessError(message, operation=operation) from error
    except EndpointConnectionError as error:
        address = "://".join(urlsplit(str(error.kwargs.get("endpoint_url")))[:2])
        message = f"{operation} failed: cannot connect to {address}"
        raise UnavailableError(message, operation=operation) from error
    except (HTTPClientError, BotoConnectionError, IncompleteReadError, ResponseParserError) as error:
        message = f"{operation} failed: incomplete response ({type(error).__name__})"
        raise UnavailableError(message, operation=operation) from error
    except BotoCoreError as error:
        message = f"{operation} was not sent: {error}"
        raise RejectedError(message, operation=operation) from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        # RuntimeError: a response that is nested too deeply, or has an impossible date.
        message = f"{operation} failed: the response does not match the service model ({type(error).__name__})"
        raise UnavailableError(message, operation=operation) from error


def error_code(error: ClientError) -> str:
    """Return the error code of the service: ``RepositoryNotFoundException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _client_error(error: ClientError, operation: str) -> RemoteError:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = ERRORS.get(code, UnavailableError if status in _SERVER_ERRORS else RejectedError)
    text = str(error.response.get("Error", {}).get("Message", "")).strip()[:_MESSAGE_MAX_CHARACTERS]
    hint = _HINTS.get(code)
    if kind is AccessError and hint is None:
        hint = f"allow {operation} in the role of the handler function"
    return kind(f"{operation} failed: {code}: {text}".rstrip(": "), operation=operation, hint=hint)
