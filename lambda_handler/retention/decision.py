"""Which images go and which stay, each with its reason. Pure: no clock, no network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..oci import Digest
from .inventory import Image, Inventory
from .lifecycle import LifecycleRule, expire

_SHOWN_MAX = 3

_SHORT = len("sha256:") + 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """
    What the declarations of all stacks name in a repository.

    Attributes:
        tags: The declared tags, each with the resource that declares it.
        digests: The declared images, likewise.
        immutable: Patterns of tags that never move or go.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[Digest, str] = field(default_factory=dict)
    immutable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What happens to one image.

    Attributes:
        rule: The rule that removes the image, or would remove it if nothing protected it.
        why: Why it stays or goes.
    """

    image: Image
    goes: bool
    why: str
    rule: LifecycleRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """
    The settings of a repository.

    Attributes:
        rules: In the order of their priorities.
        min_age_seconds: No younger image is removed.
    """

    rules: Sequence[LifecycleRule]
    min_age_seconds: float = 86_400.0

    def decide(
        self,
        inventory: Inventory,
        declared: Declared,
        now: float,
        pending: Mapping[Digest, AbstractSet[Digest]] | None = None,
    ) -> Sequence[Outcome]:
        """
        Decide about every image, the oldest first.

        Never removed are declared, young and immutable images; children of
        indexes that stay; and what is attached to an image that stays, or has
        something attached that stays.

        Args:
            now: In seconds since the epoch.
            pending: The parts that an interrupted run was about to remove, each
                with what it was a part of. If all of that is gone, the part goes.
        """
        selectable = [image for digest, image in inventory.images.items() if not inventory.owners(digest)]
        expired = expire(self.rules, selectable, now)
        protected = {
            digest: why for digest, image in inventory.images.items() if (why := self._protection(image, declared, now))
        }
        begun = {part for part, whole in (pending or {}).items() if not whole & inventory.images.keys()}
        left_over = {image.digest for image in selectable if image.digest in begun and not image.own_tags}
        doomed = _with_parts((expired.keys() | left_over) - protected.keys(), protected, inventory)
        stays = _with_what_stays(inventory.images.keys() - doomed, inventory)
        oldest_first = sorted(inventory.images.values(), key=lambda image: (image.pushed, image.digest))
        return [_outcome(image, inventory, expired.get(image.digest), protected, stays) for image in oldest_first]

    def _protection(self, image: Image, declared: Declared, now: float) -> str:
        """Return why an image is never removed; empty if it may be."""
        if image.digest in declared.digests:
            return f"{declared.digests[image.digest]} declares it"
        if tags := sorted(image.tags & declared.tags.keys()):
            return f"{declared.tags[tags[0]]} declares its tag {tags[0]}"
        if tags := sorted(tag for tag in image.tags if any(fnmatchcase(tag, each) for each in declared.immutable)):
            return f"its tag {tags[0]} is immutable"
        if image.pushed > now - self.min_age_seconds:
            return f"it is younger than {_duration(self.min_age_seconds)}"
        return ""


def _with_parts(expired: Iterable[Digest], protected: Mapping[Digest, str], inventory: Inventory) -> frozenset[Digest]:
    """Return the expired images, and those parts of them that are parts of nothing else."""
    found = set(expired)
    waiting = list(found)
    while waiting:
        digest = waiting.pop()
        for part in (*inventory.children(digest), *inventory.attached.get(digest, ())):
            owners = inventory.owners(part)
            if part not in found and part not in protected and owners and owners <= found:
                found.add(part)
                waiting.append(part)
    return frozenset(found)


def _with_what_stays(kept: Iterable[Digest], inventory: Inventory) -> frozenset[Digest]:
    """Return the images that stay, and all that they need or are attached to."""
    found: set[Digest] = set()
    waiting = list(kept)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += [
                *inventory.children(digest),
                *inventory.attached.get(digest, ()),
                *inventory.subjects(digest),
            ]
    return frozenset(found)


def _outcome(
    image: Image,
    inventory: Inventory,
    rule: LifecycleRule | None,
    protected: Mapping[Digest, str],
    stays: AbstractSet[Digest],
) -> Outcome:
    goes = image.digest not in stays
    if goes:
        why = f"{rule}" if rule else _why_it_goes_along(image, inventory)
    elif image.digest in protected:
        why = protected[image.digest]
    elif rule is None and not inventory.owners(image.digest):
        why = "no rule expires it"
    else:
        why = _why_needed(image, inventory, stays)
    return Outcome(image=image, goes=goes, why=why, rule=rule)


def _why_it_goes_along(image: Image, inventory: Inventory) -> str:
    """Return what takes an image along that no rule expires."""
    if parents := inventory.parents.get(image.digest):
        return f"it goes with {_named(parents, inventory)}, which {_list(parents)} it"
    if subjects := inventory.subjects(image.digest):
        return f"it goes with {_named(subjects, inventory)}, which it is attached to"
    return "it is left over from an interrupted removal"


def _why_needed(image: Image, inventory: Inventory, stays: AbstractSet[Digest]) -> str:
    """Return what needs an image that no protection of its own keeps."""
    digest = image.digest
    if parents := inventory.parents.get(digest, frozenset()) & stays:
        return f"{_named(parents, inventory)} {_list(parents)} it"
    if subjects := inventory.subjects(digest) & stays:
        return f"it is attached to {_named(subjects, inventory)}"
    return f"what is attached to it stays: {_named(inventory.attached.get(digest, frozenset()) & stays, inventory)}"


def _list(indexes: Sized) -> str:
    return "lists" if len(indexes) == 1 else "list"


def _named(digests: Iterable[Digest], inventory: Inventory) -> str:
    """Return images by their first tags, because people do not know digests by heart."""
    names = sorted(_name(inventory.images[each]) for each in digests)
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return ", ".join(names[:_SHOWN_MAX]) + more


def _name(image: Image) -> str:
    tags = sorted(image.own_tags)
    return f"{tags[0]} ({image.digest.text[:_SHORT]})" if tags else f"{image.digest}"


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:g} hours"


def in_order_of_removal(doomed: Iterable[Digest], inventory: Inventory) -> Iterator[Sequence[Digest]]:
    """
    Yield the images to remove in groups, each to be removed completely before the next one.

    An image comes before its parts: an index before its children, which the
    service otherwise refuses to delete, and a subject before its signatures,
    so that an interruption never leaves an unsigned image.
    """
    left = set(doomed)
    while left:
        free = [digest for digest in left if not wholes(digest, inventory) & left]
        # With their tags, images can name each other in a circle. Indexes cannot list each other in one.
        group = sorted(free or (digest for digest in left if not inventory.parents.get(digest, frozenset()) & left))
        yield group
        left -= set(group)


def wholes(digest: Digest, inventory: Inventory) -> frozenset[Digest]:
    """Return what an image is a part of, by its place in the repository: indexes that list it, and its subjects."""
    return inventory.parents.get(digest, frozenset()) | inventory.subjects(digest)
