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
from .schedule import ManualAction
from .stacks import Declared, Kind, Policy
from .world import INDEXES

Owner = tuple[str, str]
"""The stack and the logical id of a resource."""

Tags = Mapping[str, str]
"""The name of each tag's image."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
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
    previous: Deployed | None = None
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
    deployed: frozenset[tuple[Owner, Deployed]] = frozenset()
    left_over: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, tags: Tags, images: Iterable[str]) -> Model:
        return cls(tags=frozenset(tags.items()), images=frozenset(images))

    def image_of(self, tag: str) -> str | None:
        return dict(self.tags).get(tag)

    def deployed_by(self, owner: Owner) -> Deployed | None:
        return dict(self.deployed).get(owner)

    def with_tag(self, tag: str, image: str | None) -> Model:
        others = frozenset(item for item in self.tags if item[0] != tag)
        return replace(self, tags=others | ({(tag, image)} if image else frozenset()))

    def with_deployed(self, owner: Owner, deployed: Deployed | None) -> Model:
        others = frozenset(item for item in self.deployed if item[0] != owner)
        return replace(self, deployed=others | ({(owner, deployed)} if deployed else frozenset()))

    def tags_of(self, image: str) -> set[str]:
        return {tag for tag, name in self.tags if name == image}

    def others(self, owner: Owner, image: str) -> list[Deployed]:
        """Return the other declarations of an image that have records."""
        return [
            deployed
            for name, deployed in self.deployed
            if name != owner and deployed.image == image and deployed.is_recorded
        ]

    def possible_owners(self, owner: Owner, image: str) -> list[Deployed]:
        """
        Return other declarations of an image whose tags may or may not be spared.

        One has no record: "A declaration without a record is protected from the
        DESTROY of another app only by its tags on the image." Another is the
        previous declaration of its resource: its record stays until the next
        update, because the function does not learn earlier that the deployment
        has succeeded.
        """
        others = [deployed for name, deployed in self.deployed if name != owner]
        unrecorded = [deployed for deployed in others if deployed.image == image and not deployed.is_recorded]
        return unrecorded + [
            deployed.previous for deployed in others if deployed.previous and deployed.previous.image == image
        ]

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
        concurrent: Another request ran at the same time.
    """

    kind: Kind
    owner: Owner
    new: Declared | None
    old: Declared | None
    failed: bool = False
    again: bool = False
    earlier: frozenset[tuple[str, str | None]] = frozenset()
    concurrent: bool = False


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


def perform(states: States, action: ManualAction) -> States:
    """
    Return the states that the action of a person may leave, by the rules of the registry.

    While requests are being served, an image whose tag is removed may or may not
    have another tag at that moment. And a request may put a deleted image again
    by its digest, because "already exists" counts as success.
    """
    return frozenset(end for state in states for end in _performed(state, action))


def _performed(state: Model, action: ManualAction) -> Iterator[Model]:
    if action.verb == "move":
        yield replace(state.with_tag(action.tag, action.image), images=state.images | {action.image})
        return
    image = action.image or state.image_of(action.tag)
    if image is None:
        yield state
        return
    without = state.with_tag(action.tag, None) if action.verb == "remove" else _without_image(state, image)
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
        sources = {state.image_of(SOURCE_TAG)} | {at for tag, at in operation.earlier if tag == SOURCE_TAG}
    for image in sources:
        if image:
            # If the request had already read a deleted image, it puts it again. Otherwise, the request has failed.
            yield from _published(state, operation, new, image)


def _published(state: Model, operation: Operation, new: Declared, image: str) -> Iterator[Model]:
    old, known = operation.old, state.deployed_by(operation.owner)
    brought = frozenset({image, *INDEXES.get(image, ())})
    after = replace(state, images=state.images | brought)
    for tag in new.tags:
        after = after.with_tag(tag, image)
    recorded = _recorded(state, operation, new, image)
    taken = [tag for tag in new.tags if old is None or tag not in old.tags]
    for found, is_recorded in product(_found(state, taken, operation.earlier), recorded):
        deployed = Deployed(
            declared=new,
            image=image,
            is_recorded=is_recorded,
            previous=replace(known, previous=None) if known else None,
            found=found,
            existed=brought & state.images,
        )
        if operation.again and known and known.declared == new:
            deployed = known
        yield from _untag_dropped(
            after.with_deployed(operation.owner, deployed), operation, known.image if known else ""
        )


