"""
What must be true after a deployment: a statement of the promises, not of how they are kept.

- After a success every declared tag is at its declared image, no other tag
  has moved, and only that has gone which removal that was asked for may take:
  tags at the resource's own image that nothing else declares, and images
  that thereby lose their last tag.
- After a rollback, and after any other undo, every tag that existed before is
  exactly where it was. One that is new stays under Keep, and is gone where
  the side that undoes it removes.
- What is declared, exists. What existed before, exists.

Each exception says which line of decision 0019 it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from .circumstances import OUTLIVED, Circumstances
from .course import Change, Deployed, Deployment, Properties, Template
from .declarations import claims
from .registry import PARTS, SETTLED_SECONDS, World
from .stack import Stack

Key = tuple[str, str]
"""Repository and tag."""

Places = set[str | None]
"""Digests; None stands for a tag that does not exist."""


Kind = Literal["put", "undone", "removed", "kept"]
KINDS: tuple[Kind, ...] = ("put", "undone", "removed", "kept")


@dataclass
class Verdict:
    """
    Where a tag may be.

    Attributes:
        kind: What is done with it; a tag that people move meanwhile may end
            elsewhere where it is put or undone, and nowhere else.
    """

    kind: Kind
    places: Places
    why: str


@dataclass
class Before:
    """
    What was there before deployments that have not succeeded yet.

    Attributes:
        tags: Where each tag was.
        seen: Where a taken-over tag was, too, as far as its taker could see or somebody moved it since.
        is_denied: The function had no permission for something meanwhile.
    """

    tags: Mapping[Key, str]
    images: Mapping[str, frozenset[str]]
    seen: dict[Key, Places] = field(default_factory=dict)
    is_denied: bool = False

    @classmethod
    def now(cls, world: World, lag_seconds: float) -> Before:
        # "What is not restored": a tag that somebody moved in the seconds before,
        # while reads still showed the old place.
        state, since = world.state(), world.stage.time - lag_seconds
        return cls(state.tags, state.images, {key: world.since(*key, since) for key in world.known_tags()})

    def meddle(self, world: World, keys: Iterable[Key], since: float) -> None:
        """Take what others did with *keys* as what may stay."""
        for key in keys:
            self.seen.setdefault(key, set()).update(world.since(*key, since))


@dataclass
class Operation:
    """
    A deployment, or the removal of a stack, as it stood at its beginning.

    Attributes:
        template: None where the stack is removed, or goes back.
        origin: What was there before the deployments that are undone, if they are.
        others: What the other stacks hold, each by its stack's name, a dot and its own.
        is_alone: Nothing else goes on.
        is_tidy: Nothing was ever abandoned that might still be owned.
    """

    world: World
    stack: Stack
    template: Template | None
    around: Circumstances
    origin: Before
    others: Mapping[str, Deployed] = field(default_factory=dict)
    is_alone: bool = True
    is_tidy: bool = True
    done: Deployment | None = None

    def __post_init__(self) -> None:
        self.started = self.world.stage.time
        self.start = self.world.state()
        self.held = dict(self.stack.resources)
        self.stable = dict(self.stack.stable)
        self.broken = dict(self.stack.broken)
        self.was_open = self.stack.is_open
        self.origin.is_denied = self.origin.is_denied or bool(self.around.denied)

    @property
    def deployment(self) -> Deployment:
        assert self.done
        return self.done

    @property
    def changes(self) -> list[Change]:
        return self.deployment.changes

    def sources(self, properties: Properties) -> Places:
        """Return all that the source of *properties* has stood for meanwhile, as far as it could be seen."""
        return self.world.resolve(properties, self.started - self.around.lag_seconds)

    def digests(self, change: Change) -> Places:
        """Return what a change may have published."""
        return {change.deployed.digest} if change.succeeded else self.sources(change.new) - {None}

    @property
    def verdicts(self) -> dict[Key, Verdict]:
        """Where the tags may be that it has anything to do with."""
        match self.deployment.status:
            case "COMPLETE":
                return self._completed()
            case "KEPT":
                return self._kept()
            case "ROLLED BACK":
                return self._undone(self.changes)
            case "DELETED" if self.changes:
                return self._undone(self.changes)
        return self._destroyed()

    def _completed(self) -> dict[Key, Verdict]:
        assert self.template is not None
        verdicts = self._undone(self.broken.values())
        for name, is_gone in self.deployment.removed.items():
            old = self.held[name]
            if deletes(old.properties):
                verdicts |= self._removed(name, old, claims_of(old.properties), is_sure=is_gone)
        for change in self.changes:
            verdicts |= self._dropped(change)
            assert self.sources(change.new) >= {change.deployed.digest}, f"{change.logical_id}: another image"
        changed = {change.logical_id: change for change in self.changes}
        for key, name in claims(self.template).items():
            if name in changed:
                verdicts[key] = Verdict("put", {changed[name].deployed.digest}, f"{name} declares it")
            elif key in verdicts:
                verdicts[key] = Verdict("kept", self._where(key), f"{name} declares it, as before")
        return verdicts

    def _kept(self) -> dict[Key, Verdict]:
        """Of a deployment that failed, and was not rolled back."""
        recreated = [
            change for name, change in self.broken.items() if name not in self.stack.broken or self._is_changed(name)
        ]
        verdicts = self._undone(recreated)
        here = {key: verdict.places for key, verdict in verdicts.items()}
        for change in self.changes:
            if change.succeeded:
                verdicts |= self._dropped(change)
                why = f"{change.logical_id} declares it, and has been deployed"
                verdicts |= {key: Verdict("put", self.digests(change), why) for key in claims_of(change.new)}
            elif change.old is None:
                why = f"{change.logical_id} could not be created"
                for key in claims_of(change.new):
                    # A tag that is new may stay until the creation is undone, which comes with the next deployment.
                    may_stay = key not in self.start.tags or _may_be_left(change, key[1])
                    left = self.digests(change) if may_stay else set()
                    verdicts[key] = Verdict("undone", {*here.get(key, self._where(key)), *left}, why)
            else:
                now = Before(self.start.tags, self.start.images, self.origin.seen)
                verdicts |= self._undone([change], now)
        return verdicts

    def _is_changed(self, name: str) -> bool:
        return any(change.logical_id == name for change in self.changes)

    def _undone(self, changes: Iterable[Change], origin: Before | None = None) -> dict[Key, Verdict]:
        """Of changes that were undone: what existed is where it was."""
        verdicts: dict[Key, Verdict] = {}
        for change in changes:
            old = claims_of(change.old.properties) if change.old else {}
            for key in {*claims_of(change.new), *old}:
                verdict = self._undone_tag(change, key, origin or self.origin, is_own=key in old)
                if key in verdicts:
                    verdict.places |= verdicts[key].places
                verdicts[key] = verdict
        return verdicts

    def _undone_tag(self, change: Change, key: Key, origin: Before, *, is_own: bool) -> Verdict:
        before = origin.tags.get(key)
        if is_own:
            assert change.old
            # Two promises meet where people had moved it before: where it was, and what is declared exists.
            verdict = Verdict("undone", {before, change.old.digest}, f"{change.logical_id} had it before")
        elif before is not None:
            verdict = Verdict("undone", {before, *origin.seen.get(key, ())}, "it was there before")
            if None in (*origin.seen.get(key, ()), *self.world.meddling.tags.get(key, ())):
                # It was not there when its taker looked.
                verdict.places |= self._undone_new(change, key).places
            if self.origin.is_denied:
                # "A function without permission for the records … says what it could not remember".
                verdict.places |= self.digests(change)
        else:
            verdict = self._undone_new(change, key)
            verdict.places |= origin.seen.get(key, set()) - {None}
        if not change.is_undone or self._cannot_know_success:
            verdict.places |= {*self.digests(change), None}
        return verdict

    @property
    def _cannot_know_success(self) -> bool:
        """U12: whether a deployment has succeeded before its stack is deleted, only the stack's events tell."""
        troubled = [times for name, _, times in self.around.trouble if name == "DescribeStackEvents"]
        return self.deployment.status in {"DELETED", "DELETE FAILED"} and sum(troubled) > OUTLIVED

    def _undone_new(self, change: Change, key: Key) -> Verdict:
        """Of a tag that did not exist: "it stays under KEEP; under UNTAG or DESTROY it goes"."""
        is_made = change.old is None or change.is_replacement
        sides = [change.new] if is_made or change.old is None else [change.new, change.old.properties]
        removes = any(untags(side) or deletes(side) for side in sides)
        digests = self.digests(change)
        if not removes:
            is_known = change.succeeded and bool(is_made or change.old)
            return Verdict("undone", {*digests} if is_known else {None, *digests}, "it is new, and nothing removes it")
        patterns = change.old.properties if change.old else change.new
        stays = self._is_listed(key[0], digests) or key in self._claimed_by_others() or _is_immutable(patterns, key[1])
        is_moved_away = change.old is not None and _home(change.old.properties) != _home(change.new)
        may_stay = stays or self.origin.is_denied or (is_moved_away and not change.is_replacement)
        return Verdict("undone", {None, *(digests if may_stay else ())}, "it is new, and is removed again")

    def _destroyed(self) -> dict[Key, Verdict]:
        """Of a stack that was removed: what has not succeeded is undone, the rest is removed or kept."""
        made = {name: Change.to(name, now) for name, now in self.held.items() if name not in self.stable}
        made |= self.broken
        verdicts: dict[Key, Verdict] = {}
        for name, now in self.held.items():
            if name in self.stable and deletes(now.properties):
                verdicts |= self._removed(name, now, claims_of(now.properties), is_sure=self._is_gone(name))
        for name, change in made.items():
            change.is_undone = self._is_gone(name)
            self._merge(verdicts, self._undone([change]))
        for name, now in self.held.items():
            if name in self.stable and self.was_open:
                self._merge(verdicts, self._undone_since_success(name, now))
        return verdicts

    def _undone_since_success(self, name: str, now: Deployed) -> dict[Key, Verdict]:
        """Of a resource that was updated since the last success: it gives back what it took over since."""
        change = Change.to(name, now)
        change.is_undone = self._is_gone(name)
        own = claims_of(self.stable[name].properties)
        verdicts = {key: verdict for key, verdict in self._undone([change]).items() if key not in own}
        for key in own:
            # Where people had moved it before, an update that was undone may have taken it over.
            places = {*self._where(key), self.origin.tags.get(key)}
            verdicts[key] = Verdict("undone", places, f"{name} had it before")
        return verdicts

    def _is_gone(self, name: str) -> bool:
        return self.deployment.removed.get(name, False)

    def _merge(self, verdicts: dict[Key, Verdict], undone: Mapping[Key, Verdict]) -> None:
        """A tag goes back to an image that is itself removed: then it may be gone."""
        deleted = [now.digest for now in self.held.values() if deletes(now.properties)]
        going = {part for digest in deleted for part in _with_parts(digest)}
        for key, verdict in undone.items():
            other = verdicts.get(key)
            if verdict.places & going or (other and None in other.places):
                verdict.places.add(None)
            if other and other.kind == "undone":
                verdict.places |= other.places
            verdicts[key] = verdict

    def _dropped(self, change: Change) -> dict[Key, Verdict]:
        """Of the tags that an update no longer declares."""
        if change.old is None or change.is_replacement or not untags(change.new):
            return {}
        keys = set(claims_of(change.old.properties)) - set(claims_of(change.new))
        removable = {key for key in keys if not _is_immutable(change.new, key[1])}
        return self._removed(change.logical_id, change.old, removable, is_sure=True)

    def _removed(self, name: str, old: Deployed, keys: Iterable[Key], *, is_sure: bool) -> dict[Key, Verdict]:
        """Of tags that may go: those at the resource's own image, which no live declaration has."""
        verdicts: dict[Key, Verdict] = {}
        claimed = self._claimed_by_others()
        for key in keys:
            if self._where(key) != {old.digest}:
                continue
            if key in claimed and self._protects(claimed[key], name):
                verdicts[key] = Verdict("kept", {old.digest}, "another stack declares it")
                continue
            # A tag that was put moments ago may not be seen yet.
            is_seen = not self.around.lag_seconds or self.around.waited_seconds >= SETTLED_SECONDS
            is_smooth = self.around.are_smooth and is_seen and self.is_alone and self.is_tidy
            must = is_sure and is_smooth and key not in claimed
            is_last = not deletes(old.properties) and not self._has_other_tags(key[0], old.digest)
            is_kept = self._is_listed(key[0], {old.digest}) or _is_immutable(old.properties, key[1])
            may_stay = not must or is_last or is_kept
            verdicts[key] = Verdict("removed", {None, *([old.digest] if may_stay else [])}, f"{name} no longer has it")
        return verdicts

    def _protects(self, other: str, name: str) -> bool:
        """
        Whether the other stack's declaration is one whose tags another's removal spares.

        "What is not restored": a declaration of one digest protects its tags
        on its own image only.

        "What is not restored": a declaration without a record (a digest under
        its own tags) is protected from another stack's DESTROY by its tags at
        the image, and by nothing else.
        """
        live, mine = self.others[other], self.held[name]
        if live.digest != mine.digest and not may_move(live.properties):
            return False
        return has_record(live.properties) or live.since > mine.since

    def _claimed_by_others(self) -> dict[Key, str]:
        return claims({name: other.properties for name, other in self.others.items()})

    def _where(self, key: Key) -> Places:
        return {self.start.tags.get(key)}

    def _has_other_tags(self, repository: str, digest: str) -> bool:
        """Whether an image has kept a tag that it had before."""
        after = self.world.state().tags
        return any(
            digest == place == self.start.tags.get((home, tag))
            for (home, tag), place in after.items()
            if home == repository
        )

    def _is_listed(self, repository: str, digests: Iterable[str | None]) -> bool:
        """Whether an index lists one of the images, so that its last tag cannot be removed."""
        held = self.start.images[repository] | self.world.state().images[repository]
        return any(digest in PARTS.get(index, ()) for index in held for digest in digests)

    # What is declared, and what may be with the images

    def live(self) -> Mapping[str, Deployed]:
        """Return what the stack holds now."""
        return self.stack.resources

    def all_keys(self) -> set[Key]:
        """Return the tags that the stack declares, or has declared."""
        everything = [*self.held.values(), *self.live().values()]
        declared = [*(now.properties for now in everything), *(change.new for change in self.changes)]
        return {key for properties in declared for key in claims_of(properties)}

    @property
    def changed(self) -> dict[str, Properties]:
        """The resources that are to be created or updated."""
        old = {name: now.properties for name, now in self.held.items()}
        return {name: new for name, new in (self.template or {}).items() if old.get(name) != new}

    @property
    def can_succeed(self) -> bool:
        """Whether all images exist that are declared anew, and no rule of the declarations forbids them."""
        found = {name: self.sources(new) for name, new in self.changed.items()}
        return not any(
            None in found[name] or self._moves_immutable(new, found[name]) for name, new in self.changed.items()
        )

    def _moves_immutable(self, new: Properties, digests: Places) -> bool:
        return any(
            not self.world.since(*key, self.started - self.around.lag_seconds) <= {None, *digests} or len(digests) > 1
            for key in claims_of(new)
            if _is_immutable(new, key[1])
        )

    @property
    def forbids_moves(self) -> bool:
        """Whether any of its declarations has immutable tags."""
        return any("ImmutableTags" in new for new in self.changed.values())

    @property
    def can_go_back(self) -> bool:
        """Whether all images still exist that were declared before."""
        images = self.start.images
        return all(now.digest in images[_home(now.properties)] for now in (*self.held.values(), *self.stable.values()))

    @property
    def deletes_anything(self) -> bool:
        """Whether it may remove something from the registry."""
        before = [now.properties for now in self.held.values()]
        return any(deletes(each) or untags(each) for each in [*before, *(change.new for change in self.changes)])

    def may_go(self) -> Iterator[tuple[str, str]]:
        """Yield the images that may have gone, by repository: of resources that are removed with them."""
        status = self.deployment.status
        for name in self.deployment.removed:
            if name in self.held and deletes(self.held[name].properties):
                yield from parts_of(self.held[name].properties, {self.held[name].digest})
        undone = [*self.changes, *self.broken.values()] if status != "COMPLETE" else [*self.broken.values()]
        for change in undone:
            if deletes(change.new):
                parts = parts_of(change.new, self.digests(change))
                yield from (part for part in parts if part[1] not in self.origin.images[part[0]])

    def may_come(self) -> Iterator[tuple[str, str]]:
        """Yield the images that may have come: declared anew, and the old ones, which an undo may bring back."""
        for change in self.changes:
            yield from parts_of(change.new, self.digests(change))
            if change.old:
                yield from parts_of(change.old.properties, {change.old.digest})


