"""
After any deployments and manual pushes, a plan predicts the next deployment, and the result if it fails.

The deployment is done by the real function in a simulated stack. A model
of a few lines predicts the previous owners of the tags that are taken over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.review.app.assembly import Assembly, read_assembly
from cdk_ecrpublic.review.drift import Verdict, find_drift
from cdk_ecrpublic.review.effect import Action, Effect, Former, State
from cdk_ecrpublic.review.live.registry import Registry, ReviewClients
from cdk_ecrpublic.sandbox.images import build_image
from tests.support.course import Deployment

from .apps import Resources, declare, write_app
from .cloud import Cloud
from .conftest import HOME, World

VERSION = "org.opencontainers.image.version"
IMAGES = tuple(
    build_image({"etc/name": name}, labels={VERSION: version})
    for name, version in ((b"one", "1.2.0"), (b"two", "1.3.0"), (b"three", "2.0.0"))
)
TAGS = ("1", "1.2", "1.3", "latest")
NAMES = ("First", "Second", "Third")

OPTIONS: Mapping[str, Mapping[str, object]] = {
    "keep": {},
    "untag": {"OnTagRemoved": "Untag"},
    "destroy": {"OnDelete": "Delete"},
    "both": {"OnTagRemoved": "Untag", "OnDelete": "Delete"},
    "immutable": {"OnTagRemoved": "Untag", "OnDelete": "Delete", "ImmutableTags": ["1.3"]},
}

RULES: Mapping[str, Mapping[str, object]] = {
    "skip": {"ForwardOnly": {"Tags": ["*"]}},
    "skip and remove": {"ForwardOnly": {"Tags": ["*"]}, "OnTagRemoved": "Untag", "OnDelete": "Delete"},
    "refuse": {"ForwardOnly": {"Tags": ["*"], "OnOlder": "Refuse"}},
    "warn": {"ForwardOnly": {"Tags": ["latest"], "OnOlder": "Refuse"}, "WarnOnly": ["ForwardOnly"]},
}
"""With these, the version of an image is in its label."""

Pushed = Mapping[str, int]
"""Tags that a person puts: the number of the image, by tag."""


@dataclass(frozen=True)
class Declared:
    """An image of an app."""

    image: int | None
    tags: tuple[str, ...]
    options: str

    @property
    def removes(self) -> bool:
        return "OnTagRemoved" in {**OPTIONS, **RULES}[self.options] or self.options == "destroy"

    def properties(self, name: str, *, is_remembered: bool) -> dict[str, object]:
        digest = IMAGES[0 if self.image is None else self.image].digest
        moving = {"Source": {"Tag": "build"}} if self.image is None else {}
        state = {"StateParameterName": f"/cdk-ecrpublic/{HOME}/Agent.{name}"} if is_remembered or moving else {}
        return {**declare(digest, *self.tags), **{**OPTIONS, **RULES}[self.options], **moving, **state}


App = Mapping[str, Declared]


@st.composite
def apps(draw: st.DrawFn, options: Sequence[str] = ("keep", "keep", *OPTIONS)) -> App:
    """Generate up to three images without common tags."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    owners = draw(st.lists(st.sampled_from([*names, ""]), min_size=len(TAGS), max_size=len(TAGS)))
    return {
        name: Declared(
            image=draw(st.sampled_from([0, 1, 2, None])),
            tags=tuple(tag for tag, owner in zip(TAGS, owners, strict=True) if owner == name),
            options=draw(st.sampled_from(options)),
        )
        for name in names
    }


def resources(app: App) -> Resources:
    """Render an app as the constructs do: if one image removes anything, all have a parameter name."""
    is_remembered = any(each.removes for each in app.values())
    return {name: each.properties(name, is_remembered=is_remembered) for name, each in app.items()}


def push(world: World, pushed: Pushed) -> None:
    for tag, number in pushed.items():
        world.push(IMAGES[number], tag)


def begin(world: World, cloud: Cloud) -> None:
    world.reset()
    cloud.reset()
    for image in IMAGES:
        world.push(image)
    world.push(IMAGES[0], "build")


PUSHED = st.dictionaries(st.sampled_from((*TAGS, "build")), st.integers(0, 2), max_size=3)


ORDERS = st.none() | st.permutations(range(len(NAMES)))
"""In which a deployment that fails goes forward, and is rolled back the other way round; None: it succeeds."""


def former(tag: str, name: str, before: App, after: App) -> tuple[Former, str]:
    """Determine the previous owner of a tag from the two apps alone."""
    for other, declared in before.items():
        if tag in declared.tags and other != name:
            return (Former.DROPPED if other in after else Former.REMOVED), other
    return Former.NONE, ""


def taken_over(effects: list[Effect]) -> dict[tuple[str, str], tuple[Former, str]]:
    return {
        (effect.path, tag): (each.former, each.owner)
        for effect in effects
        for each in effect.taken_over
        for tag in each.tags
    }


def expected_takeovers(before: App, after: App, tags: Mapping[str, str]) -> dict[tuple[str, str], tuple[Former, str]]:
    changed = {name: each for name, each in after.items() if resources(before).get(name) != resources(after)[name]}
    return {
        (name, tag): former(tag, name, before, after)
        for name, each in changed.items()
        for tag in each.tags
        if tag in tags and tag not in (before[name].tags if name in before else ())
    }


