"""
The promises about the state after a deployment, independent of the implementation. Exceptions quote decision 0019.

- After a success, every declared tag points to its declared image, and no other
  tag has moved. Only the declared removals have happened: of tags at the image of
  the resource that nothing else declares, and of images that thereby lose their
  last tag.
- After a rollback or another undo, every tag that existed before points to its
  previous image. A new tag stays with Keep, and is removed if the declaration
  that undoes it removes.
- Declared images exist, and so do images that existed before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from .circumstances import SURVIVABLE_FAULTS, Circumstances
from .course import Change, Deployed, Deployment, Properties, Template
from .declarations import declaring_resources, deletes, has_record, home, is_immutable, may_move, untags, with_children
from .previous_state import Digests, Key, PreviousState, tags_of
from .registry import CHILDREN, CONSISTENT_AFTER_SECONDS, World
from .stack import Stack

Kind = Literal["put", "undone", "removed", "kept"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PUTS_ALL_TAGS = ("RepositoryName", "Source", "Platforms", "Refresh")
"""An update puts all tags if one of these properties changes (decision 0012)."""


@dataclass
class Expectation:
    """
    The images that a tag may have, and what an operation does with it.

    If people move the tag in the meantime, it may end at another image only if the operation puts or undoes it.
    """

    kind: Kind
    digests: Digests
    reason: str


@dataclass
class Operation:
    """
    A deployment or the deletion of a stack, and the state at its beginning.

    Attributes:
        template: The template; None if the stack is deleted or rolled back.
        origin: The state before the deployments that it may undo.
        others: The resources of other stacks, by ``<stack>.<logical id>``.
        records: The tags that other stacks ever declared, each with its image. Their records may have stayed.
        own_records: The tags that this stack has ever declared, each with its image.
        is_alone: Whether no other operation runs.
        is_tidy: Whether no resource was ever abandoned, which might still own something, and none lacks its record.
        could_succeed: Whether nothing prevented the success of the deployment.
    """

    world: World
    stack: Stack
    template: Template | None
    around: Circumstances
    origin: PreviousState
    others: Mapping[str, Deployed] = field(default_factory=dict)
    records: Collection[tuple[Key, str | None]] = ()
    own_records: Collection[tuple[Key, str | None]] = ()
    is_alone: bool = True
    is_tidy: bool = True
    could_succeed: bool = True
    done: Deployment | None = None

    def __post_init__(self) -> None:
        self.started = self.world.scheduler.time
        self.start = self.world.state()
        self.held = dict(self.stack.resources)
        self.stable = dict(self.stack.stable)
        self.failed = dict(self.stack.failed)
        self.had_failed = self.stack.has_failed
        self.origin.is_denied = self.origin.is_denied or bool(self.around.denied)

    @property
    def deployment(self) -> Deployment:
        assert self.done
        return self.done

    @property
    def changes(self) -> list[Change]:
        return self.deployment.changes

    def sources(self, properties: Properties) -> Digests:
        """Return all digests that the source of *properties* may have been resolved to in the meantime."""
        return self.world.resolve(properties, self.started - self.around.lag_seconds)

    def digests(self, change: Change) -> Digests:
        """Return the digests that a change may have published."""
        return {change.deployed.digest} if change.succeeded else self.sources(change.new) - {None}

    @property
    def expectations(self) -> dict[Key, Expectation]:
        """The expectations for all tags that the operation involves."""
        expectations = self._expectations()
        # If a resource declares the tag, an undo may return it only if that resource has the tag's previous image.
        own = [(key, now) for now in self.live().values() for key in tags_of(now.properties)]
        live = {key for key, now in own if now.digest != self.origin.tags.get(key)}
        others = [(key, now) for now in self.others.values() for key in tags_of(now.properties)]
        live |= {
            key for key, now in others if now.digest != self.origin.tags.get(key) and not self._was_just_moved(key)
        }
        for key in self.origin.declared - expectations.keys() - live:
            # "Not restored": a tag that a failed deployment took over and the next one drops. An undo may restore it.
            allowed = {*self._before(key), self.origin.tags.get(key), *self.origin.extra.get(key, ())}
            if key not in self.origin.tags:
                allowed = self._before(key) | self._changed_twice(key)
            expectations[key] = Expectation("undone", allowed, "a failed deployment declared it")
        return expectations

    def _was_just_moved(self, key: Key) -> bool:
        """Whether reads may still show an older image of a tag: "a tag that a person or another stack moved …"."""
        return len(self.world.since(*key, self.started - self.around.lag_seconds)) > 1

    def _overlooked(self, change: Change, key: Key) -> Digests:
        """Return where a tag stays in an update that does not concern it: "such an update relies on reads"."""
        old = change.old.properties if change.old else {}
        if not old or key not in tags_of(old) or any(old.get(name) != change.new.get(name) for name in PUTS_ALL_TAGS):
            return set()
        return self._before(key) if self._was_just_moved(key) else set()

    def _expectations(self) -> dict[Key, Expectation]:
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

    def _completed(self) -> dict[Key, Expectation]:
        assert self.template is not None
        undone = [*self.failed.values()]
        expectations = self._undone(undone)
        for name, is_gone in self.deployment.removed.items():
            old = self.held[name]
            if name not in self.stable:
                # A failed deployment created the resource. Its deletion gives back what it took over.
                change = Change.to(name, old)
                change.is_undone = is_gone
                undone.append(change)
                self._merge(expectations, self._undone([change]))
            elif deletes(old.properties):
                removed = self._removed(name, old, tags_of(old.properties), is_sure=is_gone)
                taken = removed.keys() & self.origin.tags.keys() - tags_of(self.stable[name].properties).keys()
                for key in taken if self.had_failed else ():
                    # "Not restored": a tag that a failed deployment took over and the next one drops. It may return.
                    removed[key].digests |= {self.origin.tags[key], *self.origin.extra.get(key, ())}
                expectations |= removed
        self._let_stay(expectations, undone)
        for change in self.changes:
            expectations |= self._dropped(change)
            assert self.sources(change.new) >= {change.deployed.digest}, f"{change.logical_id}: another image"
        changed = {change.logical_id: change for change in self.changes}
        for key, name in declaring_resources(self.template).items():
            if name in changed:
                # "Someone deleted the tag … When the failed resource is deleted at the end, it gives the tag back".
                left = expectations[key].digests if key in expectations and self._was_deleted(key) else set()
                left |= self._overlooked(changed[name], key)
                expectations[key] = Expectation("put", {changed[name].deployed.digest, *left}, f"{name} declares it")
            elif key in expectations and (
                expectations[key].kind != "undone" or self._before(key) == {self.held[name].digest}
            ):
                # If a failed resource has taken the tag from this one, it gives the tag back (U1).
                expectations[key] = Expectation("kept", self._before(key), f"{name} declares it, as before")
        return expectations

    def _kept(self) -> dict[Key, Expectation]:
        """Return the expectations after a failed deployment that was not rolled back."""
        changed = {change.logical_id for change in self.changes}
        recreated = [each for name, each in self.failed.items() if name not in self.stack.failed or name in changed]
        expectations = self._undone(recreated)
        self._let_stay(expectations, recreated)
        here = {key: expected.digests for key, expected in expectations.items()}
        dropped = {key: each for x in self.changes if x.succeeded for key, each in self._dropped(x).items()}
        expectations |= dropped
        here |= {key: here.get(key, self._before(key)) | each.digests for key, each in dropped.items()}
        # CloudFormation undoes failed changes at the end. Nothing undoes an update that removes or gives back tags.
        for change in sorted(self.changes, key=lambda change: not change.succeeded):
            if change.succeeded:
                reason = f"{change.logical_id} declares it, and has been deployed"
                for key in tags_of(change.new):
                    expectations[key] = Expectation("put", self.digests(change) | self._overlooked(change, key), reason)
            elif change.old is None:
                reason = f"{change.logical_id} could not be created"
                for key in tags_of(change.new):
                    # A tag that is new, as far as reads show, may stay until the creation is undone.
                    is_new = key not in self.start.tags or self._was_just_moved(key)
                    left = self.digests(change) if is_new or change.may_leave(key[1]) else set()
                    # A failed update of the resource that had the tag puts it to the declared image again.
                    left |= expectations[key].digests if key in expectations else set()
                    expectations[key] = Expectation("undone", {*here.get(key, self._before(key)), *left}, reason)
            else:
                undone = self._undone([change], replace(self.origin, tags=self.start.tags, images=self.start.images))
                # "With KEEP and rollback disabled, an update whose response was lost gives nothing back."
                is_lost = change.answer is None and not has_record(change.old.properties)
                for key in tags_of(change.new) if is_lost else ():
                    undone[key].digests |= self.digests(change)
                removed = {key for key, each in expectations.items() if each.kind == "removed"}
                for key in undone.keys() & (removed if change.is_undone else expectations.keys()):
                    undone[key].digests |= expectations[key].digests
                expectations |= undone
        return expectations

    def _let_stay(self, expectations: Mapping[Key, Expectation], undone: Iterable[Change]) -> None:
        """Let tags stay that none of the undone changes has put where they are, as "if the tag was moved again"."""
        put = {(key, digest) for change in undone for key in tags_of(change.new) for digest in self.digests(change)}
        for key, expected in expectations.items():
            if expected.kind == "undone":
                expected.digests |= {found for found in self._before(key) if (key, found) not in put}

    def _undone(self, changes: Iterable[Change], origin: PreviousState | None = None) -> dict[Key, Expectation]:
        """Return the expectations of undone changes: existing tags have their previous images."""
        expectations: dict[Key, Expectation] = {}
        for change in changes:
            old = tags_of(change.old.properties) if change.old else {}
            for key in {*tags_of(change.new), *old}:
                expected = self._undone_tag(change, key, origin or self.origin, is_own=key in old)
                if key in expectations:
                    expected.digests |= expectations[key].digests
                expectations[key] = expected
        return expectations

    def _undone_tag(self, change: Change, key: Key, origin: PreviousState, *, is_own: bool) -> Expectation:
        before = origin.tags.get(key)
        if is_own:
            assert change.old
            # If people had moved the tag before, two promises conflict: the previous image, and the declared one.
            expected = Expectation("undone", {before, change.old.digest}, f"{change.logical_id} declared it before")
        elif before is not None:
            expected = Expectation("undone", {before, *origin.extra.get(key, ())}, "it existed before")
            if before not in self.start.images[key[0]] - self.world.manual_changes.images.get(key[0], set()):
                # "Not restored": an image that was deleted in the meantime. Its tag would have gone with it.
                expected.digests |= {*self.digests(change), None}
            if self._was_deleted(key):
                # The tag did not exist when the resource read it.
                expected.digests |= self._undone_new(change, key).digests
                # "Or the deployment before moved … while reads still showed an older state", in the undo, too.
                expected.digests |= self.digests(change) if self._was_just_moved(key) else set()
            # "A tag is not given back if another declaration has it on the current image."
            other = self._declared_by_others().get(key)
            expected.digests |= {self.others[other].digest} & self.digests(change) if other else set()
            expected.digests |= self._recorded(key, self.digests(change))
            if self.origin.is_denied:
                # "Without permission for the records, the function … logs what it could not record."
                expected.digests |= self.digests(change)
        else:
            expected = self._undone_new(change, key)
            expected.digests |= self._changed_twice(key) | (origin.extra.get(key, set()) - {None})
        if not change.is_undone or self._cannot_know_success:
            expected.digests |= {*self.digests(change), None}
        return expected

    def _changed_twice(self, key: Key) -> Digests:
        """Return the images of a tag that "two failed deployments in a row changed": it may stay at one of them."""
        put = self.world.since(*key, self.origin.time) - {None}
        return put if self.had_failed and len(put) > 1 else set()

    def _was_deleted(self, key: Key) -> bool:
        """Whether people may have deleted a tag since the failed deployments began."""
        return None in (*self.origin.extra.get(key, ()), *self.world.manual_changes.tags.get(key, ()))

    @property
    def _cannot_know_success(self) -> bool:
        """Whether only unreadable events show if a deployment succeeded before the stack was deleted (U12)."""
        failing = [times for name, _, times in self.around.service_faults if name == "DescribeStackEvents"]
        return self.deployment.status in {"DELETED", "DELETE FAILED"} and sum(failing) > SURVIVABLE_FAULTS

    def _undone_new(self, change: Change, key: Key) -> Expectation:
        """Return the expectation for a new tag: "With KEEP, the tag stays. With UNTAG or DESTROY it is removed"."""
        old = None if change.is_replacement else change.old
        sides = [change.new, *([old.properties] if old else [])]
        removes = any(untags(side) or deletes(side) for side in sides)
        digests = self.digests(change)
        if not removes:
            # People may have moved or deleted the tag between the failed deployment and its undo.
            here = self._before(key) if self.had_failed else set()
            allowed = {*digests, *here} if change.succeeded else {None, *digests, *here}
            return Expectation("undone", allowed, "it is new, and nothing removes it")
        is_protected = any(is_immutable(side, key[1]) for side in sides)
        stays = self._is_listed(key[0], digests) or key in self._declared_by_others() or is_protected
        is_moved_away = change.old is not None and home(change.old.properties) != home(change.new)
        stays = stays or bool(self._recorded(key, digests))
        may_stay = stays or self.origin.is_denied or (is_moved_away and not change.is_replacement)
        return Expectation("undone", {None, *(digests if may_stay else ())}, "it is new, and is removed again")

    def _destroyed(self) -> dict[Key, Expectation]:
        """Return the expectations of a deleted stack: failed deployments are undone; other tags are removed or stay."""
        made = {name: Change.to(name, now) for name, now in self.held.items() if name not in self.stable}
        made |= self.failed
        removed, expectations = self.deployment.removed, dict[Key, Expectation]()
        for name, now in self.held.items():
            if name in self.stable and deletes(now.properties):
                expectations |= self._removed(name, now, tags_of(now.properties), is_sure=removed.get(name, False))
        for name, change in made.items():
            change.is_undone = removed.get(name, False)
            self._merge(expectations, self._undone([change]))
        for name, now in self.held.items():
            if name in self.stable and self.had_failed:
                self._merge(expectations, self._undone_since_success(name, now))
        return expectations

    def _undone_since_success(self, name: str, now: Deployed) -> dict[Key, Expectation]:
        """Return the expectations of a resource that was updated since the last success, which is undone."""
        change = Change.to(name, now)
        change.is_undone = self.deployment.removed.get(name, False)
        own = tags_of(self.stable[name].properties)
        expectations = {key: expected for key, expected in self._undone([change]).items() if key not in own}
        if not deletes(now.properties):
            for key in expectations.keys() - self.origin.tags.keys():
                # "Not restored": a new tag of a failed update, if its resource is deleted.
                expectations[key].digests |= self._before(key)
        for key in own:
            # If people had moved the tag before, an undone update may have taken it over.
            # "Not restored": a tag that two stacks took over one after the other, if both are undone.
            allowed = {*self._before(key), self.origin.tags.get(key), *self.origin.extra.get(key, ())}
            expectations[key] = Expectation("undone", allowed, f"{name} declared it before")
        return expectations

    def _merge(self, expectations: dict[Key, Expectation], undone: Mapping[Key, Expectation]) -> None:
        """Merge expectations. If a tag is given back to an image that is itself removed, the tag may be gone."""
        deleted = [now.digest for now in self.held.values() if deletes(now.properties)]
        going = {part for digest in deleted for part in {digest, *CHILDREN.get(digest, ())}}
        for key, expected in undone.items():
            other = expectations.get(key)
            if expected.digests & going or (other and None in other.digests):
                expected.digests.add(None)
            if other and other.kind == "undone":
                expected.digests |= other.digests
            expectations[key] = expected

    def _dropped(self, change: Change) -> dict[Key, Expectation]:
        """Return the expectations of the tags that an update drops."""
        if change.old is None or change.is_replacement:
            return {}
        keys = set(tags_of(change.old.properties)) - set(tags_of(change.new))
        if not untags(change.new):
            # "Not restored": a tag that a failed deployment took over and the next one drops. It may return.
            taken = keys & self.origin.declared & self.origin.tags.keys()
            found = {key: {self.origin.tags[key], *self.origin.extra.get(key, ())} for key in taken}
            return {key: Expectation("undone", at | self._before(key), "it was taken") for key, at in found.items()}
        removable = {key for key in keys if not is_immutable(change.new, key[1])}
        expectations = self._removed(change.logical_id, change.old, removable, is_sure=True, is_update=True)
        own = tags_of(self.stable[change.logical_id].properties) if change.logical_id in self.stable else {}
        for key in expectations.keys() - (own.keys() - self._declared_by_others()) if self.had_failed else ():
            if (before := self.origin.tags.get(key)) is not None:
                # "If an update drops tags that an earlier failed deployment took over, it gives them back at once".
                is_known = not (before == change.old.digest or self.origin.is_denied or self._was_deleted(key))
                is_known = is_known and key not in own  # Another stack may have taken it over from this one.
                allowed = {before, *self.origin.extra.get(key, ()), *(() if is_known else expectations[key].digests)}
                expectations[key] = Expectation("undone", allowed, "it existed before, and is dropped")
            elif put := set(self.origin.extra.get(key, ())) - {None}:
                # People put it during the failed deployment, which may have taken it over from them.
                expectations[key].digests |= put
        return expectations

    def _removed(
        self, name: str, old: Deployed, keys: Iterable[Key], *, is_sure: bool, is_update: bool = False
    ) -> dict[Key, Expectation]:
        """
        Return the expectations of removed tags: only those at the image of the resource, without another owner.

        "`Untag` never deletes an image. The last tag of an image stays": in an update, whatever a deletion would do.
        """
        expectations: dict[Key, Expectation] = {}
        elsewhere = self._declared_by_others()
        for key in keys:
            if self._before(key) != {old.digest}:
                continue
            if key in elsewhere and self._protects(elsewhere[key], name):
                expectations[key] = Expectation("kept", {old.digest}, "another stack declares it")
                continue
            # A tag that was just put may not be visible yet.
            is_seen = not self.around.lag_seconds or self.around.waited_seconds >= CONSISTENT_AFTER_SECONDS
            is_smooth = self.around.are_smooth and is_seen and self.is_alone and self.is_tidy
            must = is_sure and is_smooth and key not in elsewhere and not self._recorded(key, {old.digest})
            untags_only = is_update or not deletes(old.properties)
            is_last = untags_only and not self._has_other_tags(key, old.digest)
            is_kept = self._is_listed(key[0], {old.digest}) or is_immutable(old.properties, key[1])
            may_stay = not must or is_last or is_kept
            expectations[key] = Expectation("removed", {None, *([old.digest] if may_stay else [])}, f"{name} drops it")
        return expectations

    def _protects(self, other: str, name: str) -> bool:
        """
        Whether the declaration of another stack protects its tags from removals.

        "Not restored": a declaration of one digest protects its tags on its own
        image only, and one without a record is protected from another app's
        DESTROY only by its tags on the image.
        """
        live, mine = self.others[other], self.held[name]
        if live.digest != mine.digest and not may_move(live.properties):
            return False
        return has_record(live.properties) or live.since > mine.since

    def _recorded(self, key: Key, digests: Digests) -> Digests:
        """Return the images at which records of other stacks may protect a tag: "the record of an image … stays"."""
        return {digest for digest in digests if (key, digest) in self.records}

    def _declared_by_others(self) -> dict[Key, str]:
        return declaring_resources({name: other.properties for name, other in self.others.items()})

    def _before(self, key: Key) -> Digests:
        return {self.start.tags.get(key)}

    def _has_other_tags(self, key: Key, digest: str) -> bool:
        """Whether an image still has another tag that it had before."""
        return any(
            digest == found == self.start.tags.get(other)
            for other, found in self.world.state().tags.items()
            if other != key and other[0] == key[0]
        )

    def _is_listed(self, repository: str, digests: Iterable[str | None]) -> bool:
        """Whether an index lists one of the images, so that its last tag cannot be removed."""
        held = self.start.images[repository] | self.world.state().images[repository]
        return any(digest in CHILDREN.get(index, ()) for index in held for digest in digests)

    def live(self) -> Mapping[str, Deployed]:
        """Return the current resources of the stack."""
        return self.stack.resources

    def all_keys(self) -> set[Key]:
        """Return the tags that the stack declares, or has declared."""
        everything = [*self.held.values(), *self.live().values()]
        declared = [*(now.properties for now in everything), *(change.new for change in self.changes)]
        return {key for properties in declared for key in tags_of(properties)}

    @property
    def changed(self) -> dict[str, Properties]:
        """The resources that the template creates or updates."""
        old = {name: now.properties for name, now in self.held.items()}
        return {name: new for name, new in (self.template or {}).items() if old.get(name) != new}

    @property
    def can_succeed(self) -> bool:
        """Whether all newly declared images exist, and no rule forbids the changes."""
        found = {name: self.sources(new) for name, new in self.changed.items()}
        return not any(
            None in found[name] or self._moves_immutable(new, found[name]) for name, new in self.changed.items()
        )

    def _moves_immutable(self, new: Properties, digests: Digests) -> bool:
        return any(
            not self.world.since(*key, self.started - self.around.lag_seconds) <= {None, *digests} or len(digests) > 1
            for key in tags_of(new)
            if is_immutable(new, key[1])
        )

    @property
    def forbids_moves(self) -> bool:
        """Whether any of its declarations has immutable tags."""
        return any("ImmutableTags" in new for new in self.changed.values())

    @property
    def can_roll_back(self) -> bool:
        """Whether all previously declared images still exist."""
        images = self.start.images
        return all(now.digest in images[home(now.properties)] for now in (*self.held.values(), *self.stable.values()))

    @property
    def deletes_anything(self) -> bool:
        """Whether it may remove something from the registry."""
        before = [now.properties for now in self.held.values()]
        return any(deletes(each) or untags(each) for each in [*before, *(change.new for change in self.changes)])

    def may_be_deleted(self) -> Iterator[tuple[str, str]]:
        """Yield the images that may have been deleted, by repository."""
        status = self.deployment.status
        for name in self.deployment.removed:
            if name in self.held and deletes(self.held[name].properties):
                yield from with_children(self.held[name].properties, {self.held[name].digest})
        undone = [*self.changes, *self.failed.values()] if status != "COMPLETE" else [*self.failed.values()]
        # "An update that returns to a declaration from before" failed deployments undoes them.
        undone += [Change.to(each.logical_id, each.old) for each in self.changes if self.had_failed and each.old]
        for change in undone:
            if deletes(change.new):
                parts = with_children(change.new, self.digests(change))
                yield from (part for part in parts if part[1] not in self.origin.images[part[0]])

    def may_be_new(self) -> Iterator[tuple[str, str]]:
        """Yield the images that may be new, by repository: newly declared ones, and old ones that an undo restores."""
        for change in self.changes:
            yield from with_children(change.new, self.digests(change))
            if change.old:
                yield from with_children(change.old.properties, {change.old.digest})
