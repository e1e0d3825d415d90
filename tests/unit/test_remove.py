"""Removal, also while other people and deployments act at the same time."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from lambda_handler.errors import AccessError
from lambda_handler.log import Log
from lambda_handler.oci import Digest, Manifest
from lambda_handler.publish.remove import Owners, Removal, Remover
from tests.support.memory import MemoryRepository

NONE_OWNS = Owners()
UNREADABLE = Owners(is_complete=False)
LEFT_BEHIND = "/cdk-ecrpublic/state/123456789012/acme--agent/00/eu-west-1.Agent.Left"


@dataclass
class Ledger:
    """
    Who owns which tags and images.

    Attributes:
        looks: The answers to successive queries; the last one is repeated.
        left: The leftover records, by image.
        forgotten: The names of the deleted records.
        failure: Raised instead of deleting a record.
        manifests: The manifests that are in use.
    """

    looks: list[Owners] = field(default_factory=lambda: [NONE_OWNS])
    images: Mapping[Digest, Owners] = field(default_factory=dict)
    left: dict[Digest, dict[str, Sequence[str]]] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    failure: Exception | None = None
    manifests: dict[Digest, Manifest] = field(default_factory=dict)

    def owners(self, digest: Digest, tags: Collection[str] = (), since: float = 0.0) -> Owners:  # noqa: ARG002 - the test says what is owned
        if digest in self.images:
            return self.images[digest]
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def pending_removals(self, digest: Digest) -> Mapping[str, Removal]:
        return {name: Removal(tags=tags, image=True) for name, tags in self.left.get(digest, {}).items()}

    def delete_record(self, name: str) -> None:
        if self.failure:
            raise self.failure
        self.forgotten.append(name)

    def hold(self, manifest: Manifest) -> None:
        self.manifests[manifest.digest] = manifest

    def held(self, digest: Digest) -> Manifest | None:
        return self.manifests.get(digest)

    def release(self, digest: Digest) -> None:
        self.manifests.pop(digest, None)


@dataclass
class World:
    """A repository with an image that has three tags, and the owners of everything."""

    repository: MemoryRepository = field(default_factory=MemoryRepository)
    ledger: Ledger = field(default_factory=Ledger)
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.image = self.push(b"image", "1", "2", "3")

    def push(self, config: bytes, *tags: str) -> Manifest:
        image = self.repository.add(config, b"layer")
        return self.tag(image, *tags)

    def index(self, *children: Manifest, tags: Sequence[str]) -> Manifest:
        return self.tag(self.repository.add_index(*children), *tags)

    def tag(self, image: Manifest, *tags: str) -> Manifest:
        self.repository.tags.update(dict.fromkeys(tags, image.digest))
        return image

    def remove(self, *tags: str, of: Manifest | None = None, **more: object) -> tuple[Mapping[str, str], Sequence[str]]:
        removal = replace(Removal(tags=tags, image=True), **more)  # type: ignore[arg-type]
        remover = Remover(self.repository, self.ledger, Log(stream=self.log))
        return remover.remove((of or self.image).digest, removal)

    def has(self, *images: Manifest) -> bool:
        return self.repository.images.keys() == {image.digest for image in images}

    def once(self, action: Callable[[], object]) -> Callable[[Digest, Sequence[str]], None]:
        """Run *action* after the first removal is sent and before it takes effect."""
        todo = [action]

        def act(*_: object) -> None:
            if todo:
                todo.pop()()

        return act


@pytest.fixture
def world() -> World:
    return World()


def test_removes_an_image_with_its_last_tag(world: World) -> None:
    assert world.remove("1", "2", "3") == ({}, ())

    assert world.repository.tags == {}
    assert world.has()


def test_keeps_an_image_that_has_another_tag(world: World) -> None:
    world.remove("1", "2")

    assert world.repository.tags == {"3": world.image.digest}
    assert world.has(world.image)


def test_keeps_an_image_without_tags_if_only_tags_are_to_be_removed(world: World) -> None:
    world.remove("1", "2", "3", image=False)

    assert world.repository.tags == {}
    assert world.has(world.image)


def test_keeps_the_last_tag_on_request(world: World) -> None:
    kept, waiting = world.remove("2", "1", "3", image=False, keeps_last=True)

    assert (kept, waiting) == ({"2": "it is the last tag of its image"}, ())
    assert world.repository.tags == {"2": world.image.digest}


def test_our_tags_are_not_the_last_if_the_image_has_a_tag_of_others(world: World) -> None:
    assert world.remove("1", "2", image=False, keeps_last=True) == ({}, ())

    assert world.repository.tags == {"3": world.image.digest}


def test_a_missing_image_needs_no_removal(world: World) -> None:
    gone = world.push(b"gone")
    del world.repository.images[gone.digest]

    assert world.remove("gone", of=gone) == ({}, ())
    assert world.repository.writes == []
    assert f"nothing to remove: {gone.digest} does not exist" in world.log.getvalue()


def test_leaves_a_tag_that_points_elsewhere(world: World) -> None:
    other = world.push(b"other", "2")

    kept, _ = world.remove("1", "2", "3")

    assert kept == {"2": f"it points to {other.digest}, which this declaration did not put there"}
    assert world.repository.tags == {"2": other.digest}


@pytest.mark.parametrize("more", [(), ("kept",)], ids=["its only tag", "one of two"])
def test_keeps_a_tag_that_moves_during_its_removal(world: World, more: tuple[str, ...]) -> None:
    other = world.push(b"other", *more)
    world.repository.before_removal = world.once(lambda: world.tag(other, "2"))

    world.remove("1", "2", "3")

    assert world.repository.tags == dict.fromkeys(("2", *more), other.digest)
    assert world.has(other)


def test_puts_back_a_tag_that_was_removed_from_another_image(world: World) -> None:
    """It is not documented that the service checks a pair of digest and tag, so the result is checked."""
    other = world.push(b"other", "kept")
    world.repository.is_conditional = False
    world.repository.before_removal = world.once(lambda: world.tag(other, "2"))

    world.remove("1", "2", "3")

    assert world.repository.tags == {"2": other.digest, "kept": other.digest}
    assert world.has(other)
    assert f"tag 2 was put back to {other.digest}: it was removed along with others" in world.log.getvalue()


def test_reports_another_image_that_was_removed_with_its_last_tag(world: World) -> None:
    """Its manifest is lost. Only the behavior of the service prevents that."""
    other = world.push(b"other")
    world.repository.is_conditional = False
    world.repository.before_removal = world.once(lambda: world.tag(other, "2"))

    world.remove("1", "2", "3")

    assert f"tag 2 cannot be put back to {other.digest}, which does not exist" in world.log.getvalue()


@dataclass
class Generous(MemoryRepository):
    """A repository that also removes the tag ``extra``."""

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[list[tuple[Digest, str]], frozenset[str]]:
        return super().remove_tags(digest, [*tags, "extra"])


@pytest.mark.parametrize("image", [True, False])
def test_puts_back_a_tag_that_was_removed_without_being_requested(*, image: bool) -> None:
    world = World(repository=Generous())
    world.tag(world.image, "extra")

    world.remove("1", "2", "3", image=image)

    assert world.repository.tags == {"extra": world.image.digest}
    assert f"tag extra was put back to {world.image.digest}: it was removed along with others" in world.log.getvalue()


def test_keeps_what_another_resource_owns(world: World) -> None:
    world.ledger.looks = [Owners(tags={"2": None}, digests=frozenset({world.image.digest}))]

    kept, _ = world.remove("1", "2", "3")

    assert kept == {"2": "another declaration has it"}
    assert world.repository.tags == {"2": world.image.digest}


def test_keeps_an_untagged_image_that_another_resource_owns(world: World) -> None:
    world.ledger.looks = [Owners(digests=frozenset({world.image.digest}))]

    assert world.remove("1", "2", "3") == ({}, ())

    assert world.repository.tags == {}
    assert world.has(world.image)


def test_removes_nothing_if_the_owners_cannot_be_read(world: World) -> None:
    world.ledger.looks = [UNREADABLE]

    kept, _ = world.remove("1", "2", "3")

    assert kept == dict.fromkeys(("1", "2", "3"), "its owners cannot be read")
    assert world.repository.tags.keys() == {"1", "2", "3"}


def test_keeps_an_untagged_image_if_the_owners_cannot_be_read(world: World) -> None:
    world.ledger.looks = [UNREADABLE]
    bare = world.push(b"bare")

    world.remove(of=bare)

    assert bare.digest in world.repository.images


@pytest.mark.parametrize("known", [True, False], ids=["of that image", "of an unknown image"])
def test_puts_back_a_tag_that_gets_an_owner_during_the_removal(world: World, *, known: bool) -> None:
    target = world.image.digest if known else None
    world.ledger.looks = [NONE_OWNS, Owners(tags={"2": target}, digests=frozenset({world.image.digest}))]

    world.remove("1", "2", "3")

    assert world.repository.tags == {"2": world.image.digest}
    assert world.has(world.image)
    assert "another declaration has taken it meanwhile" in world.log.getvalue()


def test_puts_a_tag_to_the_image_of_its_new_owner(world: World) -> None:
    other = world.push(b"other")
    world.ledger.looks = [NONE_OWNS, Owners(tags={"2": other.digest}, digests=frozenset({other.digest}))]

    world.remove("1", "2", "3")

    assert world.repository.tags == {"2": other.digest}


def test_leaves_a_tag_whose_new_image_does_not_exist_yet_to_its_owner(world: World) -> None:
    other = world.push(b"other")
    del world.repository.images[other.digest]
    world.ledger.looks = [NONE_OWNS, Owners(tags={"2": other.digest})]

    world.remove("1", "2", "3")

    assert world.repository.tags == {}
    assert f"tag 2 cannot be put back to {other.digest}, which does not exist" in world.log.getvalue()


def test_puts_back_an_image_that_gets_an_owner_during_the_removal_of_its_tags(world: World) -> None:
    world.ledger.looks = [NONE_OWNS, Owners(digests=frozenset({world.image.digest}))]

    world.remove("1", "2", "3")

    assert world.has(world.image)


def test_puts_back_an_untagged_image_that_gets_an_owner_during_its_removal(world: World) -> None:
    bare = world.push(b"bare")
    world.ledger.looks = [NONE_OWNS, NONE_OWNS, Owners(digests=frozenset({bare.digest}))]

    world.remove(of=bare)

    assert bare.digest in world.repository.images


@pytest.mark.parametrize("tags", [("new",), ("new", "newer")])
def test_puts_back_an_image_that_is_tagged_during_its_removal_with_all_tags(
    world: World, tags: tuple[str, ...]
) -> None:
    bare = world.push(b"bare")
    world.repository.before_removal = world.once(lambda: world.tag(bare, *tags))

    world.remove(of=bare)

    assert {tag: world.repository.tags.get(tag) for tag in tags} == dict.fromkeys(tags, bare.digest)
    assert "its image has just been tagged" in world.log.getvalue()


@dataclass
class Stale(MemoryRepository):
    """Shows removed tags for a while, and images without their new ones."""

    shown: frozenset[str] = frozenset({"1", "2", "3"})

    def tags_of(self, digests: object) -> dict[Digest, frozenset[str]]:
        return dict.fromkeys(super().tags_of(digests), self.shown)  # type: ignore[arg-type]


def test_a_stale_read_of_removed_tags_does_not_keep_an_image() -> None:
    world = World(repository=Stale())
    world.repository.tags = {}

    world.remove("1", "2", "3")

    assert world.has()


def test_an_image_keeps_its_other_tag_despite_a_stale_read() -> None:
    world = World(repository=Stale(shown=frozenset()))

    world.remove("1", "2")

    assert world.repository.tags == {"3": world.image.digest}
    assert world.has(world.image)


def test_postpones_the_removal_of_an_image_that_an_index_lists(world: World) -> None:
    index = world.index(world.image, tags=["whole"])

    assert world.remove("1", "2", "3") == ({"3": "its image is listed by an index"}, ("3",))

    assert world.repository.tags == {"whole": index.digest, "3": world.image.digest}


def test_removes_postponed_images_with_their_index(world: World) -> None:
    index = world.index(world.image, tags=["whole"])
    world.remove("1", "2", "3")
    world.ledger.left[world.image.digest] = {LEFT_BEHIND: ["3"]}

    world.remove("whole", of=index)

    assert world.repository.tags == {}
    assert world.has()
    assert world.ledger.forgotten == [LEFT_BEHIND]


def test_removes_a_postponed_image_with_the_last_of_its_indexes(world: World) -> None:
    one = world.index(world.image, tags=["one"])
    another = world.index(world.image, world.push(b"other"), tags=["another"])
    world.ledger.left[world.image.digest] = {LEFT_BEHIND: ["1", "2", "3"]}

    world.remove("one", of=one)
    assert "3" in world.repository.tags
    assert world.ledger.forgotten == []
    world.remove("another", of=another)

    assert world.has()
    assert world.ledger.forgotten == [LEFT_BEHIND]


def test_keeps_a_postponed_tag_that_another_resource_owns_now(world: World) -> None:
    index = world.index(world.image, tags=["whole"])
    world.ledger.left[world.image.digest] = {LEFT_BEHIND: ["1", "2", "3"]}
    world.ledger.images = {world.image.digest: Owners(tags={"2": None}, digests=frozenset({world.image.digest}))}

    world.remove("whole", of=index)

    assert world.repository.tags == {"2": world.image.digest}


def test_a_removal_succeeds_even_if_its_record_cannot_be_deleted(world: World) -> None:
    index = world.index(world.image, tags=["whole"])
    world.ledger.left[world.image.digest] = {LEFT_BEHIND: ["1", "2", "3"]}
    world.ledger.failure = AccessError("not allowed", operation="ssm:DeleteParameter")

    world.remove("whole", of=index)

    assert world.has()
    assert f"the record {LEFT_BEHIND} stays: ACCESS_DENIED: not allowed" in world.log.getvalue()


def test_removes_children_that_nothing_else_uses(world: World) -> None:
    tagged, owned, spared, shared, free = (world.push(bytes([number])) for number in range(5))
    world.tag(tagged, "mine")
    world.ledger.images = {owned.digest: Owners(digests=frozenset({owned.digest}))}
    whole = world.index(tagged, owned, spared, shared, free, tags=["whole"])
    another = world.index(shared, tags=["another"])

    world.remove("whole", of=whole, spared=frozenset({spared.digest}))

    assert world.has(world.image, another, tagged, owned, spared, shared)


def test_removes_nested_indexes_with_all_their_images(world: World) -> None:
    child = world.push(b"child")
    inner = world.index(child, tags=[])
    outer = world.index(inner, tags=["outer"])

    world.remove("outer", of=outer)

    assert world.has(world.image)


def test_does_not_read_the_children_of_a_kept_index(world: World) -> None:
    child = world.push(b"child")
    index = world.index(child, tags=["whole", "kept"])

    world.remove("whole", of=index)

    assert world.has(world.image, child, index)


def test_puts_back_a_child_that_is_tagged_during_its_removal(world: World) -> None:
    child = world.push(b"child")
    index = world.index(child, tags=["whole"])

    def tag_the_child(digest: Digest, _tags: Sequence[str]) -> None:
        if digest == child.digest:
            world.tag(child, "mine")

    world.repository.before_removal = tag_the_child

    world.remove("whole", of=index)

    assert world.repository.tags["mine"] == child.digest
    assert world.has(world.image, child)


def test_keeps_children_if_their_owners_cannot_be_read(world: World) -> None:
    child = world.push(b"child")
    index = world.index(child, tags=["whole"])
    world.ledger.images = {child.digest: UNREADABLE}

    world.remove("whole", of=index)

    assert world.has(world.image, child)
