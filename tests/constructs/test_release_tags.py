"""The tags that a version stands for."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Environment, Stack
from aws_cdk import aws_ssm as ssm

from cdk_ecrpublic import ReleaseTags
from cdk_ecrpublic._assets.lambda_handler.oci import parse_tag


@pytest.mark.parametrize(
    ("version", "options", "tags"),
    [
        ("1.9.1", {}, ["1.9.1", "1.9", "1", "latest"]),
        ("10.20.30", {}, ["10.20.30", "10.20", "10", "latest"]),
        ("1.9.1", {"prefix": "v"}, ["v1.9.1", "v1.9", "v1", "latest"]),
        ("1.9.1", {"prefix": "agent-"}, ["agent-1.9.1", "agent-1.9", "agent-1", "latest"]),
        ("1.9.1", {"suffix": "-debug"}, ["1.9.1-debug", "1.9-debug", "1-debug", "debug"]),
        ("1.9.1", {"prefix": "v", "suffix": "-alpine3.19"}, ["v1.9.1-alpine3.19", "v1.9-alpine3.19", "v1-alpine3.19",
                                                             "alpine3.19"]),
        ("1.9.1", {"levels": ["minor", "patch"]}, ["1.9.1", "1.9"]),
        ("1.9.1", {"levels": ["major", "latest"]}, ["1", "latest"]),
        ("1.9.1", {"levels": []}, []),
    ],
)  # fmt: skip
def test_a_release_gets_the_tags_that_users_follow(version: str, options: Any, tags: list[str]) -> None:
    assert ReleaseTags.semver(version, **options) == tags


@pytest.mark.parametrize(
    ("version", "options", "tags"),
    [
        ("1.10.0-rc.1", {}, ["1.10.0-rc.1"]),
        ("1.10.0-0.3.7", {"prefix": "v"}, ["v1.10.0-0.3.7"]),
        ("1.10.0-rc.1", {"suffix": "-debug"}, ["1.10.0-rc.1-debug"]),
        ("1.10.0-rc.1", {"levels": ["minor", "major", "latest"]}, []),
    ],
)
def test_a_prerelease_gets_only_its_own_tag(version: str, options: Any, tags: list[str]) -> None:
    assert ReleaseTags.semver(version, **options) == tags


@pytest.mark.parametrize(
    ("version", "tags"),
    [("1.9.1+5", ["1.9.1_5"]), ("1.9.1+git.9f2c-1", ["1.9.1_git.9f2c-1"]), ("1.10.0-rc.1+5", ["1.10.0-rc.1_5"])],
)
def test_build_metadata_becomes_a_separate_tag(version: str, tags: list[str]) -> None:
    assert ReleaseTags.semver(version) == tags
    assert [parse_tag(tag) for tag in tags] == tags


def test_a_version_below_one_does_not_get_the_tag_zero() -> None:
    assert ReleaseTags.semver("0.4.2") == ["0.4.2", "0.4", "latest"]
    assert ReleaseTags.semver("0.0.1", levels=["major"]) == []


@pytest.mark.parametrize("version", ["", "1", "1.9", "1.9.1.2", "01.9.1", "1.9.1-", "1.9.1-01", "1.9.1+", "1.9.x", "a"])
def test_refuses_a_malformed_version_and_explains_the_grammar(version: str) -> None:
    with pytest.raises(ValueError, match=r"is not a semantic version; expected MAJOR\.MINOR\.PATCH") as failure:
        ReleaseTags.semver(version)

    assert f"ReleaseTags.semver: {version!r}" in str(failure.value)


@pytest.mark.parametrize(("version", "prefix"), [("v1.9.1", "v"), ("release-1.9.1-rc.1", "release-")])
def test_refuses_a_version_with_a_prefix_and_gives_a_remedy(version: str, prefix: str) -> None:
    with pytest.raises(ValueError, match=f"pass '{version.removeprefix(prefix)}' and prefix='{prefix}'"):
        ReleaseTags.semver(version)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": 1.9}, r"version: 1\.9 is a float; expected a version"),
        ({"version": None}, "version: None; expected a version"),
        ({"prefix": "-"}, "prefix: '-' is not allowed; expected letters"),
        ({"prefix": "v:"}, "prefix: 'v:' is not allowed"),
        ({"suffix": "debug"}, "suffix: 'debug' is not allowed; expected '-' and the name of a variant"),
        ({"suffix": "-"}, "suffix: '-' is not allowed"),
        ({"suffix": "-1"}, "suffix: '-1' is not allowed"),
        ({"levels": ["minr"]}, "levels: 'minr' is unknown; allowed: 'patch', 'minor', 'major', 'latest'"),
        ({"levels": "minor"}, "levels: 'minor' is a str; expected a list"),
        ({"suffix": "-" + "d" * 128}, "is not a tag; expected 1 to 128"),
    ],
)
def test_refuses_other_malformed_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReleaseTags.semver(**{"version": "1.9.1", **arguments})


def test_refuses_a_token_and_gives_a_remedy() -> None:
    parameter = CfnParameter(Stack(App(), "Agent"), "Version")

    with pytest.raises(ValueError, match=r"version: is a token.*self\.node\.get_context\('version'\)"):
        ReleaseTags.semver(parameter.value_as_string)


def test_accepts_the_dummy_value_of_a_version_that_the_cdk_looks_up() -> None:
    stack = Stack(App(), "Agent", env=Environment(account="123456789012", region="us-east-1"))
    version = ssm.StringParameter.value_from_lookup(stack, "/acme/version")

    assert ReleaseTags.semver(version) == [version]
