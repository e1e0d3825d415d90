"""
The contract as a state machine, in which each request is atomic.

In any order of calls, each tag and image must end in a state that some sequential
order of the requests allows. If the contract leaves a choice, a step has several
outcomes, and a comment quotes the sentence that leaves it ("Not restored" is the
list of docs/decisions/0019-undo-and-ownership.md).
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
"""The stack and the logical id of a resource."""

Tags = Mapping[str, str]
"""The name of each tag's image."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """
    A deployed declaration.

    Attributes:
        image: The image that its source was resolved to.
        is_recorded: Whether it has a record that protects its tags from removals by others.
        previous: The declaration before its last deployment.
        found: The previous images of the tags that its last deployment took over; None for new tags.
        existed: Which of its images existed before its last deployment.
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
    A state of the registry and of the deployed declarations.

    Attributes:
        left_over: Tags with their images that could not be removed, because an index lists the images.
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
        """Return the other declarations of an image that have records."""
        return [held for name, held in self.held if name != owner and held.image == image and held.is_recorded]

    def perhaps(self, owner: Owner, image: str) -> list[Held]:
        """
        Return other declarations of an image whose tags may or may not be spared.

        One has no record: "A declaration without a record is protected from the
        DESTROY of another app only by its tags on the image." Another is the
        previous declaration of its resource: its record stays until the next
        update, because the function does not learn earlier that the deployment
        has succeeded.
        """
        others = [held for name, held in self.held if name != owner]
        unrecorded = [held for held in others if held.image == image and not held.is_recorded]
        return unrecorded + [held.previous for held in others if held.previous and held.previous.image == image]

    def is_listed(self, image: str) -> bool:
        return any(image in children and index in self.images for index, children in INDEXES.items())


@dataclass(frozen=True, kw_only=True)
class Operation:
    """
    A request as an operation of the model.

    Attributes:
        failed: The response was FAILED, or there was none.
        again: It was delivered before, so this delivery may do anything or nothing.
        earlier: Outdated images of tags that the request may have read.
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
    Return the states that the action of a person may leave, by the rules of the registry.

    While requests are being served, an image whose tag is removed may or may not
    have another tag at that moment. And a request may put a deleted image again
    by its digest, because "already exists" counts as success.
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
        # While an index is being deleted, its children can be deleted, too. Then the index cannot be put again:
        # "An image that someone deleted" is not restored.
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
        # If a source moves after it was resolved, the old image is published.
        sources = {state.pointing(SOURCE_TAG)} | {at for tag, at in operation.earlier if tag == SOURCE_TAG}
    for image in sources:
        if image:
            # If the request had already read a deleted image, it puts it again. Otherwise, the request has failed.
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
    Yield the previous images that a deployment may have found for the tags that it took over.

    "The previous image of a tag that someone moved in the seconds before the
    deployment, while reads still showed the old one" is not restored; neither is
    that of a tag that someone moves between the read and the put.
    """
    choices = [{state.pointing(tag)} | {image for name, image in earlier if name == tag} for tag in taken]
    for found in product(*choices):
        yield tuple(zip(taken, found, strict=True))


def _recorded(state: Model, operation: Operation, new: Declared, image: str) -> set[bool]:
    """Yield whether a new declaration has a record: it may have read the others before they existed."""
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
    """Remove the dropped tags from *image*. The last tag may stay, and is then reported."""
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
    """Yield the possible sets of *tags* that are removed from an image, because others may own some."""
    owned = {tag for held in state.others(owner, image) for tag in held.declared.tags}
    removable = [tag for tag in tags if state.pointing(tag) == image and tag not in owned]
    yield removable
    perhaps = {tag for held in state.perhaps(owner, image) for tag in held.declared.tags}
    if perhaps & set(removable):
        yield [tag for tag in removable if tag not in perhaps]


def _without_tags(state: Model, image: str, tags: Sequence[str], operation: Operation) -> Iterator[Model]:
    """
    Remove tags of an image.

    The last tag of an image stays if an index lists the image: the registry
    refuses the removal, except while another request deletes the index.
    """
    if tags and state.is_listed(image) and state.tags_of(image) <= set(tags):
        for kept in tags:
            after = replace(state, left_over=state.left_over | {(kept, image)})
            yield replace(after, tags=frozenset(item for item in after.tags if item[0] == kept or item[0] not in tags))
        if not operation.beside:
            return
    yield replace(state, tags=frozenset(item for item in state.tags if item[0] not in tags))


