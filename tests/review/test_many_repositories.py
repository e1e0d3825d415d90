"""A review finds many repositories at once; if that fails, one at a time."""

from __future__ import annotations

import pytest

from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Effect, State
from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import build_image

from .apps import declare, write_app
from .conftest import World

NAMES = ("acme/one", "acme/two", "acme/three")
IMAGE = build_image({"etc/name": b"image"})


@pytest.fixture
def many(world: World) -> World:
    for name in NAMES:
        world.sandbox.client("ecr-public").create_repository(repositoryName=name)
        world.push(IMAGE, "1", repository=name)
    world.sandbox.requests.clear()
    return world


def review(world: World, *names: str) -> list[Effect]:
    resources = {
        f"Image{i}": {**declare(IMAGE.digest, "1", "2"), "RepositoryName": each} for i, each in enumerate(names)
    }
    return world.review(read_assembly(write_app(world.folder, resources)))


def test_one_request_finds_all_repositories(many: World) -> None:
    effects = review(many, *NAMES)

    assert [effect.state for effect in effects] == [State.CHANGED] * 3
    assert [effect.repository.partition("/")[2].partition("/")[2] for effect in effects] == list(NAMES)
    assert many.sandbox.requests.count("DescribeRepositories") == 1


def test_a_missing_repository_is_reported_and_the_others_are_found(many: World) -> None:
    effects = review(many, *NAMES, "acme/absent")

    assert [effect.state for effect in effects] == [State.CHANGED] * 3 + [State.REFUSED]
    assert "acme/absent" in str(effects[-1].problems)
    assert many.sandbox.requests.count("DescribeRepositories") == 1 + 4


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidParameterException", "ServerException"])
def test_finds_each_repository_if_they_cannot_be_found_together(many: World, code: str) -> None:
    """A role may be allowed to describe its own repositories only."""
    many.sandbox.faults.add(Fault(operation="DescribeRepositories", code=code, times=1))

    effects = review(many, *NAMES)

    assert [effect.state for effect in effects] == [State.CHANGED] * 3
