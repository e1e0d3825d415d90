"""A deployment removes exactly what the plan lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from aws_cdk import RemovalPolicy, Stack
from click.testing import CliRunner, Result

from cdk_ecrpublic import ImageSource, IPublicRepository, OnTagRemoved, PublicImage, PublicRepository
from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review.app.assembly import read_assembly
from cdk_ecrpublic.review.effect import Action, Effect, Former, State
from cdk_ecrpublic.sandbox.images import build_image

from .apps import declare, write_app
from .cloud import Cloud
from .conftest import HOME, UPSTREAM, Body, World
from .test_rehearsed_lives import IMAGES, RULES

OLD = build_image({"etc/name": b"old"}, platforms=("linux/amd64", "linux/arm64"))
NEW = build_image({"etc/name": b"new"}, platforms=("linux/amd64", "linux/arm64"))

Part = Callable[[Stack, IPublicRepository], object]


@pytest.fixture
def images(world: World) -> World:
    world.push(OLD)
    world.push(NEW)
    return world


def image(name: str, digest: str, *tags: str, **options: object) -> Part:
    def declare(stack: Stack, repository: IPublicRepository) -> None:
        PublicImage(
            stack,
            name,
            repository=repository,
            source=ImageSource.digest(digest),
            tags=list(tags),
            **options,  # type: ignore[arg-type]
        )

    return declare


def preview(*tags: str) -> Part:
    return image("Preview", OLD.digest, *tags, removal_policy=RemovalPolicy.DESTROY)


def release(digest: str, *tags: str, **options: object) -> Part:
    return image("Release", digest, *tags, on_tag_removed=OnTagRemoved.UNTAG, **options)


def promoted(stack: Stack, repository: IPublicRepository) -> None:
    """Declare a preview of the image with the tag."""
    PublicImage(
        stack,
        "Preview",
        repository=repository,
        source=ImageSource.tag("build"),
        tags=["preview-7"],
        removal_policy=RemovalPolicy.DESTROY,
    )


def app(*parts: Part) -> Body:
    def body(stack: Stack, repository: IPublicRepository) -> None:
        for part in parts:
            part(stack, repository)

    return body


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def plan_and_deploy(world: World, cloud: Cloud, before: Body, after: Body) -> list[Effect]:
    """Deploy *before*, plan *after*, and compare the plan with the deployment."""
    cloud.deploy(world.synthesize(before))
    folder = world.synthesize(after)
    effects = world.review(read_assembly(folder))
    tags, there = world.tags(), world.images()

    cloud.deploy(folder)

    assert tags.keys() - world.tags().keys() == set(removed(effects))
    assert there - world.images() == {digest for effect in effects for digest in effect.writes.deletes}
    return effects


def removed(effects: list[Effect]) -> list[str]:
    return [tag.tag for effect in effects for tag in effect.tags if tag.action is Action.REMOVE]


def notes(effects: list[Effect]) -> list[str]:
    return [note for effect in effects for note in effect.notes]


def test_an_image_that_is_no_longer_declared_is_removed_with_its_tags(images: World, cloud: Cloud) -> None:
    after = app(release(NEW.digest, "1"))
    effects = plan_and_deploy(images, cloud, app(release(NEW.digest, "1"), preview("preview-7")), after)

    assert [effect.state for effect in effects] == [State.UNCHANGED, State.CHANGED]
    # Without the cdk command line, templates do not name the construct of a resource.
    assert "Preview" in effects[1].path
    assert removed(effects) == ["preview-7"]
    assert set(effects[1].writes.deletes) == {OLD.digest, *(child.digest for child in OLD.children)}


@pytest.mark.parametrize("tags", [(), ("1",)], ids=["by its digest", "by a tag"])
def test_keeps_what_another_resource_without_removal_still_declares(
    images: World, cloud: Cloud, tags: tuple[str, ...]
) -> None:
    neighbour = image("Neighbour", OLD.digest, *tags)

    effects = plan_and_deploy(images, cloud, app(neighbour, preview("preview-7")), app(neighbour))

    assert {child.digest for child in OLD.children} | {OLD.digest} <= images.images()
    assert removed(effects) == ["preview-7"]


@pytest.mark.parametrize(("neighbour", "stays"), [("Neighbour", False), ("Release", True)], ids=["before", "after"])
def test_says_if_the_order_of_deletions_decides(images: World, cloud: Cloud, neighbour: str, *, stays: bool) -> None:
    cloud.deploy(images.synthesize(app(image(neighbour, OLD.digest, "1"), preview("preview-7"))))
    images.push(NEW, "1")
    folder = images.synthesize(app())

    effects = images.review(read_assembly(folder))

    (note,) = notes(effects)
    why = "if CloudFormation deletes this resource before another one that declares it"
    assert note == f"image {OLD.digest} stays {why}"
    cloud.deploy(folder)
    assert (OLD.digest in images.images()) is stays


def test_every_output_format_shows_removals(images: World, cloud: Cloud) -> None:
    cloud.deploy(images.synthesize(app(preview("preview-7"))))
    folder = images.synthesize(app())

    text, markdown = run("plan", folder), run("plan", "--format", "markdown", folder)
    (data,) = json.loads(run("plan", "--format", "json", folder).stdout)["images"]

    assert text.exit_code == 0
    assert ["preview-7", "remove", OLD.digest[:19]] in [line.split() for line in text.stdout.splitlines()]
    assert "deletes 3 images at most" in text.stdout
    assert f"before {OLD.digest[:19]}: linux/amd64, linux/arm64" in text.stdout
    assert "1 image: 1 changed; 0 tags will move, 0 will be new, 1 will be removed" in text.stdout
    assert f"| `preview-7` | remove | `{OLD.digest[:19]}` |  |  |" in markdown.stdout
    assert data["tags"] == [{"tag": "preview-7", "action": "remove", "before": OLD.digest, "after": None}]
    assert data["writes"]["deletes"][0] == OLD.digest


def test_an_image_that_moves_to_another_repository_is_removed_from_the_first(images: World, cloud: Cloud) -> None:
    """CloudFormation replaces the resource, so the old one is deleted."""
    images.push(OLD, repository=UPSTREAM)

    def elsewhere(stack: Stack, repository: IPublicRepository) -> None:
        del repository
        preview("preview-7")(stack, PublicRepository.from_repository_name(stack, "Upstream", UPSTREAM))

    effects = plan_and_deploy(images, cloud, app(preview("preview-7")), elsewhere)

    assert [(effect.repository, [tag.action for tag in effect.tags]) for effect in effects] == [
        (images.uri(UPSTREAM), [Action.CREATE]),
        (images.uri(HOME), [Action.REMOVE]),
    ]
    assert images.tags(UPSTREAM) == {"preview-7": OLD.digest}


@pytest.mark.parametrize("what", ["kept by default", "kept by CloudFormation"])
def test_does_not_mention_what_is_kept(images: World, cloud: Cloud, what: str) -> None:
    def before(stack: Stack, repository: IPublicRepository) -> None:
        destroys = what == "kept by CloudFormation"
        policy = RemovalPolicy.DESTROY if destroys else RemovalPolicy.RETAIN
        declared = PublicImage(
            stack,
            "Preview",
            repository=repository,
            source=ImageSource.digest(OLD.digest),
            tags=["preview-7"],
            removal_policy=policy,
        )
        if destroys:
            resource = declared.node.default_child
            assert resource is not None
            resource.apply_removal_policy(RemovalPolicy.RETAIN)  # type: ignore[attr-defined]

    cloud.deploy(images.synthesize(before))

    assert images.review(images.read(app())) == []


def test_keeps_an_image_that_another_resource_declares_without_its_last_tag(images: World, cloud: Cloud) -> None:
    by_digest = image("Neighbour", OLD.digest, on_tag_removed=OnTagRemoved.UNTAG)
    effects = plan_and_deploy(images, cloud, app(preview("preview-7"), by_digest), app(by_digest))

    assert removed(effects) == ["preview-7"]
    assert OLD.digest in images.images()


def test_a_tag_that_was_moved_by_hand_is_not_removed(images: World, cloud: Cloud) -> None:
    cloud.deploy(images.synthesize(app(preview("preview-7"))))
    images.push(NEW, "preview-7")

    effects = images.review(images.read(app()))

    assert removed(effects) == []
    assert f"points to {NEW.digest}, which this declaration did not put there" in notes(effects)[0]


def test_removes_dropped_tags(images: World, cloud: Cloud) -> None:
    effects = plan_and_deploy(images, cloud, app(release(OLD.digest, "1", "2", "3")), app(release(OLD.digest, "1")))

    assert removed(effects) == ["2", "3"]
    assert notes(effects) == []


def test_keeps_the_last_tag_of_an_image(images: World, cloud: Cloud) -> None:
    effects = plan_and_deploy(
        images, cloud, app(release(OLD.digest, "1", "old", "older")), app(release(NEW.digest, "1"))
    )

    assert removed(effects) == ["older"]
    assert notes(effects) == ["tag old stays: it is the last tag of its image"]


def test_keeps_an_immutable_tag(images: World, cloud: Cloud) -> None:
    before = app(release(OLD.digest, "1.0", "latest", immutable_tags=["1.*"]))
    effects = plan_and_deploy(images, cloud, before, app(release(OLD.digest, "latest", immutable_tags=["1.*"])))

    assert removed(effects) == []
    assert notes(effects) == ["tag 1.0 stays: it is immutable"]


@pytest.mark.parametrize("digest", [OLD.digest, NEW.digest], ids=["same image", "another image"])
def test_counts_a_tag_that_moves_to_another_declaration_once(images: World, cloud: Cloud, digest: str) -> None:
    before = app(release(OLD.digest, "1", "moves"), image("Other", digest, "2"))
    after = app(release(OLD.digest, "1"), image("Other", digest, "2", "moves"))

    effects = plan_and_deploy(images, cloud, before, after)

    assert removed(effects) == []
    # A tag that moves is shown in the plan of the declaration that takes it.
    assert notes(effects) == (["tag moves stays: another declaration has it"] if digest == OLD.digest else [])
    assert [(each.tags, each.former) for effect in effects for each in effect.taken_over] == [
        (("moves",), Former.DROPPED)
    ]


def test_keeps_what_another_app_declares_if_its_records_can_be_read(images: World, cloud: Cloud) -> None:
    """The function reads all other declarations of the repository from Systems Manager."""
    cloud.deploy(images.synthesize(app(preview("preview-7"))))
    cloud.plane.parameters[f"/cdk-ecrpublic/{HOME}/Elsewhere.Release"] = json.dumps(
        {"resource": "ecr-public:1/acme/agent:Release", "tags": ["preview-7"], "digests": {}, "before": None}
    )

    assert notes(images.review(images.read(app()))) == ["tag preview-7 stays: another declaration has it"]


def test_removes_a_mutable_source_as_it_was_deployed(images: World, cloud: Cloud) -> None:
    images.push(OLD, "build")

    effects = plan_and_deploy(images, cloud, promoted, app())

    assert removed(effects) == ["preview-7"]


def test_reports_if_the_deployed_image_of_a_source_cannot_be_read(images: World, cloud: Cloud) -> None:
    images.push(OLD, "build")

    cloud.deploy(images.synthesize(promoted))
    cloud.denied = {"GetParameter", "GetParametersByPath"}

    (effect,) = images.review(images.read(app()))

    assert effect.state is State.UNSEEN
    assert "ssm:GetParameter" in effect.problems[0]


def test_without_credentials_removals_are_unknown(without_credentials: World, cloud: Cloud) -> None:
    world = without_credentials
    home = world.home
    world.push(OLD, "preview-7")
    cloud.hold(world.synthesize(app(preview("preview-7"))))

    assert world.review(world.read(app()), home) == []


def test_warns_of_a_tag_that_one_image_leaves_and_another_one_removes(world: World, cloud: Cloud) -> None:
    """If the removal comes first, the tag is new to the other image."""
    older, newer = IMAGES[0], IMAGES[2]
    for image in (older, newer):
        world.push(image)
    removing, moving = {"OnTagRemoved": "Untag"}, RULES["skip"]
    cloud.deploy(write_app(world.folder, {"Newer": {**declare(newer.digest, "2", "latest"), **removing}}))
    after = {
        "Newer": {**declare(newer.digest, "2"), **removing},
        "Older": {**declare(older.digest, "latest"), **moving},
    }

    effects = world.review(read_assembly(write_app(world.folder, after)))

    (warning,) = [text for effect in effects for text in effect.warnings]
    assert warning.startswith("tag latest may be put to this image, or be gone: Newer removes tag latest")


def test_says_if_a_tag_is_the_last_one_of_its_image_only_after_another_image_has_moved(
    world: World, cloud: Cloud
) -> None:
    """Whether the other image moves first is up to CloudFormation."""
    old, new = IMAGES[0], IMAGES[1]
    for image in (old, new):
        world.push(image)
    removing = {"OnTagRemoved": "Untag"}
    cloud.deploy(
        write_app(world.folder, {"A": {**declare(old.digest, "1"), **removing}, "B": declare(old.digest, "latest")})
    )
    after = {"A": {**declare(new.digest, "2"), **removing}, "B": declare(new.digest, "latest")}

    effects = world.review(read_assembly(folder := write_app(world.folder, after)))

    (notes,) = [effect.notes for effect in effects if effect.notes]
    assert notes[0] == "tag 1 stays: it is the last tag of its image"
    assert notes[1].startswith("tag 1 is removed after all if CloudFormation updates this image before the others")
    cloud.deploy(folder)
    assert world.tags() == dict.fromkeys(("2", "latest"), new.digest)


@pytest.mark.parametrize("rule", [RULES["refuse"], {"ImmutableTags": ["latest"]}], ids=["refuse", "immutable"])
def test_warns_of_a_tag_that_one_image_may_not_move_and_another_one_removes(
    world: World, cloud: Cloud, rule: Mapping[str, object]
) -> None:
    """If the removal comes first, nothing is refused."""
    older, newer = IMAGES[0], IMAGES[2]
    for image in (older, newer):
        world.push(image)
    removing = {"OnTagRemoved": "Untag"}
    cloud.deploy(write_app(world.folder, {"Newer": {**declare(newer.digest, "2", "latest"), **removing}}))
    after = {"Newer": {**declare(newer.digest, "2"), **removing}, "Older": {**declare(older.digest, "latest"), **rule}}

    effects = world.review(read_assembly(folder := write_app(world.folder, after)))

    (refused,) = [effect for effect in effects if effect.state is State.REFUSED]
    (warning,) = refused.warnings
    assert warning.startswith("this image may be refused, or not: Newer removes tag latest in the same deployment")
    assert cloud.can_deploy(folder)
