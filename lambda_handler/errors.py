"""
Every exception that the handler raises on purpose.

::

    ImageError                       code, retryable, hint
    ├─ InvalidInputError             what was asked for is wrong; never retried
    │  ├─ InvalidDigestError
    │  ├─ InvalidReferenceError      names, tags, hosts
    │  ├─ InvalidPlatformError
    │  ├─ InvalidManifestError
    │  ├─ InvalidArchiveError        not an archive, or without the requested image
    │  └─ InvalidPropertiesError     .problems: all of them, each with its path
    ├─ RuleViolationError            .violations: which rules are violated
    ├─ IntegrityError                content has the wrong digest or size
    ├─ RemoteError                   .operation: the request that failed
    │  ├─ NotFoundError              repository, image or tag
    │  │  ├─ RepositoryNotFoundError
    │  │  ├─ ImageNotFoundError      at least one of the requested images
    │  │  └─ ScanNotFoundError       an image of private ECR was never scanned
    │  ├─ AlreadyExistsError         the service says that the image exists
    │  ├─ UnconfirmedError           it says so, but a read shows otherwise
    │  ├─ AccessError                unauthenticated or denied
    │  │  └─ CredentialsError        declared credentials are invalid or for another registry
    │  ├─ ConflictError              a tag may not be moved
    │  ├─ MissingContentError        a layer or child manifest does not exist
    │  ├─ QuotaExceededError         a limit of the account
    │  ├─ RejectedError              the service considers the request invalid
    │  ├─ UnsupportedError           the Region or registry lacks the operation
    │  ├─ ThrottledError             retried
    │  └─ UnavailableError           retried: 5xx, timeouts, lost connections
    │     ├─ NotYetVisibleError      it exists, but reads lag behind writes
    │     └─ UploadLostError         a blob upload must be restarted
    ├─ ReleaseError                  some tags were moved, others were not
    ├─ DeadlineError                 stopped in time to send a response
    ├─ TooLateError                  CloudFormation no longer waits for the response
    ├─ ProtocolError                 not a custom resource request
    └─ DeliveryError                 CloudFormation did not accept the response

``code`` is stable and documented; messages may change. Messages contain no
secrets: no token, credential or presigned URL ever enters an exception.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from typing import ClassVar

_SHOWN_CHARACTERS = 80
_USER_INFO = re.compile(r"//[^/?#\s@\"]*@")
_IN_QUERY = re.compile(r"\?[^\s\",<>]+")


def truncated_repr(value: object) -> str:
    """Return the ``repr`` of an untrusted value for a message, truncated to 80 characters."""
    text = repr(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else reprlib.repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def shown_url(text: str) -> str:
    """
    Return a text with URLs for a message, as ``truncated_repr`` does, without what may be secret in them.

    >>> shown_url("https://user:pw@example.com/token?key=1")
    "'https://***@example.com/token?***'"
    """
    return truncated_repr(_IN_QUERY.sub("?***", _USER_INFO.sub("//***@", text)))


class ImageError(Exception):
    """
    Base of all errors of this package.

    Args:
        message: What failed, in the user's terms, with the actual value and
            the allowed ones. Lower case, no full stop.
        hint: What to do about it; None if the message says it.

    Attributes:
        outcome_unknown: Whether this or an earlier attempt received no
            response, so that the service may have executed the request.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False
    outcome_unknown: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def add_context(self, what: str) -> ImageError:
        """Append *what* to the message if it is not in there already, and return the error itself."""
        if what not in self.message:
            self.message = f"{self.message} ({what})"
            self.args = (self.message,)
        return self

    def explain(self) -> str:
        """Return code, message and hint in one line, for a stack event."""
        text = f"{self.code}: {self.message}"
        return f"{text}. Hint: {self.hint}" if self.hint else text


class InvalidInputError(ImageError, ValueError):
    """The input is invalid; a retry cannot succeed."""

    code = "INVALID_INPUT"


class InvalidDigestError(InvalidInputError):
    """A string is not of the form ``sha256:<64 lower-case hex digits>``."""

    code = "INVALID_DIGEST"


class InvalidReferenceError(InvalidInputError):
    """A host, repository name, tag or reference does not match its grammar."""

    code = "INVALID_REFERENCE"


