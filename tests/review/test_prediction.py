"""For any app and any registry, the plan predicts the result of the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aws_cdk import Stack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic import IImageSource, ImageSource, IPublicRepository, PublicImage, ReleaseRule
from cdk_ecrpublic.review.effect import Action, Effect, State
from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler.errors import ImageError
from tests.support.archives import NAME, layout_of, tar_of

from .conftest import UPSTREAM, World

PLATFORMS = ("linux/amd64", "linux/arm64")
RESIDENT = tuple(build_image({"etc/name": name}, platforms=PLATFORMS) for name in (b"one", b"two"))
SINGLE = build_image({"etc/name": b"single"}, platforms=("linux/amd64",))
FOREIGN = tuple(build_image({"etc/name": name, "etc/more": name}, platforms=PLATFORMS) for name in (b"far", b"away"))
ABSENT = "sha256:" + "0" * 64
TAGS = ("1", "1.2", "latest", "1.2.0", "2.0.0", "2.0.0-rc.1")


@dataclass(frozen=True)
class Case:
    """A declared image, and the previous content of the repository."""

    source: str
    tags: tuple[str, ...]
    options: Mapping[str, Any]
    before: Mapping[str, int]
    brought: bool

    def make(self, stack: Stack, repository: IPublicRepository, world: World) -> None:
        PublicImage(
            stack,
            "Release",
            repository=repository,
            source=source_of(self.source, world),
            tags=list(self.tags),
            **self.options,
        )


def source_of(kind: str, world: World) -> IImageSource:
    upstream = world.uri(UPSTREAM)
    match kind:
        case "archive":
            path = world.folder / "agent.tar"
            path.write_bytes(tar_of(layout_of((FOREIGN[1], {NAME: "agent:1"}))))
            return ImageSource.archive(str(path))
        case "file":
            path = world.folder / "index.json"
            path.write_bytes(RESIDENT[1].manifest)
            return ImageSource.manifest_file(str(path))
        case "index":
            return ImageSource.index(
                {
                    "linux/amd64": ImageSource.digest(SINGLE.digest),
                    "linux/arm64": ImageSource.registry(f"{upstream}@{FOREIGN[0].children[1].digest}"),
                }
            )
    made: dict[str, IImageSource] = {
        "digest": ImageSource.digest(RESIDENT[0].digest),
        "tag": ImageSource.tag("build"),
        "absent": ImageSource.digest(ABSENT),
        "copy": ImageSource.registry(f"{upstream}@{FOREIGN[0].digest}"),
        "copy of a tag": ImageSource.registry(f"{upstream}:v1"),
        "copy of nothing": ImageSource.registry(f"{upstream}:nothing"),
        "manifest": ImageSource.manifest(RESIDENT[0].manifest.decode()),
    }
    return made[kind]


KINDS = [
    "digest",
    "tag",
    "absent",
    "copy",
    "copy of a tag",
    "copy of nothing",
    "manifest",
    "file",
    "index",
    "archive",
]

RULES = [
    ReleaseRule.forward_only(),
    ReleaseRule.forward_only(on_older="refuse"),
    ReleaseRule.forward_only(["latest"], allow_unknown=True),
    ReleaseRule.forward_only(on_older="refuse", warn_only=True),
    ReleaseRule.required_platforms(["linux/s390x"], warn_only=True),
]

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "platforms": st.sampled_from([["linux/amd64"], ["linux/amd64", "linux/arm64"], ["linux/s390x"]]),
        "required_platforms": st.sampled_from([["linux/arm64"], ["linux/s390x"]]),
        "expected_digest": st.sampled_from([RESIDENT[0].digest, FOREIGN[0].digest]),
        "immutable_tags": st.sampled_from([["1*"], ["latest"]]),
        "include_referrers": st.sampled_from([True]),
        "rules": st.lists(st.sampled_from(RULES), unique_by=id, max_size=2),
    },
)

CASES = st.builds(
    Case,
    source=st.sampled_from(KINDS),
    tags=st.lists(st.sampled_from(TAGS), unique=True, max_size=3).map(tuple),
    options=OPTIONS,
    before=st.dictionaries(st.sampled_from(TAGS), st.integers(0, 1)),
    brought=st.booleans(),
)


RELEASES = st.builds(
    Case,
    source=st.sampled_from(["digest", "tag", "copy"]),
    tags=st.sampled_from([("1.2.0", "1", "latest"), ("1.2", "2.0.0", "latest"), ("2.0.0-rc.1", "latest"), ("latest",)]),
    options=st.fixed_dictionaries({"rules": st.sampled_from(RULES[:4]).map(lambda rule: [rule])}),
    # One image is 1.2.0 and the other 2.0.0, and the moving tags point to either of them.
    before=st.fixed_dictionaries(
        {"1.2.0": st.integers(0, 1), "2.0.0": st.integers(0, 1)},
        optional={tag: st.integers(0, 1) for tag in ("1", "1.2", "latest")},
    ),
    brought=st.just(value=False),
)
"""Releases of versions in a repository with other versions."""


def begin(world: World, case: Case) -> None:
    world.reset()
    for number, image in enumerate(RESIDENT):
        tags = [tag for tag, at in case.before.items() if at == number]
        world.push(image, *(["build"] if number == 1 else []), *tags)
    world.push(SINGLE)
    for image in FOREIGN:
        world.push(image, *(["v1"] if image is FOREIGN[1] else []), repository=UPSTREAM)
    if case.brought:
        world.push(FOREIGN[0].children[0])


@pytest.mark.usefixtures("cloud")
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=CASES | RELEASES | RELEASES)
def test_a_plan_predicts_the_deployment(world: World, case: Case) -> None:
    begin(world, case)
    try:
        assembly = world.read(lambda stack, repository: case.make(stack, repository, world))
    except Exception as error:  # noqa: BLE001 - jsii wraps whatever synthesis refuses
        assert "Hint" in str(error) or "Agent/Release" in str(error)  # noqa: PT017
        return
    (declared,) = assembly.images
    tags, images = world.tags(), world.images()
    world.sandbox.requests.clear()

    (effect,) = world.review(assembly)

    assert (world.tags(), world.images()) == (tags, images), "a review writes nothing"
    problem = ""
    try:
        outcome = world.deploy(declared, assembly)
    except ImageError as error:
        problem = error.explain()
    if effect.state is State.REFUSED:
        assert all(each in problem for each in effect.problems), problem
        assert world.tags() == tags
        return
    assert problem == ""
    assert outcome.data["ImageDigest"] == effect.digest
    skipped = sorted(tag.tag for tag in effect.tags if tag.action is Action.SKIP)
    assert outcome.data["SkippedTags"] == ",".join(skipped)
    check(effect, world, tags, images)


def check(effect: Effect, world: World, tags: Mapping[str, str], images: set[str]) -> None:
    assert world.tags() == {**tags, **{tag.tag: tag.after for tag in effect.tags}}
    for tag in effect.tags:
        assert tag.before == tags.get(tag.tag)
        if tag.action is Action.SKIP:
            assert tag.reason
            assert tag.before == tag.after != effect.digest
            continue
        assert tag.action is (
            Action.CREATE if tag.before is None else Action.UNCHANGED if tag.before == tag.after else Action.MOVE
        )
    assert world.sandbox.requests.count("CompleteUpload") == len(effect.writes.blobs)
    assert world.images() - images == {*effect.writes.manifests, *effect.writes.referrers} - images
    is_written = world.tags() != tags or world.images() != images
    assert (effect.state is State.CHANGED) == is_written