def _found(
    state: Model, taken: list[str], earlier: frozenset[tuple[str, str | None]]
) -> Iterator[tuple[tuple[str, str | None], ...]]:
    """
    Yield the previous images that a deployment may have found for the tags that it took over.

    "The previous image of a tag that someone moved in the seconds before the
    deployment, while reads still showed the old one" is not restored; neither is
    that of a tag that someone moves between the read and the put.
    """
    choices = [{state.image_of(tag)} | {image for name, image in earlier if name == tag} for tag in taken]
    for found in product(*choices):
        yield tuple(zip(taken, found, strict=True))


def _recorded(state: Model, operation: Operation, new: Declared, image: str) -> set[bool]:
    """Yield whether a new declaration has a record: it may have read the others before they existed."""
    if _is_recorded(state, operation.owner, new, image):
        shared = {tag for deployed in state.others(operation.owner, image) for tag in deployed.declared.tags}
        looked_too_soon = any(tag in shared and at != image for tag, at in operation.earlier)
        always = new.has_parameter_name or new.source == "tag"
        return {True, always or not looked_too_soon}
    return {False}


def _is_recorded(state: Model, owner: Owner, new: Declared, image: str) -> bool:
    if new.has_parameter_name or new.source == "tag":
        return True
    return any(set(deployed.declared.tags) & set(new.tags) for deployed in state.others(owner, image))


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
    owned = {tag for deployed in state.others(owner, image) for tag in deployed.declared.tags}
    removable = [tag for tag in tags if state.image_of(tag) == image and tag not in owned]
    yield removable
    possible_owners = {tag for deployed in state.possible_owners(owner, image) for tag in deployed.declared.tags}
    if possible_owners & set(removable):
        yield [tag for tag in removable if tag not in possible_owners]


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
        if not operation.concurrent:
            return
    yield replace(state, tags=frozenset(item for item in state.tags if item[0] not in tags))


def _undo(state: Model, operation: Operation) -> Iterator[Model]:
    """Undo the last deployment of a resource: restore its previous declaration, and give back all other tags."""
    back, undone, owner = operation.new, operation.old, operation.owner
    deployed = state.deployed_by(owner)
    assert undone is not None
    if deployed is None or deployed.declared != undone:
        # The deployment never began, or it is already undone and this is another attempt.
        yield _declare_again(state, owner, deployed) if deployed and back else state.with_deployed(owner, None)
        return
    destroys = undone.policy is Policy.DESTROY
    again = (
        _declare_again(state, owner, deployed.previous)
        if back and deployed.previous
        else state.with_deployed(owner, None)
    )
    for after in (
        end for each in _give_back(again, operation, deployed) for end in _hand_over(each, operation, deployed)
    ):
        # "An image that existed before stays. An image that the deployment published is deleted with Delete only."
        if destroys:
            yield from _without_unused(after, owner, deployed.image, deployed.existed)
        else:
            yield after


def _declare_again(state: Model, owner: Owner, back: Deployed) -> Model:
    after = replace(state, images=state.images | {back.image})
    for tag in back.declared.tags:
        after = after.with_tag(tag, back.image)
    # An undo writes no record of shared tags: "a declaration without a record is protected by its tags at the image".
    recorded = back.is_recorded or back.declared.has_parameter_name or back.declared.source == "tag"
    return after.with_deployed(owner, replace(back, is_recorded=recorded, found=(), existed=frozenset()))


def _give_back(state: Model, operation: Operation, deployed: Deployed) -> Iterator[Model]:
    """Move tags back to their previous images, or remove those that were new."""
    tags = dict(deployed.found)
    choices = [_allowed_after_undo(state, operation, deployed, tag, before) for tag, before in tags.items()]
    for targets in product(*choices):
        after, gone = state, []
        for tag, target in zip(tags, targets, strict=True):
            if target is None and state.image_of(tag) == deployed.image:
                gone.append(tag)
            else:
                after = replace(
                    after.with_tag(tag, target), images=after.images | ({target} if target else frozenset())
                )
        yield from _without_tags(after, deployed.image, gone, operation)


