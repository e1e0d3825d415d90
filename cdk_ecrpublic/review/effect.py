"""What a deployment does to one image of the registry, in words that all reports share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .._assets.lambda_handler.errors import (
    AccessError,
    DeadlineError,
    ImageError,
    InvalidPropertiesError,
    RuleViolationError,
    ThrottledError,
    UnavailableError,
)
from .images import Summary

AT_ONCE = 8
"""How many images are looked at at the same time; registries count requests."""

UNANSWERED = (AccessError, ThrottledError, UnavailableError, DeadlineError)
"""We were not let look; any other error is an answer, and says what is wrong with what is declared."""


NOT_BUILT = "the deployment builds and pushes the image; nothing is known of it before that"
"""The problem of an image that is an asset of the app, and is not there yet."""


class State(StrEnum):
    """What becomes of an image."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DRIFTED = "drifted"
    """The registry is not as declared, and stays so: nothing has changed that CloudFormation could see."""
    REFUSED = "refused"
    """The deployment will fail, before anything is written."""
    UNKNOWN = "unknown"
    """What is declared, or what CloudFormation will do, is not known here; a problem names the cure."""
    UNSEEN = "unseen"
    """A registry did not let us look."""


class Action(StrEnum):
    """What becomes of a tag."""

    CREATE = "create"
    MOVE = "move"
    UNCHANGED = "unchanged"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEffect:
    """A tag, and the digest that it points to before and after; None: it does not exist."""

    tag: str
    action: Action
    before: str | None
    after: str | None


class Former(StrEnum):
    """Who had a tag until now that the resource itself did not have."""

    REMOVED = "removed"
    """A declaration of the app that goes with the same change: the usual case of a catalog."""
    DROPPED = "dropped"
    """A declaration of the app that stays, and has the tag no longer."""
    DECLARED = "declared"
    """A declaration of the app that still has the tag."""
    STACK = "stack"
    """A resource of another stack, which has a record."""
    NONE = "none"
    """No declaration that is on record."""
    UNKNOWN = "unknown"
    """The records of others may not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """
    Tags that exist and that the resource's previous declaration did not have.

    Attributes:
        owner: The path of a declaration of the app, or ``<Region>.<stack>.<logical id>``; empty: none is known.
    """

    tags: tuple[str, ...]
    former: Former
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """
    What is left of an image when its deployment fails, and CloudFormation rolls it back.

    Attributes:
        stays: Tags that did not exist before.
        problems: What does not come back, and why.
        fails: The rollback itself fails, and the stack is left in ``UPDATE_ROLLBACK_FAILED``.
    """

    stays: tuple[str, ...] = ()
    fails: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """
    What will be written, or deleted, beside tags.

    Attributes:
        blobs: Digest and size in bytes of each.
        manifests: Digests.
        referrers: Digests, of signatures and the like.
        deletes: Digests of images that go for good, unless an index lists them.
    """

    blobs: Mapping[str, int] = field(default_factory=dict)
    manifests: tuple[str, ...] = ()
    referrers: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()

    @property
    def blob_bytes(self) -> int:
        """How much there is to copy."""
        return sum(self.blobs.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """
    What becomes of one image, be it declared, or deployed and no longer declared there.

    Attributes:
        repository: Its address; only its name where it could not be looked for.
        digest: What the source stands for now; None: not known.
        images: What is to be said of the images before and after, by digest.
        problems: Why it is refused, unknown or unseen; each with what to do.
        notes: What else there is to know, such as a tag that stays although it is no longer declared.
        taken_over: Its tags that others had; none where it is not known what is deployed.
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
    taken_over: tuple[Takeover, ...] = ()
    undo: Undo = Undo()


def problems_of(error: ImageError) -> tuple[str, ...]:
    """Return each problem by itself, where there are several."""
    match error:
        case InvalidPropertiesError():
            return error.problems
        case RuleViolationError():
            return error.violations
    return (error.explain(),)
