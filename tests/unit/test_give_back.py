"""Tags that a deployment took over go back to where they pointed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from lambda_handler.log import Log
from lambda_handler.oci import Digest, Manifest
from lambda_handler.publish.give_back import give_back
from tests.support.memory import MemoryRepository


@dataclass
class World:
    """A repository with the images *before*, *ours* and *third*."""

    repository: MemoryRepository
    before: Manifest
    ours: Manifest
    third: Manifest

    def give_back(self, *tags: str, to: Mapping[str, Digest] | None = None, ours: Digest | None = None) -> str:
        """Give tags back, and return the log."""
        log = io.StringIO()
        found = to or dict.fromkeys(tags, self.before.digest)
        list(give_back(found, {ours or self.ours.digest}, self.repository, Log(stream=log)))
        return log.getvalue()


@pytest.fixture
def world() -> World:
    repository = MemoryRepository()
    return World(repository, *(repository.add(name, b"layer") for name in (b"before", b"ours", b"third")))


def test_gives_back_a_tag_that_points_to_our_image(world: World) -> None:
    world.repository.tags.update(dict.fromkeys(("1", "2"), world.ours.digest))

    said = world.give_back("1", "2")

    assert world.repository.tags == dict.fromkeys(("1", "2"), world.before.digest)
    assert f"tag 1 was given back to {world.before.digest}" in said


def test_puts_a_tag_even_if_it_seems_to_be_back(world: World) -> None:
    """A stale read shows the tag where it was before the deployment."""
    world.repository.tags["1"] = world.before.digest

    world.give_back("1")

    assert world.repository.writes == ["tag 1"]


def test_each_tag_goes_back_to_its_own_image(world: World) -> None:
    world.repository.tags.update(dict.fromkeys(("1", "2"), world.ours.digest))

    world.give_back(to={"1": world.before.digest, "2": world.third.digest})

    assert world.repository.tags == {"1": world.before.digest, "2": world.third.digest}


def test_a_tag_that_was_moved_later_stays(world: World) -> None:
    world.repository.tags["1"] = world.third.digest

    said = world.give_back("1")

    assert world.repository.tags == {"1": world.third.digest}
    assert f"tag 1 is not given back to {world.before.digest}: by now it points to {world.third.digest}" in said


def test_a_tag_that_was_removed_later_is_not_restored(world: World) -> None:
    said = world.give_back("1")

    assert world.repository.tags == {}
    assert "by now it does not exist" in said


def test_a_deleted_image_is_reported_and_the_other_tags_go_back(world: World) -> None:
    world.repository.tags.update(dict.fromkeys(("1", "2"), world.ours.digest))
    gone = world.repository.images.pop(world.third.digest).digest

    said = world.give_back(to={"1": gone, "2": world.before.digest})

    assert world.repository.tags == {"1": world.ours.digest, "2": world.before.digest}
    assert f"tag 1 cannot be given back: its previous image {gone} no longer exists" in said


def test_if_our_image_is_unknown_only_puts_tags_that_seem_to_be_back(world: World) -> None:
    world.repository.tags.update({"1": world.before.digest, "2": world.third.digest})
    log = io.StringIO()

    list(give_back(dict.fromkeys(("1", "2"), world.before.digest), frozenset(), world.repository, Log(stream=log)))

    assert world.repository.tags == {"1": world.before.digest, "2": world.third.digest}