def _may_be_left(change: Change, tag: str) -> bool:
    """Whether a failed creation may leave a tag at its image: nobody answered, or the answer says so."""
    if change.answer is None:
        return True
    return f"{tag} (was " in change.answer.reason


def _with_parts(digest: str) -> set[str]:
    return {digest, *PARTS.get(digest, ())}


def parts_of(properties: Properties, digests: Iterable[str | None]) -> Iterator[tuple[str, str]]:
    for digest in digests:
        if digest:
            yield from ((_home(properties), part) for part in _with_parts(digest))


def _is_immutable(properties: Properties, tag: str) -> bool:
    patterns: Any = properties.get("ImmutableTags", [])
    return any(fnmatchcase(tag, pattern) for pattern in patterns)


def claims_of(properties: Properties) -> Mapping[Key, str]:
    return claims({"": properties})


def has_record(properties: Properties) -> bool:
    """Whether a declaration writes down what it owns, whatever there is in the registry."""
    is_named = "StateParameterName" in properties
    return may_move(properties) or is_named or untags(properties) or deletes(properties)


def may_move(properties: Properties) -> bool:
    """Whether a source may stand for another image later."""
    source: Any = properties["Source"]
    return "Tag" in source or ("Image" in source and "@" not in source["Image"]["Reference"])


def _home(properties: Properties) -> str:
    return str(properties["RepositoryName"])


def untags(properties: Properties) -> bool:
    return properties.get("OnTagRemoved") == "Untag"


def deletes(properties: Properties) -> bool:
    return properties.get("OnDelete") == "Delete"
