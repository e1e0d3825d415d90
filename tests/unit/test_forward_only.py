"""The versions of a tag and of a release, and which of the two is higher."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from lambda_handler.errors import InvalidPropertiesError, NotFoundError
from lambda_handler.oci import Digest, Manifest
from lambda_handler.publish.content import Content, content_in_destination
from lambda_handler.publish.ports import SourcePorts
from lambda_handler.publish.rule import Release, WarnOnly, judge
from lambda_handler.rules.forward_only import VERSION, ForwardOnly
from lambda_handler.rules.immutable_tags import ImmutableTags
from lambda_handler.values import Value
from tests.support.memory import MemoryRepository, image_of

SKIP = ForwardOnly(patterns=("*",))
REFUSE = replace(SKIP, refuses=True)

CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass
class Ports:
    destination: MemoryRepository


@dataclass
class Shelf:
    """A repository with images of several versions."""

    repository: MemoryRepository = field(default_factory=MemoryRepository)

    def put(self, name: str, *tags: str) -> Digest:
        digest = self.repository.add(b"config", name.encode()).digest
        self.repository.tags |= dict.fromkeys(tags, digest)
        return digest

    def labelled(self, version: object, *tags: str, annotated: bool = False) -> Digest:
        """Add an image that states its version in its annotations or in a label of its config."""
        names = {VERSION: version}
        config = json.dumps({"config": {"Labels": {} if annotated else names}}).encode()
        data = json.loads(image_of(config, b"layer").content)
        data["config"]["mediaType"] = CONFIG
        manifest = Manifest.parse(json.dumps({**data, **({"annotations": names} if annotated else {})}).encode())
        self.repository.images[manifest.digest] = manifest
        self.repository.blobs |= {Digest.of(blob): blob for blob in (config, b"layer")}
        self.repository.tags |= dict.fromkeys(tags, manifest.digest)
        return manifest.digest

    def release(self, digest: Digest, *tags: str) -> Release:
        repository = self.repository
        content: Content = content_in_destination(repository.manifest(digest), repository, ())
        ports = cast("SourcePorts", Ports(repository))
        return Release(content=content, tags=tags, found=repository.resolve(tags), ports=ports)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.mark.parametrize(
    ("now", "released", "stays"),
    [
        ("2.0.0", "1.9.1", True),
        ("1.9.1", "2.0.0", False),
        ("1.9.1", "1.10.0", False),
        ("1.10.0", "1.9.1", True),
        ("1.9.1", "1.9.1", False),
        ("1.9.1", "1.9.2-rc.1", True),
        ("1.9.2-rc.1", "1.9.2", False),
        ("1.9.2-rc.1", "1.9.2-rc.2", False),
        ("1.9.2-rc.10", "1.9.2-rc.2", True),
        ("2.0.0-rc.1", "1.9.1", True),
        ("1.9.1_2", "1.9.1_1", False),
    ],
)
def test_versions_have_the_order_of_semver(shelf: Shelf, now: str, released: str, *, stays: bool) -> None:
    shelf.put("now", now, "latest")
    release = shelf.release(shelf.put("new"), released, "latest")

    assert bool(judge([SKIP], release).stays) is stays
    assert bool(judge([REFUSE], release).violations) is stays
    assert judge([SKIP], release).violations == ()
    assert judge([REFUSE], release).stays == {}


def test_uses_the_highest_version_of_an_image(shelf: Shelf) -> None:
    shelf.put("now", "1.9.1", "2.0.0", "2.0.0-rc.1", "latest")

    verdict = judge([SKIP], shelf.release(shelf.put("new"), "1.9.2", "latest"))

    assert verdict.stays == {"latest": "it is at 2.0.0, which is higher than 1.9.2"}


@pytest.mark.parametrize(
    ("prefix", "suffix", "now", "released"),
    [("v", "", "v2.0.0", "v1.9.1"), ("", "-debug", "2.0.0-debug", "1.9.1-debug"), ("v", "-a", "v2.0.0-a", "v1.9.1-a")],
)
def test_versions_have_the_declared_prefix_and_suffix(
    shelf: Shelf, prefix: str, suffix: str, now: str, released: str
) -> None:
    rule = replace(SKIP, prefix=prefix, suffix=suffix)
    shelf.put("now", now, "9.0.0", "latest")

    verdict = judge([rule], shelf.release(shelf.put("new"), released, "latest"))

    assert verdict.stays == {"latest": "it is at 2.0.0, which is higher than 1.9.1"}


def test_a_full_version_is_never_a_moving_tag(shelf: Shelf) -> None:
    shelf.put("now", "1.9.1", "2.0.0")

    assert judge([SKIP, REFUSE], shelf.release(shelf.put("new"), "1.9.1")).stays == {}
    assert not SKIP.may_leave("1.9.1")
    assert SKIP.may_leave("1.9")
    assert not replace(SKIP, patterns=("1*",)).may_leave("latest")


@pytest.mark.parametrize("annotated", [True, False], ids=["annotation", "label"])
@pytest.mark.parametrize("text", ["2.0.0", "v2.0.0"])
def test_without_a_version_tag_uses_the_version_that_the_image_states(
    shelf: Shelf, text: str, *, annotated: bool
) -> None:
    shelf.labelled(text, "latest", annotated=annotated)

    verdict = judge([SKIP], shelf.release(shelf.labelled("1.9.1"), "latest"))

    assert verdict.stays == {"latest": "it is at 2.0.0, which is higher than 1.9.1"}


@pytest.mark.parametrize("text", ["", "22.04", "main", 2, None, ["2.0.0"], "1" * 200])
def test_a_stated_text_that_is_not_a_version_counts_as_no_version(shelf: Shelf, text: object) -> None:
    shelf.labelled(text, "latest")
    release = shelf.release(shelf.put("new"), "1.9.1", "latest")

    (refused,) = judge([SKIP], release).violations
    assert "tag 'latest' may only move forward, but the version of its image" in refused
    assert judge([replace(SKIP, needs_version=False)], release).violations == ()


def test_a_release_without_a_version_moves_no_tag(shelf: Shelf) -> None:
    shelf.put("now", "2.0.0", "latest", "2")
    release = shelf.release(shelf.put("new"), "latest", "2", "edge")

    (refused,) = judge([SKIP], release).violations
    assert refused.startswith("the version of this release is not known, so latest, 2 may not move: none of its tags")
    assert judge([replace(SKIP, needs_version=False)], release).violations == ()


def test_a_prerelease_does_not_move_a_tag_even_if_its_version_is_unknown(shelf: Shelf) -> None:
    shelf.put("now", "latest")
    rule = replace(SKIP, needs_version=False)

    verdict = judge([rule], shelf.release(shelf.put("new"), "2.0.0-rc.1", "latest"))

    assert verdict.stays == {"latest": "the version that it is at is not known, and 2.0.0-rc.1 is a prerelease"}


def test_the_same_image_and_a_new_tag_do_not_count_as_movement(shelf: Shelf) -> None:
    digest = shelf.put("now", "2.0.0", "latest")

    assert judge([REFUSE], shelf.release(digest, "1.9.1", "latest", "new")).violations == ()
    assert judge([SKIP], shelf.release(digest, "1.9.1", "latest", "new")).stays == {}


def test_a_skipped_tag_does_not_violate_other_rules(shelf: Shelf) -> None:
    shelf.put("now", "2.0.0", "latest")
    release = shelf.release(shelf.put("new"), "1.9.1", "latest")

    assert judge([ImmutableTags(("latest",))], release).violations
    assert judge([SKIP, ImmutableTags(("latest",))], release).violations == ()


def test_a_warn_only_rule_skips_no_tag_and_has_the_same_message(shelf: Shelf) -> None:
    shelf.put("now", "2.0.0", "latest")
    release = shelf.release(shelf.put("new"), "1.9.1", "latest")

    verdict = judge([WarnOnly(REFUSE)], release)

    assert verdict.warnings == judge([REFUSE], release).violations
    assert (verdict.violations, verdict.stays) == ((), {})


def test_an_unreadable_image_stops_the_release(shelf: Shelf) -> None:
    digest = shelf.put("now", "latest")
    release = shelf.release(shelf.put("new"), "1.9.1", "latest")
    del shelf.repository.images[digest]

    with pytest.raises(NotFoundError):
        judge([SKIP], release)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "ForwardOnly: has no Tags; add the tags"),
        ({"Tags": []}, "ForwardOnly: has no Tags"),
        ({"Tags": ["a b"]}, "ForwardOnly.Tags[0]: 'a b' is not a tag or a tag pattern"),
        ({"Tags": ["*"], "OnOlder": "skip"}, "ForwardOnly.OnOlder: is 'skip'; allowed: Skip, Refuse"),
        ({"Tags": ["*"], "Suffix": "/"}, "ForwardOnly.Suffix: '/' cannot be a part of a tag"),
        ({"Tags": ["*"], "Mode": "x"}, "ForwardOnly: has unknown keys: Mode"),
    ],
)
def test_names_a_malformed_property(value: Any, said: str) -> None:
    with pytest.raises(InvalidPropertiesError) as failure:
        ForwardOnly.decode(Value(value, "ForwardOnly"))

    assert said in str(failure.value)