@pytest.fixture
def clients(cloud: Cloud) -> ReviewClients:
    """The clients for all reviews, because creating them costs more than a review."""
    del cloud  # sets the environment variables for the clients
    return ReviewClients()


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=PUSHED, before=apps(), second=PUSHED, after=apps(), order=ORDERS)
def test_a_plan_predicts_the_deployment_and_its_rollback(
    world: World,
    cloud: Cloud,
    clients: ReviewClients,
    *,
    first: Pushed,
    before: App,
    second: Pushed,
    after: App,
    order: Sequence[int] | None,
) -> None:
    begin(world, cloud)
    push(world, first)
    if before:
        assume(cloud.can_deploy(write_app(world.folder, resources(before))))
    push(world, second)
    assembly = read_assembly(folder := write_app(world.folder, resources(after)))
    tags, images = world.tags(), world.images()

    effects = world.review(assembly, clients=clients)

    assert (world.tags(), world.images()) == (tags, images), "a review writes nothing"
    assume(not any(effect.state is State.REFUSED for effect in effects))
    assert taken_over(effects) == expected_takeovers(before, after, tags)
    if order is not None:
        check_failure(effects, world, cloud.fail(folder, order), tags, moved=second.keys())
    else:
        cloud.deploy(folder)
        check_success(effects, world, tags, images)
        check_verified(effects, assembly, clients)


def check_success(effects: list[Effect], world: World, tags: Mapping[str, str], images: set[str]) -> None:
    changes = [tag for effect in effects for tag in effect.tags if tag.action is not Action.UNCHANGED]
    after = {**tags, **{tag.tag: tag.after for tag in changes}}
    # Whether an update drops the last tag of an image depends on which other updates come before it.
    dropped = [tag.tag for effect in effects if effect.digest for tag in effect.tags if tag.action is Action.REMOVE]
    late = {tag: digest for tag, digest in world.tags().items() if tag in dropped and digest == tags[tag]}
    said = [re.match(r"tag (\S+) is removed after all if", note) for effect in effects for note in effect.notes]
    early = {found[1] for found in said if found and found[1] not in world.tags()}
    expected = {**{tag: digest for tag, digest in after.items() if digest is not None and tag not in early}, **late}
    # The plan warns of these, because CloudFormation decides what comes first.
    for tag, digest in contested(effects).items():
        assert world.tags().get(tag) in {None, digest, after.get(tag)}
        expected.pop(tag, None)
    assert {tag: at for tag, at in world.tags().items() if tag not in contested(effects)} == expected
    if not late:
        gone, deletes = images - world.images(), {digest for effect in effects for digest in effect.writes.deletes}
        # Whether an image is removed may depend on which of two resources CloudFormation deletes first.
        notes = [note for effect in effects for note in effect.notes]
        may_stay = {each for each in deletes if any(note.startswith(f"image {each} stays") for note in notes)}
        assert deletes - may_stay <= gone <= deletes


def contested(effects: list[Effect]) -> dict[str, str | None]:
    """Return the tags that may be put or gone according to the plan, each with the image."""
    said = [(effect, re.match(r"tag (\S+) may be put", text)) for effect in effects for text in effect.warnings]
    return {found[1]: effect.digest for effect, found in said if found}


def check_verified(effects: list[Effect], assembly: Assembly, clients: ReviewClients) -> None:
    findings = find_drift(assembly.images, Registry(clients=clients))
    # A deletion comes after all updates.
    gone = {tag.tag for effect in effects if not effect.digest for tag in effect.tags if tag.action is Action.REMOVE}
    left = [{tag.tag for tag in effect.tags if tag.action is Action.SKIP} for effect in effects]
    known = [
        (finding.verdict is Verdict.DIFFERENT, effect.state is State.DRIFTED or bool(tags & gone))
        for finding, effect, tags in zip(findings, effects, left, strict=False)
        if tags.isdisjoint(contested(effects))
    ]

    assert [found for found, _ in known] == [expected for _, expected in known]


def check_failure(
    effects: list[Effect],
    world: World,
    deployments: list[Deployment],
    tags: Mapping[str, str],
    *,
    moved: AbstractSet[str],
) -> None:
    (deployment,) = deployments
    problems = [problem for effect in effects for problem in effect.undo.problems]
    if any("its rollback will fail" in problem for problem in problems):
        assert deployment.status == "ROLLBACK_FAILED"
        return
    assert deployment.status == "ROLLBACK_COMPLETE"
    digests = {(effect.path, tag.tag): tag.after for effect in effects for tag in effect.tags}
    left = {tag: digests[effect.path, tag] for effect in effects for tag in effect.undo.stays}
    foretold = dict(map(foretold_places, problems))
    there, expected = world.tags(), {**tags, **left}
    elsewhere = {tag for tag in there.keys() | expected.keys() if there.get(tag) != expected.get(tag)}
    assert elsewhere <= foretold.keys() <= moved, "a plan lists each tag that is not restored, if a person moved it"
    assert {tag: places for tag, places in foretold.items() if there.get(tag, "no image") not in places} == {}
    # A tag may return to where it was moved by hand or to its declared image, depending on which of two resources
    # CloudFormation rolls back first.
    assert all(len(foretold[tag]) > 1 for tag in foretold.keys() - elsewhere), "a restored tag is not a problem"


def foretold_places(problem: str) -> tuple[str, list[str]]:
    """Read which tags will stay elsewhere according to the plan, and where they may be."""
    said = re.fullmatch(r"if this deployment fails, tag (\S+) will stay at (.+?)(: that depends on .+)?", problem)
    assert said is not None
    return said[1], said[2].split(" or at ")