class InvalidPlatformError(InvalidInputError):
    """A string is not of the form ``os/architecture[/variant]``."""

    code = "INVALID_PLATFORM"


class InvalidManifestError(InvalidInputError):
    """ECR Public does not store such a manifest."""

    code = "INVALID_MANIFEST"


class InvalidArchiveError(InvalidInputError):
    """The archive cannot be read, or does not contain the requested image."""

    code = "INVALID_ARCHIVE"


class InvalidPropertiesError(InvalidInputError):
    """
    The properties of a resource are invalid.

    Attributes:
        problems: One sentence for each problem, starting with the path of the property.
    """

    code = "INVALID_PROPERTIES"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class RuleViolationError(ImageError):
    """
    The declaration is valid, but violates its own rules. Nothing was written.

    Attributes:
        violations: One sentence for each violation.
    """

    code = "RULE_VIOLATION"

    def __init__(self, violations: Sequence[str]) -> None:
        super().__init__("; ".join(violations))
        self.violations = tuple(violations)


class IntegrityError(ImageError):
    """Content does not have the expected digest or size."""

    code = "INTEGRITY"


class RemoteError(ImageError):
    """
    A request to a service failed.

    Attributes:
        operation: The request, e.g. ``ecr-public:PutImage`` or ``GET manifest``.
    """

    code = "REMOTE"

    def __init__(self, message: str, *, operation: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation


class NotFoundError(RemoteError):
    """The repository, image or tag does not exist."""

    code = "NOT_FOUND"


class RepositoryNotFoundError(NotFoundError):
    """The repository does not exist, or access is denied."""


class ImageNotFoundError(NotFoundError):
    """At least one of the requested images or tags does not exist."""

    code = "IMAGE_NOT_FOUND"


class ScanNotFoundError(NotFoundError):
    """An image of private ECR was never scanned; never leaves the handler."""


class AlreadyExistsError(RemoteError):
    """The service says that the image or tag exists already; never leaves the handler."""

    code = "ALREADY_THERE"


class UnconfirmedError(RemoteError):
    """The service says that the image or tag exists already, but reads do not confirm it."""

    code = "UNCONFIRMED"
    outcome_unknown = True


class AccessError(RemoteError):
    """Authentication failed, or access is denied."""

    code = "ACCESS_DENIED"


class CredentialsError(AccessError):
    """Declared credentials are invalid, or are not for the registry that asks for them; not retried."""


class ConflictError(RemoteError):
    """The registry refuses to move a tag, or a stored object has changed meanwhile."""

    code = "CONFLICT"


class MissingContentError(RemoteError):
    """A layer, config or child manifest that the image refers to does not exist."""

    code = "MISSING_CONTENT"


class QuotaExceededError(RemoteError):
    """A quota of the account is exceeded; not retried."""

    code = "QUOTA_EXCEEDED"


class RejectedError(RemoteError):
    """The service considers the request invalid."""

    code = "REJECTED"


class UnsupportedError(RemoteError):
    """The Region or registry does not support the operation."""

    code = "UNSUPPORTED"


class ThrottledError(RemoteError):
    """The request was throttled; retried."""

    code = "THROTTLED"
    retryable = True


class UnavailableError(RemoteError):
    """A transient failure: 5xx, a timeout, a lost connection; retried."""

    code = "UNAVAILABLE"
    retryable = True


class NotYetVisibleError(UnavailableError):
    """The content exists, but reads do not show it yet; retried for a minute."""

    code = "NOT_YET_VISIBLE"


class UploadLostError(UnavailableError):
    """An upload was interrupted, or the service has dropped it; a new upload may succeed."""

    code = "UPLOAD_LOST"


class ReleaseError(ImageError):
    """Not all tags could be moved; the message says where each one points now."""

    code = "RELEASE_FAILED"


class DeadlineError(ImageError):
    """The work stopped early, to leave time for the response to CloudFormation."""

    code = "DEADLINE"


class TooLateError(ImageError):
    """CloudFormation no longer waits for the request, or has received a response already; nothing was written."""

    code = "TOO_LATE"


class ProtocolError(ImageError):
    """The event is not a custom resource request of CloudFormation."""

    code = "PROTOCOL"


class DeliveryError(ImageError):
    """CloudFormation did not accept the response."""

    code = "DELIVERY"
