"""The verdicts of rules on a release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from lambda_handler.oci import Digest, Platform
from lambda_handler.publish.content import Content, content_in_destination
from lambda_handler.publish.ports import SourcePorts
from lambda_handler.publish.rule import Release, Rule, WarnOnly, is_protected, judge
from lambda_handler.rules.expected_digest import ExpectedDigest
from lambda_handler.rules.immutable_tags import ImmutableTags
from lambda_handler.rules.required_platforms import RequiredPlatforms
from tests.support.memory import MemoryRepository

OLD = Digest.of(b"old")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@dataclass(frozen=True, slots=True)
class Scene:
    """A release of an image that is in the destination."""

    release: Release

    def violations(self, *rules: Rule) -> tuple[str, ...]:
        return judge(rules, self.release).violations


@pytest.fixture
def scene() -> Scene:
    origin = MemoryRepository()
    content = content_in_destination(origin.add(b"config", b"layer"), origin, [])
    return Scene(_release(content))


def _release(content: Content) -> Release:
    return Release(content=content, tags=(), found={}, ports=cast("SourcePorts", None))


def test_allows_only_the_expected_digest(scene: Scene) -> None:
    digest = scene.release.digest

    assert scene.violations(ExpectedDigest(digest)) == ()
    assert scene.violations(ExpectedDigest(OLD)) == (
        f"the source has the digest {digest}, but ImageDigest declares {OLD}",
    )


def test_reports_all_violations_together(scene: Scene) -> None:
    release = replace(scene.release, content=replace(scene.release.content, looked_up=frozenset({AMD64})))

    violations = Scene(release).violations(ExpectedDigest(OLD), RequiredPlatforms((AMD64, ARM64)))

    assert len(violations) == 2
    assert "lacks linux/arm64 of the RequiredPlatforms; its platforms are: linux/amd64" in violations[1]


def test_an_immutable_tag_must_not_move_and_is_put_first(scene: Scene) -> None:
    rule = ImmutableTags(("1.*",))
    tagged = replace(scene.release, tags=("latest", "1.4"))

    assert not Scene(replace(tagged, found={"latest": OLD})).violations(rule)
    assert not Scene(replace(tagged, found={"1.4": scene.release.digest})).violations(rule)
    (violation,) = Scene(replace(tagged, found={"1.4": OLD})).violations(rule)
    assert f"tag '1.4' is immutable: it points to {OLD} and must not move" in violation
    assert [tag for tag in tagged.tags if is_protected(tag, [rule])] == ["1.4"]


def test_only_the_expected_digest_rule_can_stop_an_undo(scene: Scene) -> None:
    release = replace(scene.release, tags=("1.4",), found={"1.4": OLD}, is_undo=True)
    rules = (ImmutableTags(("1.*",)), RequiredPlatforms((ARM64,)))

    assert judge(rules, release).violations == ()
    assert len(judge((*rules, ExpectedDigest(OLD)), release).violations) == 1


def test_a_warn_only_rule_has_the_same_message(scene: Scene) -> None:
    release = replace(scene.release, tags=("1.4",), found={"1.4": OLD})
    rule = ImmutableTags(("1.*",))

    verdict = judge([WarnOnly(rule)], release)

    assert verdict.violations == ()
    assert verdict.warnings == judge([rule], release).violations != ()
    assert is_protected("1.4", [WarnOnly(rule)])
