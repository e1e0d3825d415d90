"""
Every exception that the handler raises on purpose.

::

    ImageError                       code, retryable, hint
    ├─ InvalidInputError             what was asked for is wrong; never retried
    │  ├─ InvalidDigestError
    │  ├─ InvalidReferenceError      names, tags, hosts
    │  ├─ InvalidPlatformError
    │  ├─ InvalidManifestError
    │  ├─ InvalidArchiveError        no image in it, or not the one asked for
    │  └─ InvalidPropertiesError     .problems: all of them, each with its path
    ├─ RuleViolationError            .violations: what the declaration forbids
    ├─ IntegrityError                bytes are not what they claim to be
    ├─ RemoteError                   .operation: the call that failed
    │  ├─ NotFoundError              repository, image or tag
    │  │  ├─ RepositoryNotFoundError
    │  │  └─ ImageNotFoundError      of several images that were asked for, one
    │  ├─ AlreadyThereError          what was to be stored is, the service says
    │  ├─ UnconfirmedError           it says so, and a look shows something else
    │  ├─ AccessError                unauthenticated or denied
    │  │  └─ CredentialsError        declared ones that are none, or for another registry
    │  ├─ ConflictError              a tag may not be moved
    │  ├─ MissingContentError        a layer or child manifest is not there
    │  ├─ QuotaExceededError         a limit of the account
    │  ├─ RejectedError              the service calls the request invalid
    │  ├─ UnsupportedError           this Region or registry cannot do it
    │  ├─ ThrottledError             retried
    │  └─ UnavailableError           retried: 5xx, time-outs, lost connections
    │     ├─ NotYetVisibleError      there already, but reads lag behind writes
    │     └─ UploadLostError         a blob's upload must begin again
    ├─ ReleaseError                  some tags were put, others were not
    ├─ DeadlineError                 stopped while a response was still possible
    ├─ TooLateError                  CloudFormation does not wait for it any more
    ├─ ProtocolError                 an event that CloudFormation does not send
    └─ DeliveryError                 CloudFormation did not take the answer

``code`` is stable and documented; texts may change. Nothing in a text is
secret: no token, credential or pre-signed address ever enters an exception.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import ClassVar

_SHOWN_CHARACTERS = 80


def shown(value: object) -> str:
    """Show a value from outside in a message: quoted, and cut to a readable length, however long or deep it is."""
    text = repr(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else reprlib.repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


class ImageError(Exception):
    """
    Base of all errors of this package.

    Args:
        message: What failed, in the user's words, with the value got and what
            is allowed. Lower case, no full stop.
        hint: What to do about it, or None when the message says it.

    Attributes:
        unanswered: An attempt got no answer, this one or one before it: what
            was asked for may have been done.
    """

    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False
    unanswered: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def about(self, what: str) -> ImageError:
        """Name what it is about behind the message, once, and return the error itself."""
        if what not in self.message:
            self.message = f"{self.message} ({what})"
            self.args = (self.message,)
        return self

    def explain(self) -> str:
        """Code, message and hint in one line, as people read it in a stack event."""
        text = f"{self.code}: {self.message}"
        return f"{text}. Hint: {self.hint}" if self.hint else text


class InvalidInputError(ImageError, ValueError):
    """The request is wrong; sending it again changes nothing."""

    code = "INVALID_INPUT"


class InvalidDigestError(InvalidInputError):
    """Not a digest of the form ``sha256:<64 lower-case hex digits>``."""

    code = "INVALID_DIGEST"


class InvalidReferenceError(InvalidInputError):
    """A host, repository name, tag or reference outside its grammar."""

    code = "INVALID_REFERENCE"


class InvalidPlatformError(InvalidInputError):
    """Not a platform of the form ``os/architecture[/variant]``."""

    code = "INVALID_PLATFORM"


class InvalidManifestError(InvalidInputError):
    """Not a manifest that ECR Public stores."""

    code = "INVALID_MANIFEST"


class InvalidArchiveError(InvalidInputError):
    """Not an archive of images that can be read, or without the image asked for."""

    code = "INVALID_ARCHIVE"


class InvalidPropertiesError(InvalidInputError):
    """
    The properties of a resource break its contract.

    Attributes:
        problems: One sentence for each, beginning with the property's path.
    """

    code = "INVALID_PROPERTIES"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class RuleViolationError(ImageError):
    """
    What was asked for is well-formed, but the declaration itself forbids it.

    Attributes:
        violations: One sentence for each; nothing was written.
    """

    code = "RULE_VIOLATION"

    def __init__(self, violations: Sequence[str]) -> None:
        super().__init__("; ".join(violations))
        self.violations = tuple(violations)


class IntegrityError(ImageError):
    """Bytes do not have the digest or size that they should have."""

    code = "INTEGRITY"


class RemoteError(ImageError):
    """
    A service answered with an error, or not at all.

    Attributes:
        operation: The call, e.g. ``ecr-public:PutImage`` or ``GET manifest``.
    """

    code = "REMOTE"

    def __init__(self, message: str, *, operation: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation


class NotFoundError(RemoteError):
    """The repository, image or tag does not exist."""

    code = "NOT_FOUND"


class RepositoryNotFoundError(NotFoundError):
    """The repository does not exist, or is not shown to us."""


class ImageNotFoundError(NotFoundError):
    """At least one of the images or tags that were described does not exist."""

    code = "IMAGE_NOT_FOUND"


class AlreadyThereError(RemoteError):
    """The service says that it has what was to be stored; never leaves the handler."""

    code = "ALREADY_THERE"


class UnconfirmedError(RemoteError):
    """The service says that it has what was to be stored, and a look shows something else, or nothing."""

    code = "UNCONFIRMED"
    unanswered = True


class AccessError(RemoteError):
    """Not authenticated, or not allowed."""

    code = "ACCESS_DENIED"


class CredentialsError(AccessError):
    """Declared credentials that are none, or that must not go where they are asked for; no wait cures that."""


class ConflictError(RemoteError):
    """The registry refuses to move a tag."""

    code = "CONFLICT"


class MissingContentError(RemoteError):
    """A layer, config or child manifest that the image refers to is not there."""

    code = "MISSING_CONTENT"


class QuotaExceededError(RemoteError):
    """A limit of the account that waiting does not lift."""

    code = "QUOTA_EXCEEDED"


class RejectedError(RemoteError):
    """The service calls the request invalid."""

    code = "REJECTED"


class UnsupportedError(RemoteError):
    """The Region or registry does not offer the operation."""

    code = "UNSUPPORTED"


class ThrottledError(RemoteError):
    """Too many requests; worth trying again later."""

    code = "THROTTLED"
    retryable = True


class UnavailableError(RemoteError):
    """A passing failure: 5xx, a time-out, a lost connection."""

    code = "UNAVAILABLE"
    retryable = True


class NotYetVisibleError(UnavailableError):
    """Known to be there, but a read does not show it yet; waited for patiently."""

    code = "NOT_YET_VISIBLE"


class UploadLostError(UnavailableError):
    """An upload broke off, or the service does not know it any more; a new one may succeed."""

    code = "UPLOAD_LOST"


class ReleaseError(ImageError):
    """Putting several tags failed half-way; the text says where each is now."""

    code = "RELEASE_FAILED"


class DeadlineError(ImageError):
    """Stopped early, because CloudFormation must be answered in time."""

    code = "DEADLINE"


class TooLateError(ImageError):
    """CloudFormation has given up the request, or got its response already; nothing was written."""

    code = "TOO_LATE"


class ProtocolError(ImageError):
    """The event is not one that CloudFormation sends to a custom resource."""

    code = "PROTOCOL"


class DeliveryError(ImageError):
    """CloudFormation did not accept the answer."""

    code = "DELIVERY"
