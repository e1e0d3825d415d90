"""Rules in ``plan`` and ``verify``: skipped tags, warnings, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from click.testing import CliRunner, Result

from cdk_ecrpublic import ImageSource, IPublicRepository, PublicImage, ReleaseRule, ReleaseTags
from cdk_ecrpublic.cli.commands import cli
from cdk_ecrpublic.review import fullness
from cdk_ecrpublic.sandbox.images import build_image

from .cloud import Cloud
from .conftest import HOME, UPSTREAM, Body, World

ONE = build_image({"etc/version": b"1.9.1"}, platforms=("linux/amd64",))
TWO = build_image({"etc/version": b"2.0.0"}, platforms=("linux/amd64",))
HIGHER = "it is at 2.0.0, which is higher than 1.9.1"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def release(*rules: Any, source: Any = None, tags: Any = None) -> Body:
    """Declare version 1.9.1."""

    def body(stack: Stack, repository: IPublicRepository) -> None:
        PublicImage(
            stack,
            "Release",
            repository=repository,
            source=source or ImageSource.digest(ONE.digest),
            tags=tags or ReleaseTags.semver("1.9.1"),
            rules=rules,
        )

    return body


@pytest.fixture
def ahead(world: World) -> World:
    """``latest`` is at 2.0.0."""
    world.push(ONE)
    world.push(TWO, *ReleaseTags.semver("2.0.0"))
    return world


def test_a_plan_names_the_skipped_tag_and_the_reason(ahead: World) -> None:
    folder = ahead.synthesize(release(ReleaseRule.forward_only()))

    text, markdown = run("plan", folder), run("plan", "--format", "markdown", folder)
    (image,) = json.loads(run("plan", "--format", "json", folder).stdout)["images"]

    assert f"  latest  skip    {TWO.digest[:19]}  {HIGHER}" in text.stdout.splitlines()
    assert "1 image: 1 changed; 0 tags will move, 3 will be new; 1 tag left in place by rules" in text.stdout
    assert f"| `latest` | skip | `{TWO.digest[:19]}` |  |  |" in markdown.stdout
    assert "- tag latest stays where it is: it is at 2.0.0, which is higher than 1.9.1" in markdown.stdout
    assert image["state"] == "changed"
    assert image["tags"][-1] == {
        "tag": "latest",
        "action": "skip",
        "before": TWO.digest,
        "after": TWO.digest,
        "reason": HIGHER,
    }


def test_lists_all_refusals_together(ahead: World) -> None:
    folder = ahead.synthesize(
        release(
            ReleaseRule.forward_only(on_older="refuse"),
            ReleaseRule.required_platforms(["linux/s390x"]),
            ReleaseRule.immutable_tags(["latest"]),
        )
    )

    result = run("plan", folder)
    (image,) = json.loads(run("plan", "--format", "json", folder).stdout)["images"]

    assert result.exit_code != 0
    assert len(image["problems"]) == 3
    for said in ("lacks linux/s390x", "tag 'latest' is immutable", f"tag 'latest' may only move forward: {HIGHER}"):
        assert said in result.stdout


def test_a_warn_only_rule_is_a_warning_of_the_plan(ahead: World) -> None:
    folder = ahead.synthesize(
        release(
            ReleaseRule.forward_only(on_older="refuse", warn_only=True),
            ReleaseRule.required_platforms(["linux/s390x"], warn_only=True),
        )
    )

    text, markdown = run("plan", folder), run("plan", "--format", "markdown", folder)
    (image,) = json.loads(run("plan", "--format", "json", folder).stdout)["images"]

    assert text.exit_code == 0
    assert f"  warning: tag 'latest' may only move forward: {HIGHER}; release without this tag" in text.stdout
    assert "  warning: the image lacks linux/s390x" in text.stdout
    assert "; 2 warnings" in text.stdout
    assert "- ⚠️ **warning**: the image lacks linux/s390x" in markdown.stdout
    assert (len(image["warnings"]), image["notes"], image["problems"]) == (2, [], [])
    assert image["tags"][-1]["action"] == "move"


RULES = pytest.mark.parametrize("rule", [ReleaseRule.forward_only(), ReleaseRule.forward_only(on_older="refuse")])


@RULES
def test_a_tag_that_is_ahead_is_not_drift(world: World, cloud: Cloud, rule: Any) -> None:
    """Another resource has released 2.0.0, before or after."""
    world.push(ONE)
    cloud.deploy(folder := world.synthesize(release(rule)))
    world.push(TWO, *ReleaseTags.semver("2.0.0"))

    verified, planned = run("verify", folder), run("plan", folder)

    assert (verified.exit_code, planned.exit_code) == (0, 0)
    assert f"tag latest stays where it is: {HIGHER}" in verified.stdout
    assert "1 image: 1 unchanged; 1 tag left in place by rules" in planned.stdout
    assert HIGHER in planned.stdout


@RULES
def test_a_tag_that_is_behind_is_drift(world: World, cloud: Cloud, rule: Any) -> None:
    world.push(ONE)
    cloud.deploy(folder := world.synthesize(release(rule)))
    world.push(build_image({"etc/version": b"1.8.0"}), "1.8.0", "latest")

    verified, planned = run("verify", folder), run("plan", folder)

    assert verified.exit_code == 1
    assert "but should point to" in verified.stdout
    assert "1 image: 1 drifted" in planned.stdout


def test_a_plan_for_a_failed_deployment_gives_the_tag_back(ahead: World, cloud: Cloud) -> None:
    """The plan simulates the rollback, and reports no tag that will stay elsewhere."""
    cloud.deploy(ahead.synthesize(release(ReleaseRule.forward_only())))
    three = ahead.push(build_image({"etc/version": b"2.0.1"}))
    source = ImageSource.digest(three.digest)
    folder = ahead.synthesize(release(ReleaseRule.forward_only(), source=source, tags=["2.0.1", "latest"]))

    planned = run("plan", folder)
    cloud.fail(folder)

    assert "tags that moved go back; 1 new tag stays: 2.0.1" in planned.stdout
    assert ahead.tags()["latest"] == TWO.digest


def test_without_credentials_a_plan_does_not_guess_versions(ahead: World, without_credentials: World) -> None:
    folder = ahead.synthesize(release(ReleaseRule.forward_only()))

    result = run("plan", "--registry", without_credentials.home, folder)

    assert "only the owner of" in result.stdout
    assert "1 image: 1 unseen" in result.stdout


def test_a_plan_warns_about_a_nearly_full_repository(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.push(TWO)
    world.push(build_image({"etc/version": b"1.8.0"}))
    world.push(ONE, "v1", repository=UPSTREAM)
    monkeypatch.setattr(fullness, "REPOSITORY_IMAGES_MAX", 3)
    source = ImageSource.registry(f"{world.uri(UPSTREAM)}@{ONE.digest}")

    result = run("plan", world.synthesize(release(source=source)))

    assert result.exit_code == 0
    assert (
        "warning: the repository has 2 images, counted with ecr-public:DescribeImages, and gets 1 more" in result.stdout
    )
    monkeypatch.setattr(fullness, "REPOSITORY_IMAGES_MAX", 1000)
    assert "warning" not in run("plan", world.synthesize(release(source=source))).stdout
    assert "warning" not in run("plan", world.synthesize(release(source=ImageSource.digest(TWO.digest)))).stdout


def test_a_plan_refuses_too_many_tags(world: World) -> None:
    world.push(TWO)
    for number in range(999):
        world.push(TWO, f"t{number}")

    result = run("plan", world.synthesize(release(source=ImageSource.digest(TWO.digest), tags=["t1", "a", "b"])))

    assert "has 999 tags, and would have 1001; ECR Public allows 1,000 for one image" in result.stdout
    assert world.tags(HOME).keys() == {f"t{number}" for number in range(999)}
