"""The state before deployments that have not succeeded, which an undo restores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .course import Change, Properties
from .declarations import declaring_resources, untags
from .registry import World

Key = tuple[str, str]
"""A repository and a tag."""

Digests = set[str | None]
"""Digests; None if the tag does not exist."""


def tags_of(properties: Properties) -> Mapping[Key, str]:
    return declaring_resources({"": properties})


@dataclass
class PreviousState:
    """
    The state before deployments that have not succeeded.

    Attributes:
        tags: The image of each tag.
        extra: Other images that a taken-over tag may have had: stale ones, or ones that a person moved it to.
        is_denied: Whether the function lacked a permission in the meantime.
        declared: The declarations of these deployments.
    """

    tags: Mapping[Key, str]
    images: Mapping[str, frozenset[str]]
    extra: dict[Key, Digests] = field(default_factory=dict)
    is_denied: bool = False
    declared: set[Key] = field(default_factory=set)

    @classmethod
    def capture(cls, world: World, lag_seconds: float) -> PreviousState:
        # "Not restored": the previous image of a tag that someone moved in the
        # seconds before, while reads still showed the old one.
        state, since = world.state(), world.scheduler.time - lag_seconds
        return cls(state.tags, state.images, {key: world.since(*key, since) for key in world.known_tags()})

    def allow_changes(self, world: World, keys: Iterable[Key], since: float) -> None:
        """Allow the changes that others made to *keys*."""
        for key in keys:
            self.extra.setdefault(key, set()).update(world.since(*key, since))

    def allow_dropped(self, changes: Iterable[Change]) -> None:
        """
        Allow the images of dropped tags: "if a failed deployment took over a tag and the next one updates …".

        With UNTAG, the tag stays if another resource has taken it over, which then gives it back.
        """
        changes = list(changes)
        for change in changes:
            if not (change.old and change.succeeded):
                continue
            dropped = tags_of(change.old.properties).keys() - tags_of(change.new).keys()
            taken = {key for other in changes if other is not change for key in tags_of(other.new)}
            for key in dropped & taken if untags(change.new) else dropped:
                self.extra.setdefault(key, set()).add(change.old.digest)
