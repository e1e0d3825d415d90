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
        time: The simulated time.
        tags: The image of each tag.
        images: The digests by repository, as far as reads showed them.
        extra: Other images that a taken-over tag may have had: stale ones, or ones that a person moved it to.
        is_denied: Whether the function lacked a permission in the meantime.
        declared: The declarations of these deployments.
    """

    time: float
    tags: Mapping[Key, str]
    images: Mapping[str, frozenset[str]]
    extra: dict[Key, Digests] = field(default_factory=dict)
    is_denied: bool = False
    declared: set[Key] = field(default_factory=set)

    @classmethod
    def capture(cls, world: World, lag_seconds: float) -> PreviousState:
        state, time = world.state(), world.scheduler.time
        previous = cls(time, state.tags, state.images, {key: {state.tags.get(key)} for key in world.known_tags()})
        previous.allow_stale(world, lag_seconds)
        return previous

    def allow_stale(self, world: World, lag_seconds: float) -> None:
        """
        Allow what reads of a deployment show that begins now, if it is older than this state.

        "Not restored": a tag that someone moved, or an image without a tag that someone put, in the seconds before,
        while reads still showed an older state.
        """
        self.images = {name: found - world.just_put(name, lag_seconds) for name, found in self.images.items()}
        for key in world.known_tags():
            stale = world.since(*key, world.scheduler.time - lag_seconds) - world.since(*key, self.time)
            self.extra.setdefault(key, set()).update(stale)

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
