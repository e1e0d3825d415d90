"""
What must be in the registry after a deployment.

A set of digests is allowed for each tag; one that says nothing else must be
where it was before. None stands for a tag that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.support.deployment import Change, Course, Deployed, Deployment, Properties, Template

from .declarations import claims
from .registry import PARTS, State, World

Key = tuple[str, str]
"""Repository and tag."""

Allowed = dict[Key, set[str | None]]


@dataclass
class Expectation:
    """
    What is known before a deployment.

    Attributes:
        resources: What the stack holds.
        before: The registry, with what people changed meanwhile.
        new: What each source of the new template resolves to; None for one that does not exist.
        again: What each source of the old template resolves to by now: more than one thing if people were at it.
    """

    world: World
    template: Template
    resources: Mapping[str, Deployed]
    before: State = field(init=False)
    new: dict[str, str | None] = field(init=False)
    again: dict[str, set[str | None]] = field(init=False)

    def __post_init__(self) -> None:
        self.resources = dict(self.resources)
        self.before = self.world.state()
        self.new = {name: self.world.resolve(properties) for name, properties in self.template.items()}
        self.again = {name: {self.world.resolve(old.properties)} for name, old in self.resources.items()}

    @property
    def changed(self) -> set[str]:
        """The resources that are created or updated."""
        old = {name: resource.properties for name, resource in self.resources.items()}
        return {name for name, properties in self.template.items() if old.get(name) != properties}

    @property
    def can_succeed(self) -> bool:
        """Whether all images exist that are declared anew, and no rule of the declarations forbids them."""
        return all(self.new[name] for name in self.changed) and not any(map(self._moves_immutable, self.changed))

    @property
    def can_go_back(self) -> bool:
        """Whether all images still exist that were declared before."""
        return not any(None in found for found in self.again.values()) and all(
            old.data["ImageDigest"] in self.before.images[_home(old.properties)] for old in self.resources.values()
        )

    def a_person_changed(self, earlier: State, later: State) -> None:
        """Take what a person did in the middle of a deployment as if it had been so before."""
        tags = {**self.before.tags}
        for key in earlier.tags.keys() | later.tags.keys():
            if earlier.tags.get(key) != later.tags.get(key):
                tags[key] = later.tags[key]
        images = {
            name: found | (later.images[name] - earlier.images[name]) for name, found in self.before.images.items()
        }
        self.before = State(tags, images)
        for name, old in self.resources.items():
            self.again[name].add(self.world.resolve(old.properties))

    def check_success(self, deployment: Deployment) -> None:
        """After a success, every tag that was declared anew is at the declared image, and no other has moved."""
        allowed: Allowed = {}
        for name, old in self._gone(deployment):
            self._allow_removal(allowed, deployment, name, _claims_of(old.properties))
        for change in deployment.changes:
            assert change.answer
            assert change.answer.data["ImageDigest"] == self.new[change.logical_id]
            if change.old and not change.is_replacement and _untags(change.new):
                dropped = set(_claims_of(change.old.properties)) - set(_claims_of(change.new))
                self._allow_removal(allowed, deployment, change.logical_id, dropped)
        for key, name in claims(self.template).items():
            is_lost = None in allowed.get(key, ()) and not _is_remembered(self.template[name])
            allowed[key] = {self.new[name] if name in self.changed else self.before.tags.get(key)}
            allowed[key] |= {None} if is_lost else set()
        self._check(allowed, deployment)

    def check_rollback(self, deployment: Deployment) -> None:
        """After a rollback every tag is where it was, but for what is allowed to differ."""
        restored: Allowed = {}
        left_behind: Allowed = {}
        for change in deployment.changes:
            for key, digests in self._restored(change, deployment.course):
                restored[key] = {self.before.tags.get(key), *digests}
            for key in self._left_behind(change):
                ends = self._ends(key, change, deployment)
                left_behind.setdefault(key, {self.before.tags.get(key)}).update(ends)
        for key in restored.keys() & left_behind.keys():
            restored[key] |= left_behind[key] & {None}
        self._check({**left_behind, **restored}, deployment)

    def _gone(self, deployment: Deployment) -> Iterator[tuple[str, Deployed]]:
        """Resources that a success deletes."""
        yield from deployment.removed.items()
        for change in deployment.changes:
            if change.old and change.is_replacement:
                yield change.logical_id, change.old

    def _allow_removal(self, allowed: Allowed, deployment: Deployment, name: str, keys: Iterable[Key]) -> None:
        """Let tags go that are where the resource put them, and that no other one declares."""
        old = self.resources[name]
        removes = _untags(self.template[name]) if name in self.template else False
        if not (removes or _deletes(old.properties)):
            return
        others = self._claims_of_others(name, deployment)
        for key in keys:
            if self.before.tags.get(key) == old.data["ImageDigest"] and key not in others:
                allowed[key] = {self.before.tags.get(key), None}

    def _claims_of_others(self, name: str, deployment: Deployment) -> set[Key]:
        """
        Return the tags of the other resources that the stack holds in the end, as far as the handler knows them.

        A resource without a parameter cannot say which tags it has. The
        construct library gives all resources of a repository one as soon as
        one of them may remove something; but where that one leaves the
        template, or comes with it, the others have none before or after.
        """
        held = {other: resource.properties for other, resource in self.resources.items()}
        if deployment.status == "COMPLETE":
            held = dict(self.template)
        return set(claims({other: each for other, each in held.items() if other != name and _is_remembered(each)}))

    def _restored(self, change: Change, course: Course) -> Iterator[tuple[Key, set[str | None]]]:
        """A tag that a person moved before may go to where the old declaration has it; a mutable source, anew."""
        if change.old and (course.updates_replaced or not change.is_replacement):
            again = set() if _is_remembered(change.old.properties) else self.again[change.logical_id]
            for key in _claims_of(change.old.properties):
                yield key, {change.old.data["ImageDigest"], *again}

    def _left_behind(self, change: Change) -> Iterator[Key]:
        """
        Tags that the resource did not declare before, and no other that is rolled back.

        The rollback's events do not tell where those were: a Delete, or an
        Update to properties without them. So they may stay, unless the change
        failed, which moves all back that existed.
        """
        for key in set(_claims_of(change.new)) - set(_claims_of(change.old.properties) if change.old else ()):
            is_new = key not in self.before.tags
            took_effect = change.succeeded or change.delivery.lost == "answer" or _untags(change.new)
            is_stuck = change.answer is not None and f"{key[1]} (was " in change.answer.reason
            if is_new or took_effect or is_stuck:
                yield key

    def _ends(self, key: Key, change: Change, deployment: Deployment) -> set[str | None]:
        """
        Where a tag may be that is left behind: at the new image, or removed again where the declaration says so.

        One that was there before never goes.
        """
        is_made = change.old is None or change.is_replacement
        removes = _deletes(change.new) if is_made else change.old is not None and _untags(change.old.properties)
        removes = removes and key not in self.before.tags
        is_claimed = key in self._claims_of_others(change.logical_id, deployment)
        return {self.new[change.logical_id], *((None,) if removes and not is_claimed else ())}

    def _moves_immutable(self, name: str) -> bool:
        patterns: Any = self.template[name].get("ImmutableTags", [])
        return any(
            self.before.tags.get(key) not in {None, self.new[name]}
            for key in _claims_of(self.template[name])
            if any(fnmatchcase(key[1], pattern) for pattern in patterns)
        )

    def _check(self, allowed: Allowed, deployment: Deployment) -> None:
        after = self.world.state()
        wrong = [
            f"{repository}:{tag} was at {self.before.tags.get((repository, tag))}, "
            f"is at {after.tags.get((repository, tag))}, allowed: {allowed.get((repository, tag))}"
            for repository, tag in sorted({*self.before.tags, *after.tags, *allowed})
            if after.tags.get((repository, tag))
            not in allowed.get((repository, tag), {self.before.tags.get((repository, tag))})
        ]
        assert not wrong, "\n".join(wrong)
        self._check_images(after, deployment)

    def _check_images(self, after: State, deployment: Deployment) -> None:
        """No image has gone; those that came are declared, or are part of one that is."""
        came, gone = self._parts(self._published(deployment)), self._parts(self._deleted(deployment))
        needed = self._parts(self._needed(deployment))
        for name, digests in self.before.images.items():
            lost = digests - after.images[name]
            assert lost <= gone[name], f"images have gone from {name}: {lost - gone[name]}"
            assert not lost & needed[name], f"images have gone from {name} that are declared: {lost & needed[name]}"
            assert after.images[name] - digests <= came[name], f"images nobody declared came to {name}"

    def _published(self, deployment: Deployment) -> Iterator[tuple[str, str | None]]:
        """The images declared anew, and the old ones, which a rollback may have to bring back."""
        for change in deployment.changes:
            yield _home(change.new), self.new[change.logical_id]
            if change.old and deployment.status != "COMPLETE":
                for digest in self.again[change.logical_id]:
                    yield _home(change.old.properties), digest

    def _deleted(self, deployment: Deployment) -> Iterator[tuple[str, str | None]]:
        """The images that may go with a resource that is deleted."""
        if deployment.status == "COMPLETE":
            for _, old in self._gone(deployment):
                if _deletes(old.properties):
                    yield _home(old.properties), old.data["ImageDigest"]
            return
        for change in deployment.changes:
            if _deletes(change.new) and change.succeeded and (change.old is None or change.is_replacement):
                yield _home(change.new), self.new[change.logical_id]

    def _needed(self, deployment: Deployment) -> Iterator[tuple[str, str | None]]:
        """The images of the resources that the stack holds now."""
        for name, old in self.resources.items():
            is_held = deployment.status != "COMPLETE" or (name in self.template and name not in self.changed)
            if is_held and _is_remembered(old.properties):
                yield _home(old.properties), old.data["ImageDigest"]
        if deployment.status == "COMPLETE":
            for name, properties in self.template.items():
                if name in self.changed and _is_remembered(properties):
                    yield _home(properties), self.new[name]

    def _parts(self, images: Iterable[tuple[str, str | None]]) -> dict[str, set[str]]:
        """Return images with all that is below them, by repository."""
        parts: dict[str, set[str]] = {name: set() for name in self.before.images}
        for home, digest in images:
            parts[home] |= {digest, *PARTS.get(digest, ())} if digest else set()
        return parts


def _claims_of(properties: Properties) -> Mapping[Key, str]:
    return claims({"": properties})


def _home(properties: Properties) -> str:
    return str(properties["RepositoryName"])


def _is_remembered(properties: Properties) -> bool:
    return "StateParameterName" in properties


def _untags(properties: Properties) -> bool:
    return properties.get("OnTagRemoved") == "Untag"


def _deletes(properties: Properties) -> bool:
    return properties.get("OnDelete") == "Delete"
