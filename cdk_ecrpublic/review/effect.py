"""The effect of a deployment on one image, for all reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .._assets.lambda_handler.errors import ImageError, InvalidPropertiesError, RuleViolationError
from .images import Summary

MAX_CONCURRENT_IMAGES = 8
"""How many images are reviewed concurrently. Registries limit the rate of requests."""

NOT_BUILT = "the deployment builds and pushes this image, so nothing about it is known yet"
"""The problem of an image asset that has not been pushed yet."""


class State(StrEnum):
    """What will happen to an image."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DRIFTED = "drifted"
    """The registry differs from the declaration and will stay so, because CloudFormation sees no change."""
    REFUSED = "refused"
    """The deployment will fail before anything is written."""
    UNKNOWN = "unknown"
    """The declaration, or what CloudFormation will do, is not known here. The problems say what to do."""
    UNSEEN = "unseen"
    """The registry could not be read."""


class Action(StrEnum):
    """What will happen to a tag."""

    CREATE = "create"
    MOVE = "move"
    UNCHANGED = "unchanged"
    REMOVE = "remove"
    SKIP = "skip"
    """A rule leaves the tag where it is; the reason says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEffect:
    """
    A tag, and its digest before and after; None if the tag does not exist.

    Attributes:
        reason: Why a rule leaves it where it is; otherwise empty.
    """

    tag: str
    action: Action
    before: str | None
    after: str | None
    reason: str = ""


class Former(StrEnum):
    """The former owner of a tag that is taken over."""

    REMOVED = "removed"
    """A declaration of the app that this change removes: the usual case in a catalog."""
    DROPPED = "dropped"
    """A declaration of the app that stays, but drops the tag."""
    DECLARED = "declared"
    """A declaration of the app that still declares the tag."""
    STACK = "stack"
    """A resource of another stack, which has a record."""
    NONE = "none"
    """No declaration with a record."""
    UNKNOWN = "unknown"
    """The records cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """
    Tags that exist, and that the previous declaration of the resource did not have.

    Attributes:
        owner: The path of a declaration of the app, or ``<Region>.<stack>.<logical id>``; empty if not known.
    """

    tags: tuple[str, ...]
    former: Former
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """
    What a failed deployment leaves of an image after CloudFormation has rolled it back.

    Attributes:
        stays: New tags that stay.
        problems: What is not restored, and why.
        fails: Whether the rollback fails, so that the stack ends in ``UPDATE_ROLLBACK_FAILED``.
    """

    stays: tuple[str, ...] = ()
    fails: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """
    What will be written or deleted, apart from tags.

    Attributes:
        blobs: The size in bytes of each blob, by digest.
        manifests: The digests of manifests.
        referrers: The digests of referrers, such as signatures.
        referrer_tags: The tags of some of these referrers.
        signatures: The digests of images that will be signed.
        deletes: The digests of images that will be deleted, unless an index lists them.
    """

    blobs: Mapping[str, int] = field(default_factory=dict)
    manifests: tuple[str, ...] = ()
    referrers: tuple[str, ...] = ()
    referrer_tags: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()

    @property
    def blob_bytes(self) -> int:
        """The number of bytes to copy."""
        return sum(self.blobs.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """
    What will happen to one image, which is declared, or deployed but no longer declared.

    Attributes:
        repository: The address of its repository, or the name if the address is not known.
        digest: The digest that its source resolves to now; None if not known.
        images: Summaries of the images before and after, by digest.
        problems: Why it is refused, unknown or unseen; each says what to do.
        notes: Other facts, for example a dropped tag that stays.
        warnings: What rules say that only warn, and limits that are near.
        taken_over: The tags that it takes over; empty if the deployed declaration is not known.
    """

    stack: str
    path: str
    repository: str
    state: State
    digest: str | None = None
    tags: tuple[TagEffect, ...] = ()
    writes: Writes = Writes()
    images: Mapping[str, Summary] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    taken_over: tuple[Takeover, ...] = ()
    undo: Undo = Undo()


def problems_of(error: ImageError) -> tuple[str, ...]:
    """Return the problems of an error as a list."""
    match error:
        case InvalidPropertiesError():
            return error.problems
        case RuleViolationError():
            return error.violations
    return (error.explain(),)