def _undo(state: Model, operation: Operation) -> Iterator[Model]:
    """Undo the last deployment of a resource: restore its previous declaration, and give back all other tags."""
    back, undone, owner = operation.new, operation.old, operation.owner
    held = state.holder(owner)
    assert undone is not None
    if held is None or held.declared != undone:
        # The deployment never began, or it is already undone and this is another attempt.
        yield _declare_again(state, owner, held) if held and back else state.with_held(owner, None)
        return
    destroys = undone.policy is Policy.DESTROY
    again = _declare_again(state, owner, held.previous) if back and held.previous else state.with_held(owner, None)
    for after in (end for each in _give_back(again, operation, held) for end in _hand_over(each, operation, held)):
        # "An image that existed before stays. An image that the deployment published is deleted with Delete only."
        if destroys:
            yield from _without_unused(after, owner, held.image, held.existed)
        else:
            yield after


def _declare_again(state: Model, owner: Owner, back: Held) -> Model:
    after = replace(state, images=state.images | {back.image})
    for tag in back.declared.tags:
        after = after.with_tag(tag, back.image)
    # An undo writes no record of shared tags: "a declaration without a record is protected by its tags at the image".
    recorded = back.is_recorded or back.declared.is_remembered or back.declared.source == "tag"
    return after.with_held(owner, replace(back, is_recorded=recorded, found=(), existed=frozenset()))


def _give_back(state: Model, operation: Operation, held: Held) -> Iterator[Model]:
    """Move tags back to their previous images, or remove those that were new."""
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


def _hand_over(state: Model, operation: Operation, held: Held) -> Iterator[Model]:
    """Pass the previous images of tags that were not given back to resources of the same stack that have them now."""
    left: dict[str, str | None] = {
        tag: before for tag, before in held.found if before and state.pointing(tag) not in {None, before}
    }
    if held.declared.policy is not Policy.KEEP:
        left |= {tag: None for tag, before in held.found if before is None and state.pointing(tag) == held.image}
    after = state
    for name, other in state.held:
        found = dict(other.found)
        shares = other.image == held.image and other.is_recorded
        taken = {
            tag: before
            for tag, before in left.items()
            if name[0] == operation.owner[0]
            and (found.get(tag) == held.image or (shares and tag in other.declared.tags))
        }
        after = after.with_held(name, replace(other, found=tuple({**found, **taken}.items())))
    yield after
    if operation.beside and after != state:
        yield state


def _places(state: Model, operation: Operation, held: Held, tag: str, before: str | None) -> list[str | None]:
    """Return the images that a tag may have after its deployment was undone."""
    image, now = held.image, state.pointing(tag)
    if now is None:
        # Someone removed it. "Unless it sees the tag at a third image": it may also be put to its previous image.
        return [None, before]
    if now != image:
        # If someone moves the tag between the read and the put, the function cannot see it: no put is conditional.
        missed = {(tag, image), (tag, before)} & operation.earlier
        return [now, *([before] if before and missed else [])]
    owner = operation.owner
    same = [each for name, each in state.held if name != owner and each.image == image and tag in each.declared.tags]
    if any(each.is_recorded for each in same):
        return [now]
    # "A declaration without a record is protected … only by its tags on the image."
    stays: list[str | None] = [now] if same else []
    # "Unless it sees the tag at a third image", which may be a stale read.
    stays += [now] if any(name == tag and at not in {None, image, before} for name, at in operation.earlier) else []
    if before is None:
        # "A tag that did not exist before stays with Keep. It is removed with Untag or Delete."
        return [*stays, now if held.declared.policy is Policy.KEEP else None]
    # "An image that someone deleted" need not be restored; the tag may then stay or be removed.
    return [*stays, before, *([] if before in state.images else [now, None])]


def _delete(state: Model, operation: Operation) -> Iterator[Model]:
    """Delete a deployed declaration. Nothing is given back; with DESTROY, its tags and unused images are removed."""
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
    """Remove an unused image, and then its unused children."""
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
    """The allowed final states."""

    states: States = field(default_factory=frozenset)

    def problems(self, tags: Tags, images: frozenset[str]) -> Iterator[str]:
        """Yield a problem for each tag and image whose state no sequential order of the requests allows."""
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
