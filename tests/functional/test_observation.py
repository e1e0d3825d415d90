"""How a repository is looked at before anything is planned: with few requests, however many tags are new."""

from __future__ import annotations

import json

import pytest

from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.ecr_public.repository import ASKERS, PAGE_IMAGES
from tests.protocol.conftest import Registry, declare
from tests.support.stack import Stack


def put_more(registry: Registry, image: Image, count: int) -> None:
    """Put images without tags: the same one, with another annotation each."""
    client = registry.sandbox.client("ecr-public")
    for number in range(count):
        manifest = {**json.loads(image.manifest), "annotations": {"number": str(number)}}
        client.put_image(repositoryName="acme/agent", imageManifest=json.dumps(manifest))


def tags(count: int) -> list[str]:
    return [f"1.{number}" for number in range(count)]


def moves(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what the plan in the log says."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next(line["moves"] for line in lines if "moves" in line)


@pytest.mark.parametrize(
    ("there", "new", "requests"),
    [
        pytest.param(20, 0, 1, id="all there: one request"),
        pytest.param(0, 1, 1, id="one new tag: one request"),
        pytest.param(1, ASKERS - 1, 1 + ASKERS, id="few, one of them new: each by itself"),
        pytest.param(1, 19, 2, id="many, most of them new: the images are listed"),
        pytest.param(0, 150, 4, id="as many for each hundred tags"),
    ],
)
def test_new_tags_are_looked_for_with_few_requests(
    stack: Stack, registry: Registry, capsys: pytest.CaptureFixture[str], there: int, new: int, requests: int
) -> None:
    old, image = registry.push("old", *tags(there)), registry.push("new")
    registry.sandbox.requests.clear()

    stack.deploy(declare(image, *tags(there + new)))

    assert registry.sandbox.requests.count("DescribeImages") == requests
    assert registry.tags() == dict.fromkeys(tags(there + new), image.digest)
    moved, made = tags(there + new)[:there], tags(there + new)[there:]
    assert moves(capsys) == [*(f"{tag} from {old.digest}" for tag in moved), *(f"{tag} (new)" for tag in made)]


def test_a_repository_of_more_images_than_are_listed_at_once_is_asked_for_each_tag(
    stack: Stack, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    old, image = registry.push("old", "1.0"), registry.push("new")
    put_more(registry, image, PAGE_IMAGES)
    registry.sandbox.requests.clear()

    stack.deploy(declare(image, *tags(ASKERS + 1)))

    assert registry.sandbox.requests.count("DescribeImages") == 2 + ASKERS + 1
    assert registry.tags() == dict.fromkeys(tags(ASKERS + 1), image.digest)
    assert moves(capsys) == [f"1.0 from {old.digest}", *(f"{tag} (new)" for tag in tags(ASKERS + 1)[1:])]
