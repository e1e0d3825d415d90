"""
The contract as a small machine: what each request does, if it does it all at once.

Whatever the order of the calls, a tag or an image must end where some order
of whole requests leaves it. Where the contract leaves a choice, a step has
several outcomes; each says which sentence leaves it ("What is not restored"
is that list of docs/decisions/0019-undo-and-ownership.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from .events import SOURCE_TAG
from .schedule import Act
from .stacks import Declared, Kind, Policy
from .world import INDEXES

Owner = tuple[str, str]
"""Stack and logical id."""

Tags = Mapping[str, str]
"""Tag to the name of an image."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """
    A declaration that lives.

    Attributes:
        image: What its source stood for.
        is_recorded: Whether others can see it beside its tags; see "One record for a resource".
        previous: What its last deployment took the place of.
        found: Where tags pointed that its last deployment took over; None for those that were new.
        existed: Those of its images that were there before its last deployment.
    """

    declared: Declared
    image: str
    is_recorded: bool
    previous: Held | None = None
    found: tuple[tuple[str, str | None], ...] = ()
    existed: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Model:
    """
    What is there.

    Attributes:
        left_over: Tags that had to stay with their images, because an index lists these.
    """

    tags: frozenset[tuple[str, str]] = frozenset()
    images: frozenset[str] = frozenset()
    held: frozenset[tuple[Owner, Held]] = frozenset()
    left_over: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, tags: Tags, images: Iterable[str]) -> Model:
        return cls(tags=frozenset(tags.items()), images=frozenset(images))

    def pointing(self, tag: str) -> str | None:
        return dict(self.tags).get(tag)

    def holder(self, owner: Owner) -> Held | None:
        return dict(self.held).get(owner)

    def with_tag(self, tag: str, image: str | None) -> Model:
        others = frozenset(item for item in self.tags if item[0] != tag)
        return replace(self, tags=others | ({(tag, image)} if image else frozenset()))

    def with_held(self, owner: Owner, held: Held | None) -> Model:
        others = frozenset(item for item in self.held if item[0] != owner)
        return replace(self, held=others | ({(owner, held)} if held else frozenset()))

    def tags_of(self, image: str) -> set[str]:
        return {tag for tag, name in self.tags if name == image}

    def others(self, owner: Owner, image: str) -> list[Held]:
        """Return the other declarations of an image that their records show."""
        return [held for name, held in self.held if name != owner and held.image == image and held.is_recorded]

    def perhaps(self, owner: Owner, image: str) -> list[Held]:
        """
        Return other declarations of an image that may be spared, and may not.

        One that no record shows: "A declaration without a record is protected
        by its tags at the image, and by nothing else." And one that a rollback
        of its resource would return to: its record stays until the next
        update, since nobody tells the function that a deployment has succeeded.
        """
        others = [held for name, held in self.held if name != owner]
        unrecorded = [held for held in others if held.image == image and not held.is_recorded]
        return unrecorded + [held.previous for held in others if held.previous and held.previous.image == image]

    def is_listed(self, image: str) -> bool:
        return any(image in children and index in self.images for index, children in INDEXES.items())


@dataclass(frozen=True, kw_only=True)
class Operation:
    """
    A request, as the contract sees it.

    Attributes:
        failed: It was answered with FAILED, or not at all.
        again: It was delivered before; this delivery may come to anything or nothing.
        earlier: Where tags may seem to point that were moved after it had looked, or a moment before.
        beside: Another request ran at the same time.
    """

    kind: Kind
    owner: Owner
    new: Declared | None
    old: Declared | None
    failed: bool = False
    again: bool = False
    earlier: frozenset[tuple[str, str | None]] = frozenset()
    beside: bool = False


States = frozenset[Model]


def may_fail(states: States, operation: Operation) -> bool:
    """Whether a request may find that its image does not exist."""
    new = operation.new
    if new is None or new.source == "manifest":
        return False
    return any(not {new.image, *INDEXES.get(new.image, ())} <= state.images for state in states)


def apply(states: States, operation: Operation) -> States:
    """Return the states that a request may leave."""
    steps = {
        Kind.CREATE: _publish,
        Kind.UPDATE: _publish,
        Kind.UNDO_UPDATE: _undo,
        Kind.UNDO_CREATE: _undo,
        Kind.DELETE: _delete,
    }
    after = frozenset(end for state in states for end in steps[operation.kind](state, operation))
    return after | states if operation.failed or operation.again else after


def perform(states: States, act: Act) -> States:
    """
    Return what a person leaves; the registry's own rules hold.

    While requests are being served, an image whose tag is removed may have had
    another one at that moment or not, and one that is deleted may be put again
    by its digest, which asks nobody: "already exists" is success.
    """
    return frozenset(end for state in states for end in _performed(state, act))


def _performed(state: Model, act: Act) -> Iterator[Model]:
    if act.verb == "move":
        yield replace(state.with_tag(act.tag, act.image), images=state.images | {act.image})
        return
    image = act.image or state.pointing(act.tag)
    if image is None:
        yield state
        return
    without = state.with_tag(act.tag, None) if act.verb == "remove" else _without_image(state, image)
    if state.is_listed(image) and not without.tags_of(image):
        yield state
        # In the moment in which an index is off to lose its tags, nothing keeps what it lists from being deleted;
        # then it cannot be put again: "An image that somebody deleted" is not restored.
        for index in (name for name, children in INDEXES.items() if image in children):
            yield _without_image(without, index)
        return
    yield without
    yield replace(without, images=without.images ^ {image})


def _without_image(state: Model, image: str) -> Model:
    tags = frozenset(item for item in state.tags if item[1] != image)
    return replace(state, tags=tags, images=state.images - {image})


def _publish(state: Model, operation: Operation) -> Iterator[Model]:
    new = operation.new
    assert new is not None
    sources: set[str | None] = {new.image}
    if new.source == "tag":
        # A source that moves after it was looked up is published as it was.
        sources = {state.pointing(SOURCE_TAG)} | {at for tag, at in operation.earlier if tag == SOURCE_TAG}
    for image in sources:
        if image:
            # One that somebody deleted may be in hand already, and is put again then; else the request has failed.
            yield from _published(state, operation, new, image)


def _published(state: Model, operation: Operation, new: Declared, image: str) -> Iterator[Model]:
    old, known = operation.old, state.holder(operation.owner)
    brought = frozenset({image, *INDEXES.get(image, ())})
    after = replace(state, images=state.images | brought)
    for tag in new.tags:
        after = after.with_tag(tag, image)
    recorded = _recorded(state, operation, new, image)
    taken = [tag for tag in new.tags if old is None or tag not in old.tags]
    for found, is_recorded in product(_found(state, taken, operation.earlier), recorded):
        held = Held(
            declared=new,
            image=image,
            is_recorded=is_recorded,
            previous=replace(known, previous=None) if known else None,
            found=found,
            existed=brought & state.images,
        )
        if operation.again and known and known.declared == new:
            held = known
        yield from _untag_dropped(after.with_held(operation.owner, held), operation, known.image if known else "")


def _found(
    state: Model, taken: list[str], earlier: frozenset[tuple[str, str | None]]
) -> Iterator[tuple[tuple[str, str | None], ...]]:
    """
    Yield what a deployment may have found under the tags that it took over.

    "A tag that somebody moved in the seconds before the deployment, while
    reads still showed the old place" is not restored to where they moved it;
    nor is one that somebody moves between the look and the put.
    """
    choices = [{state.pointing(tag)} | {image for name, image in earlier if name == tag} for tag in taken]
    for found in product(*choices):
        yield tuple(zip(taken, found, strict=True))


def _recorded(state: Model, operation: Operation, new: Declared, image: str) -> set[bool]:
    """Return whether others can see a new declaration: it may have looked before they came."""
    if _is_recorded(state, operation.owner, new, image):
        shared = {tag for held in state.others(operation.owner, image) for tag in held.declared.tags}
        looked_too_soon = any(tag in shared and at != image for tag, at in operation.earlier)
        always = new.is_remembered or new.source == "tag"
        return {True, always or not looked_too_soon}
    return {False}


def _is_recorded(state: Model, owner: Owner, new: Declared, image: str) -> bool:
    if new.is_remembered or new.source == "tag":
        return True
    return any(set(held.declared.tags) & set(new.tags) for held in state.others(owner, image))


def _untag_dropped(state: Model, operation: Operation, image: str) -> Iterator[Model]:
    """Remove from *image* what an update no longer declares; its last tag may stay, and is reported then."""
    new, old = operation.new, operation.old
    if old is None or new is None or new.policy is not Policy.UNTAG:
        yield state
        return
    for dropped in _removable(state, operation.owner, image, [tag for tag in old.tags if tag not in new.tags]):
        yield from _without_tags(state, image, dropped, operation)
        if state.tags_of(image) == set(dropped):
            for tag in dropped:
                yield from _without_tags(state, image, [other for other in dropped if other != tag], operation)


def _removable(state: Model, owner: Owner, image: str, tags: Sequence[str]) -> Iterator[list[str]]:
    """Yield which of *tags* are removed from an image, as far as others may have them."""
    owned = {tag for held in state.others(owner, image) for tag in held.declared.tags}
    removable = [tag for tag in tags if state.pointing(tag) == image and tag not in owned]
    yield removable
    perhaps = {tag for held in state.perhaps(owner, image) for tag in held.declared.tags}
    if perhaps & set(removable):
        yield [tag for tag in removable if tag not in perhaps]


def _without_tags(state: Model, image: str, tags: Sequence[str], operation: Operation) -> Iterator[Model]:
    """
    Remove tags of an image.

    One stays where an index lists the image and it has no other: the registry
    refuses, except in the moment in which another request takes the index off.
    """
    if tags and state.is_listed(image) and state.tags_of(image) <= set(tags):
        for kept in tags:
            after = replace(state, left_over=state.left_over | {(kept, image)})
            yield replace(after, tags=frozenset(item for item in after.tags if item[0] == kept or item[0] not in tags))
        if not operation.beside:
            return
    yield replace(state, tags=frozenset(item for item in state.tags if item[0] not in tags))


def _undo(state: Model, operation: Operation) -> Iterator[Model]:
    """Undo the last deployment of a resource: all that it declared before is declared again, the rest is given back."""
    back, undone, owner = operation.new, operation.old, operation.owner
    held = state.holder(owner)
    assert undone is not None
    if held is None or held.declared != undone:
        # What is undone never began; or it was undone already, and this is another try.
        yield _declare_again(state, owner, held) if held and back else state.with_held(owner, None)
        return
    destroys = undone.policy is Policy.DESTROY
    again = _declare_again(state, owner, held.previous) if back and held.previous else state.with_held(owner, None)
    for after in _give_back(again, operation, held):
        # "An image that existed before stays. One that the deployment brought goes with Delete only."
        if destroys:
            yield from _without_unused(after, owner, held.image, held.existed)
        else:
            yield after


def _declare_again(state: Model, owner: Owner, back: Held) -> Model:
    after = replace(state, images=state.images | {back.image})
    for tag in back.declared.tags:
        after = after.with_tag(tag, back.image)
    recorded = _is_recorded(state, owner, back.declared, back.image)
    return after.with_held(owner, replace(back, is_recorded=recorded, found=(), existed=frozenset()))


def _give_back(state: Model, operation: Operation, held: Held) -> Iterator[Model]:
    """Put tags where they were, or remove those that were new."""
    tags = dict(held.found)
    choices = [_places(state, operation, held, tag, before) for tag, before in tags.items()]
    for places in product(*choices):
        after, gone = state, []
        for tag, place in zip(tags, places, strict=True):
            if place is None and state.pointing(tag) == held.image:
                gone.append(tag)
            else:
                after = replace(after.with_tag(tag, place), images=after.images | ({place} if place else frozenset()))
        yield from _without_tags(after, held.image, gone, operation)


def _places(state: Model, operation: Operation, held: Held, tag: str, before: str | None) -> list[str | None]:
    """Return where a tag may point after its deployment was undone."""
    image, now = held.image, state.pointing(tag)
    if now is None:
        # Somebody removed it. "Unless it is seen at a third image": it may also be put to where it was.
        return [None, before]
    if now != image:
        # Who moves a tag between the look and the put that gives it back cannot be seen: there is no conditional put.
        missed = {(tag, image), (tag, before)} & operation.earlier
        return [now, *([before] if before and missed else [])]
    owner = operation.owner
    same = [each for name, each in state.held if name != owner and each.image == image and tag in each.declared.tags]
    if any(each.is_recorded for each in same):
        return [now]
    # "A declaration without a record is protected by its tags at the image, and by nothing else."
    stays: list[str | None] = [now] if same else []
    # "Unless it is seen at a third image": by a late read, say.
    stays += [now] if any(name == tag and at not in {None, image, before} for name, at in operation.earlier) else []
    if before is None:
        # "A tag that did not exist before stays with Keep. It goes with Untag or Delete."
        return [*stays, now if held.declared.policy is Policy.KEEP else None]
    # "An image that somebody deleted" need not be restored; the tag then stays or goes.
    return [*stays, before, *([] if before in state.images else [now, None])]


def _delete(state: Model, operation: Operation) -> Iterator[Model]:
    """Delete what was deployed: nothing is given back; under DESTROY tags go, and the images that nobody has."""
    old, owner = operation.old, operation.owner
    assert old is not None
    held = state.holder(owner)
    after = state.with_held(owner, None)
    if old.policy is not Policy.DESTROY or held is None:
        yield after
        return
    for gone in _removable(after, owner, held.image, old.tags):
        for end in _without_tags(after, held.image, gone, operation):
            yield from _without_unused(end, owner, held.image, frozenset())


def _without_unused(state: Model, owner: Owner, image: str, existed: frozenset[str]) -> Iterator[Model]:
    """Remove an image that nothing has any more, and then what it lists."""
    left_over = {tag for tag, name in state.left_over if name == image}
    is_used = state.tags_of(image) - left_over or state.others(owner, image) or state.is_listed(image)
    if image not in state.images or image in existed or is_used:
        yield state
        return
    if state.perhaps(owner, image):
        yield state
    states = [_without_image(state, image)]
    for child in INDEXES.get(image, ()):
        states = [end for each in states for end in _without_unused(each, owner, child, existed)]
    yield from states


@dataclass
class Expectation:
    """What may be at the end."""

    states: States = field(default_factory=frozenset)

    def problems(self, tags: Tags, images: frozenset[str]) -> Iterator[str]:
        """Say which tags and images are where no order of the requests leaves them."""
        names = {*tags, *(tag for state in self.states for tag, _ in state.tags)}
        for tag in sorted(names):
            allowed = {state.pointing(tag) for state in self.states}
            if tags.get(tag) not in allowed:
                yield f"tag {tag} is {_place(tags.get(tag))}; it must be {' or '.join(sorted(map(_place, allowed)))}"
        for image in sorted({*images, *(name for state in self.states for name in state.images)}):
            allowed_there = {image in state.images for state in self.states}
            if (image in images) not in allowed_there:
                yield f"image {image} is {'there' if image in images else 'gone'}; it must not be"


def _place(image: str | None) -> str:
    return f"at {image}" if image else "gone"