def _hand_over(state: Model, operation: Operation, deployed: Deployed) -> Iterator[Model]:
    """Pass the previous images of tags that were not given back to resources of the same stack that have them now."""
    left: dict[str, str | None] = {
        tag: before for tag, before in deployed.found if before and state.image_of(tag) not in {None, before}
    }
    if deployed.declared.policy is not Policy.KEEP:
        # It was new. So it is also new for the resource that has taken it over from this one.
        left |= {tag: None for tag, before in deployed.found if before is None and state.image_of(tag) is not None}
    after = state
    for name, other in state.deployed:
        found = dict(other.found)
        shares = other.image == deployed.image and other.is_recorded
        taken = {
            tag: before
            for tag, before in left.items()
            if name[0] == operation.owner[0]
            and (found.get(tag) == deployed.image or (shares and tag in other.declared.tags))
        }
        after = after.with_deployed(name, replace(other, found=tuple({**found, **taken}.items())))
    yield after
    if operation.concurrent and after != state:
        yield state


def _allowed_after_undo(
    state: Model, operation: Operation, deployed: Deployed, tag: str, before: str | None
) -> list[str | None]:
    """Return the images that a tag may have after its deployment was undone."""
    image, now = deployed.image, state.image_of(tag)
    if now is None:
        # Someone removed it. "Unless it sees the tag at a third image": it may also be put to its previous image.
        return [None, before]
    if now != image:
        # If someone moves the tag between the read and the put, the function cannot see it: no put is conditional.
        missed = {(tag, image), (tag, before)} & operation.earlier
        return [now, *([before] if before and missed else [])]
    owner = operation.owner
    same = [
        each for name, each in state.deployed if name != owner and each.image == image and tag in each.declared.tags
    ]
    if any(each.is_recorded for each in same):
        return [now]
    # "A declaration without a record is protected … only by its tags on the image."
    stays: list[str | None] = [now] if same else []
    # "Unless it sees the tag at a third image", which may be a stale read.
    stays += [now] if any(name == tag and at not in {None, image, before} for name, at in operation.earlier) else []
    if before is None:
        # "A tag that did not exist before stays with Keep. It is removed with Untag or Delete."
        return [*stays, now if deployed.declared.policy is Policy.KEEP else None]
    # "An image that someone deleted" need not be restored; the tag may then stay or be removed.
    return [*stays, before, *([] if before in state.images else [now, None])]


def _delete(state: Model, operation: Operation) -> Iterator[Model]:
    """Delete a deployed declaration. Nothing is given back; with DESTROY, its tags and unused images are removed."""
    old, owner = operation.old, operation.owner
    assert old is not None
    deployed = state.deployed_by(owner)
    after = state.with_deployed(owner, None)
    if old.policy is not Policy.DESTROY or deployed is None:
        yield after
        return
    for gone in _removable(after, owner, deployed.image, old.tags):
        for end in _without_tags(after, deployed.image, gone, operation):
            yield from _without_unused(end, owner, deployed.image, frozenset())


def _without_unused(state: Model, owner: Owner, image: str, existed: frozenset[str]) -> Iterator[Model]:
    """Remove an unused image, and then its unused children."""
    left_over = {tag for tag, name in state.left_over if name == image}
    is_used = state.tags_of(image) - left_over or state.others(owner, image) or state.is_listed(image)
    if image not in state.images or image in existed or is_used:
        yield state
        return
    if state.possible_owners(owner, image):
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
            allowed = {state.image_of(tag) for state in self.states}
            if tags.get(tag) not in allowed:
                yield f"tag {tag} is {_where(tags.get(tag))}; it must be {' or '.join(sorted(map(_where, allowed)))}"
        for image in sorted({*images, *(name for state in self.states for name in state.images)}):
            allowed_presence = {image in state.images for state in self.states}
            if (image in images) not in allowed_presence:
                yield f"image {image} is {'present' if image in images else 'gone'}; it must not be"


def _where(image: str | None) -> str:
    return f"at {image}" if image else "gone"
